"""Where frames come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .base import Shot, Source

__all__ = ["Shot", "Source", "audio_file", "is_live", "open_source"]


def open_source(name: str, size: tuple[int, int] | None = None, say: Callable[[str], None] = lambda text: None) -> Source:
    """``camera:0``, ``camera:NAME``, a URL (rtsp, http), ``demo`` (the bundled clip), or the path of a clip, a photo or a folder.

    ``size`` (width, height) is what a camera is asked for; ``say`` takes what it has to say meanwhile, such as that it is gone or back.
    Raises ReagingError where it is not there or cannot be read.
    """
    from .photo import SUFFIXES, Photo, open_folder
    from .stream import open_stream

    if _is_camera(name):
        from .camera import open_camera

        return open_camera(name.partition(":")[2] or "0", size, say)
    if is_live(name):
        return open_stream(name, say)
    path = clip_path(name)
    if path.is_dir():
        return open_folder(path)
    if path.suffix.lower() in SUFFIXES:
        return Photo(path)
    from .clip import open_clip

    return open_clip(path)


def _is_camera(name: str) -> bool:
    return name == "camera" or name.startswith("camera:")


def is_live(name: str) -> bool:
    """Whether a source of this name, once open, gives frames whether or not anybody is ready for them: a camera or a stream."""
    from .stream import SCHEMES

    return _is_camera(name) or name.lower().startswith(SCHEMES)


def clip_path(name: str) -> Path:
    """The file or folder behind a source's name."""
    from ..bundled import DEMO, bundled

    return bundled(DEMO) if name == "demo" else Path(name)


def audio_file(name: str, source: Source) -> Path | None:
    """The file whose sound belongs to the source; None where it has none."""
    return None if source.live or source.still else clip_path(name)
