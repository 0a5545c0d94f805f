"""Network streams: RTSP cameras, MJPEG over HTTP."""

from __future__ import annotations

import os
import re

import cv2

from ...errors import ReagingError
from .capture import Capture, Opened, Say, first_frame

BUFFERED = ("http://", "https://")  # may carry a file, which FFmpeg cannot open without looking ahead
SCHEMES = ("rtsp://", "rtsps://", "rtmp://", "udp://", "srt://", *BUFFERED)
PATIENCE_MS = 5000  # after which a silent stream counts as gone
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"  # the only way to FFmpeg's options through OpenCV; it counts for every capture that is opened
LITTLE_DELAY = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"


def open_stream(url: str, say: Say) -> Capture:
    """The video of a URL through FFmpeg; ReagingError where there is none.  A stream that ends is opened again."""
    shown = re.sub(r"//[^/@]*@", "//", url)  # without a password
    refusal = ReagingError(f"{shown} gives no video", "a stream that FFmpeg can read", "check the address, and that it is being sent")
    return Capture(shown, "stream", lambda: _open(url), refusal, say)


def _open(url: str) -> Opened | None:
    patience = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, PATIENCE_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, PATIENCE_MS]
    ours = OPTIONS not in os.environ and not url.lower().startswith(BUFFERED)
    if ours:
        os.environ[OPTIONS] = LITTLE_DELAY
    try:
        return first_frame(cv2.VideoCapture(url, cv2.CAP_FFMPEG, patience))
    finally:
        if ours:
            os.environ.pop(OPTIONS, None)
