"""Pictures: one file, or a folder of them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2

from ...errors import ReagingError
from ...files import whole_file
from ..sources.base import Frame
from .base import check_place
from .synthetic import MARKED, marked

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
QUALITY = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95]}


def encode(frame: Frame, suffix: str) -> bytes:
    """The bytes of a picture file, marked as synthetic; raises what ``compressed`` raises."""
    return marked(compressed(frame, suffix), suffix)


def compressed(frame: Frame, suffix: str) -> bytes:
    """The bytes of a picture file as it is; ReagingError for another kind, and where OpenCV refuses the frame's size in that one."""
    if suffix not in SUFFIXES:
        raise ReagingError(f"there is no kind of picture {suffix!r}", f"one of {', '.join(SUFFIXES)}", "write a .png")
    try:
        done, data = cv2.imencode(suffix, frame, QUALITY.get(suffix, []))
    except cv2.error:
        done = False
    if not done:
        raise ReagingError(f"{frame.shape[1]}x{frame.shape[0]} pixels do not fit into {suffix}", "a smaller picture", "write a .png")
    return data.tobytes()


def write_picture(path: Path, frame: Frame) -> None:
    """A picture file without a mark, of the kind that its name says, whole or not at all; raises what compressed and whole_file raise."""
    with whole_file(path) as part:
        part.write_bytes(compressed(frame, path.suffix.lower()))


def unmarked(suffix: str) -> str:
    """A line for the user where files of that kind cannot carry the mark; empty where they can."""
    return "" if suffix in MARKED else f"{suffix} files have no place for the mark that says synthetic: say it where you show them"


class Picture:
    """One picture file; it takes exactly one frame."""

    closed = False

    def __init__(self, path: Path):
        self._path, self._written, self.note = path, False, unmarked(path.suffix.lower())
        check_place(path)

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Writes the file; ReagingError for a second frame."""
        if self._written:
            raise ReagingError(f"{self._path} takes one picture", "a source with one frame", "add --max-frames 1, or write a .mp4")
        with whole_file(self._path) as part:
            part.write_bytes(encode(frame, self._path.suffix.lower()))
        self._written = True

    def __enter__(self) -> Picture:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The file is whole already."""


class Folder:
    """A folder of pictures with the names of the source's."""

    closed = False

    def __init__(self, folder: Path):
        self._folder, self.note = folder, ""

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Writes one file of the source's stem; in the source's format where that can be written."""
        path = self._folder / name
        if path.suffix.lower() not in SUFFIXES:
            path = path.with_suffix(".png")
        self.note = self.note or unmarked(path.suffix.lower())
        with whole_file(path) as part:
            part.write_bytes(encode(frame, path.suffix.lower()))

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Every file is whole already."""
