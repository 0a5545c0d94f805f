"""Photos: one, or a folder of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ...errors import ReagingError
from .base import Frame, Shot

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm")
SUPPORTED = "a picture: " + ", ".join(SUFFIXES)


def read_photo(path: str | Path) -> Frame:
    """A picture file as uint8 [H, W, 3] BGR: gray becomes color, 16 bits become 8, EXIF turns are done, alpha is laid on white.

    Raises ReagingError where the file is missing, empty, cut off or no picture.
    """
    path = Path(path)
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ReagingError(f"cannot read {path} ({error.strerror or error})", SUPPORTED, "check the name") from None
    if not data.size:
        raise ReagingError(f"{path} is empty", SUPPORTED, "name another file")
    try:
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR)  # turns by EXIF, 8 bits, drops alpha
        whole = None if frame is None else cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ReagingError(f"{path} cannot be read ({error.err})", SUPPORTED, "make it smaller or save it again") from None
    if frame is None or not frame.size:
        raise ReagingError(f"{path} is no picture, or a damaged one", SUPPORTED, "name another file")
    return _on_white(frame, whole)


def _on_white(frame: Frame, whole: np.ndarray | None) -> Frame:
    if whole is None or whole.ndim != 3 or whole.shape[2] != 4 or whole.shape[:2] != frame.shape[:2]:
        return np.asarray(frame, np.uint8)
    full = float(np.iinfo(whole.dtype).max) if whole.dtype.kind == "u" else 1.0
    alpha = (whole[..., 3:] / full).astype(np.float32)
    return np.rint(frame * alpha + 255 * (1 - alpha)).astype(np.uint8)


class Photos:
    """Pictures one after the other; one that cannot be read is left out, and ``note`` names it."""

    fps = 1.0
    live, still = False, True

    def __init__(self, paths: list[Path]):
        self._paths = paths
        self.total: int | None = len(paths)
        self.note = ""
        self.size = (0, 0)

    def __iter__(self) -> Iterator[Shot]:
        bad: list[str] = []
        for number, path in enumerate(self._paths):
            try:
                frame = read_photo(path)
            except ReagingError:
                bad.append(path.name)
                self.note = f"{len(bad)} of {self.total} pictures could not be read: {', '.join(bad)}"
                continue
            self.size = (frame.shape[1], frame.shape[0])
            yield Shot(frame, float(number), path.name)

    def close(self) -> None:
        """Nothing is kept open."""


class Photo:
    """A single picture, read at once so that a bad one is refused before anything else is opened."""

    fps = 1.0
    live, still = False, True
    total: int | None = 1
    note = ""

    def __init__(self, path: Path):
        self._shot = Shot(read_photo(path), 0.0, path.name)
        self.size = (self._shot.frame.shape[1], self._shot.frame.shape[0])

    def __iter__(self) -> Iterator[Shot]:
        yield self._shot

    def close(self) -> None:
        """Nothing is kept open."""


def open_folder(folder: Path) -> Photos:
    """The pictures of a folder by name; ReagingError where there is none."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise ReagingError(f"the folder {folder} holds no picture", SUPPORTED, "name another folder")
    return Photos(paths)
