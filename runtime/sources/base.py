"""What every source of frames is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

Frame = NDArray[Any]  # uint8 [H, W, 3], BGR, contiguous (OpenCV's type stubs leave the number type open)


class Shot(NamedTuple):
    """One frame: uint8 [H, W, 3] BGR, its time in seconds, and a file name for it where a folder takes it; of a clip's frames a .png."""

    frame: Frame
    time: float
    name: str


class Source(Protocol):
    """An iterable of shots."""

    @property
    def fps(self) -> float:
        """Frames a second."""
        ...

    size: tuple[int, int]  # width, height of the first frame in pixels
    total: int | None  # number of frames, None where that is not known
    live: bool  # frames come whether or not anybody is ready for them
    still: bool  # every frame is a picture of its own
    note: str  # what went wrong on the way, for the user; empty where nothing did

    def __iter__(self) -> Iterator[Shot]: ...

    def close(self) -> None: ...
