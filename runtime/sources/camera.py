"""A camera."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2

from ...errors import ReagingError
from .base import Shot


class Camera:
    """Camera number ``index`` of the system, through OpenCV, with as little delay as the driver allows."""

    live, still = True, False
    total: int | None = None

    def __init__(self, index: int):
        self.note = ""
        self._capture = cv2.VideoCapture(index)
        found, frame = self._capture.read() if self._capture.isOpened() else (False, None)
        if not found or frame is None:
            self._capture.release()
            raise ReagingError(
                f"camera {index} is not there, or another program has it", "a camera", "plug it in, or name another: --source camera:1"
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # old frames in the driver's queue are delay
        self._index = index
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        self.size = (frame.shape[1], frame.shape[0])

    def __iter__(self) -> Iterator[Shot]:
        start, seen = time.monotonic(), 0
        while True:
            found, frame = self._capture.read()
            if not found:
                self.note = f"camera {self._index} stopped after {seen} frames"
                return
            seen += 1
            yield Shot(frame, time.monotonic() - start, f"camera_{seen:06d}.png")

    def close(self) -> None:
        self._capture.release()
