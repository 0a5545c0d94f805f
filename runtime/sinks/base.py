"""What every sink of frames is."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol

from ...files import whole_file
from ..sources.base import Frame


class Sink(Protocol):
    """Takes frames; used in a ``with`` statement, whose end makes the output whole, or removes it where an error ended it."""

    @property
    def closed(self) -> bool:
        """The user wants no more frames."""
        ...

    @property
    def note(self) -> str:
        """What the user should know of the output (no sound, another codec); empty where all is as asked."""
        ...

    def write(self, frame: Frame, time: float, name: str) -> None:
        """frame uint8 [H, W, 3] BGR, its time in seconds, and its name (a file name in a folder)."""
        ...

    def __enter__(self) -> Sink: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Null:
    """Takes frames and keeps none: for measuring."""

    closed = False
    note = ""

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Does nothing."""

    def __enter__(self) -> Null:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing to end."""


def check_place(path: Path) -> None:
    """Raises ReagingError where no file can be written there, before any work is done; an old file stays as it is."""
    try:
        with whole_file(path) as part:
            part.touch()
            raise _Tried
    except _Tried:
        pass


class _Tried(Exception):
    """Leaves whole_file so that it removes what it has."""
