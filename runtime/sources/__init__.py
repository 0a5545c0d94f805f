"""Where frames come from."""

from __future__ import annotations

from pathlib import Path

from ...errors import ReagingError
from .base import Shot, Source

__all__ = ["Shot", "Source", "audio_file", "open_source"]


def open_source(name: str) -> Source:
    """``camera:0``, ``demo`` (the bundled clip), or the path of a clip, a photo or a folder of photos.

    Raises ReagingError where it is not there or cannot be read.
    """
    from .photo import SUFFIXES, Photo, open_folder

    if name == "camera" or name.startswith("camera:"):
        from .camera import Camera

        index = name.partition(":")[2] or "0"
        if not index.isdecimal():
            raise ReagingError(f"there is no source {name}", "camera: and a number", "try camera:0")
        return Camera(int(index))
    path = clip_path(name)
    if path.is_dir():
        return open_folder(path)
    if path.suffix.lower() in SUFFIXES:
        return Photo(path)
    from .clip import open_clip

    return open_clip(path)


def clip_path(name: str) -> Path:
    """The file or folder behind a source's name."""
    from ..bundled import DEMO, bundled

    return bundled(DEMO) if name == "demo" else Path(name)


def audio_file(name: str, source: Source) -> Path | None:
    """The file whose sound belongs to the source; None where it has none."""
    return None if source.live or source.still else clip_path(name)
