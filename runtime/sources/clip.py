"""Video files: through PyAV where it is installed, else through OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import ReagingError
from ..yuv import planes, to_bgr
from .base import Frame, Shot

# FFmpeg's numbers: the color matrix of HD video, none named, 0..255, and BILINEAR | ACCURATE_RND | FULL_CHR_H_INT
BT709, UNTAGGED, FULL, ACCURATE = 1, 2, 2, 2 | 0x40000 | 0x2000
# a clip is one file: by default FFmpeg also follows lists of other files and descriptions of network sessions, whatever they are called
LOCAL_FILE = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,flv,ogg,asf,gif,apng,dv,mxf,nut,rm,swf,wtv,"
    "yuv4mpegpipe,mjpeg,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe",
}
HD_HEIGHT = 720  # players take untagged video from here on for BT.709


def _no_video(path: Path, why: str) -> ReagingError:
    return ReagingError(f"{path} is no readable video ({why})", "a video or picture file", "name another file")


def _ends_early(seen: int, total: int | None) -> str:
    return f"the clip is damaged: it ends after {seen} of {total or '?'} frames"


class PyAvClip:
    """A clip decoded by PyAV, with the times that the file gives, turned as the file says."""

    live = still = False
    note = ""

    def __init__(self, path: Path):
        import av

        av.logging.set_level(None)
        try:
            self._container = av.open(f"file:{path}", options=LOCAL_FILE)  # with the scheme a colon in the name is no other one
            stream = self._container.streams.video[0]
            if stream.codec_context is None:  # PyAV before 18.1 crashes where a file ends before it says how it is coded
                raise ValueError
            stream.thread_type = "AUTO"
            self._frames: Iterator[Any] = self._container.decode(stream)
            self._first = next(self._frames)
        except (av.FFmpegError, IndexError, StopIteration, ValueError) as error:
            raise _no_video(path, getattr(error, "strerror", None) or "it holds no frame") from None
        self._stem, self._error = path.stem, av.FFmpegError
        self.fps = float(stream.average_rate or stream.guessed_rate or 25)
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        self._exact = int(stream.frames) or None
        self.total: int | None = self._exact or (round(seconds * self.fps) or None)
        height, width = _to_bgr(self._first).shape[:2]
        self.size = (width, height)

    def __iter__(self) -> Iterator[Shot]:
        seen = 0
        try:
            for picture in self._all():
                time = picture.time if picture.time is not None else seen / self.fps
                seen += 1
                yield Shot(_to_bgr(picture), float(time), f"{self._stem}_{seen:06d}.png")
        except self._error:
            self.note = _ends_early(seen, self.total)
        if self._exact and seen < self._exact - 1:
            self.note = _ends_early(seen, self._exact)

    def _all(self) -> Iterator[Any]:
        yield self._first
        yield from self._frames

    def close(self) -> None:
        self._container.close()


def _to_bgr(picture: Any) -> Frame:
    """A PyAV frame as BGR, by the color matrix that it names or that players would guess."""
    hd = picture.colorspace == BT709 or (picture.colorspace == UNTAGGED and picture.height >= HD_HEIGHT)
    if picture.format.name in ("yuv420p", "yuvj420p"):
        y, u, v = planes(picture)
        frame = to_bgr(y, u, v, "BT.709" if hd else "BT.601", picture.color_range == FULL or picture.format.name == "yuvj420p")
    else:
        frame = picture.to_ndarray(format="bgr24", src_colorspace="ITU709" if hd else "ITU601", interpolation=ACCURATE)
    turns = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(frame, turns)) if turns else frame


class OpenCvClip:
    """A clip decoded by OpenCV; frames are taken to be evenly spaced."""

    live = still = False
    note = ""

    def __init__(self, path: Path):
        self._capture = cv2.VideoCapture(str(path))
        self._first: Any
        found, self._first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not found:
            raise _no_video(path, "OpenCV cannot open it")
        self._stem = path.stem
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.total: int | None = max(0, round(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))) or None
        self.size = (self._first.shape[1], self._first.shape[0])

    def __iter__(self) -> Iterator[Shot]:
        found, frame, seen = True, self._first, 0
        while found:
            seen += 1
            yield Shot(frame, (seen - 1) / self.fps, f"{self._stem}_{seen:06d}.png")
            found, frame = self._capture.read()
        if self.total and seen < self.total - 1:
            self.note = _ends_early(seen, self.total)

    def close(self) -> None:
        self._capture.release()


def open_clip(path: Path) -> PyAvClip | OpenCvClip:
    """Raises ReagingError where the file is missing, empty or no video."""
    if not path.is_file():
        raise ReagingError(f"there is no source {path}", "camera:0, demo, a clip, a photo or a folder of photos", "check the name")
    if not path.stat().st_size:
        raise _no_video(path, "it is empty")
    try:
        import av  # noqa: F401
    except ImportError:
        return OpenCvClip(path)
    return PyAvClip(path)
