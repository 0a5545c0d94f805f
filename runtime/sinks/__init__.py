"""Where frames go."""

from __future__ import annotations

from pathlib import Path

from ...errors import ReagingError
from .base import Null, Sink

__all__ = ["Sink", "open_sink"]


def open_sink(target: str, fps: float = 30.0, *, audio_from: Path | None = None, size: tuple[int, int] = (640, 480)) -> Sink:
    """``window``, ``null``, ``virtual`` (a camera), ``http:PORT``, a video (.mp4, .mov, .mkv), a picture, or an existing folder.

    ``fps`` matters to videos and virtual cameras, ``audio_from`` (a file whose sound is copied) to videos; ``size`` (width, height) to
    virtual cameras: a video's size is that of its first frame.
    Raises ReagingError where the target cannot be written or there is no display.
    """
    if target == "null":
        return Null()
    if target == "window":
        from .window import Window

        return Window()
    if target == "virtual" or target.startswith("virtual:"):
        from .virtual import VirtualCamera

        return VirtualCamera(size, fps, target.partition(":")[2] or None)
    if target.startswith("http:"):
        from .web import open_web

        return open_web(target)
    path = Path(target)
    from . import picture, video

    if path.is_dir():
        return picture.Folder(path)
    if path.suffix.lower() in video.SUFFIXES:
        return video.open_video(path, fps, audio_from)
    if path.suffix.lower() in picture.SUFFIXES:
        return picture.Picture(path)
    raise ReagingError(
        f"cannot write to {target}",
        "window, virtual, http:PORT, null, an existing folder, or a file ending in " + ", ".join((*video.SUFFIXES, *picture.SUFFIXES)),
        "create the folder first, or choose another ending",
    )
