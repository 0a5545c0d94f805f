"""The filter as a camera that calls can choose."""

from __future__ import annotations

import sys
from types import TracebackType

import cv2
import numpy as np

from ...errors import ReagingError
from ..background import Background
from ..sources.base import Frame

BACKENDS = {
    "linux": "v4l2loopback (apt-get install v4l2loopback-dkms, then modprobe v4l2loopback exclusive_caps=1 card_label=reaging)",
    "darwin": "OBS 30 or later (brew install --cask obs, then start and stop its virtual camera once)",
    "win32": "OBS (winget install OBSProject.OBSStudio) or Unity Capture (github.com/schellingb/UnityCapture, run its Install.bat)",
}


class VirtualCamera:
    """Sends the newest frame to a virtual camera of a fixed size, from a thread of its own; other sizes are fitted into it."""

    closed = False
    note = ""

    def __init__(self, size: tuple[int, int], fps: float, device: str | None = None):
        """``size`` is width, height.  ReagingError where pyvirtualcam, or every backend of it, is missing."""
        try:
            import pyvirtualcam
        except ImportError:
            remedy = f"pip install 'reaging[virtual]', and one of: {_backends()}"
            raise ReagingError("there is no virtual camera", "pyvirtualcam and a backend", remedy) from None
        self._size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        try:
            self._camera = pyvirtualcam.Camera(*self._size, fps, fmt=pyvirtualcam.PixelFormat.BGR, device=device)
        except RuntimeError as error:
            wanted = f" on {device}" if device else ""
            what = f"there is no virtual camera{wanted} ({' '.join(str(error).split())})"
            raise ReagingError(what, "a backend of pyvirtualcam", f"install one: {_backends()}") from None
        self._sender: Background[Frame] = Background(lambda frame: self._camera.send(fitted(frame, self._size)))
        self.device: str = self._camera.device

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Hands the frame to the thread, in place of one that still waits.  ReagingError where the device is gone."""
        try:
            self._sender.submit(frame)
        except RuntimeError as error:
            what = f"the virtual camera {self.device} is gone ({error})"
            raise ReagingError(what, "the device it began with", "load its driver again, and start anew") from None

    def __enter__(self) -> VirtualCamera:
        self._sender.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._sender.__exit__(kind, error, trace)
        self._camera.close()


def _backends() -> str:
    """Each backend, this system's first, with how to install it."""
    systems = sorted(BACKENDS, key=lambda name: name != sys.platform)
    names = {"linux": "on Linux", "darwin": "on macOS", "win32": "on Windows"}
    return "; ".join(f"{names[system]} {BACKENDS[system]}" for system in systems)


def fitted(frame: Frame, size: tuple[int, int]) -> Frame:
    """The frame as large as fits into width, height, in the middle of black; itself where it has that size."""
    width, height = size
    if frame.shape[:2] == (height, width):
        return np.ascontiguousarray(frame)
    scale = min(width / frame.shape[1], height / frame.shape[0])
    wide, high = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    inner = cv2.resize(frame, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    out = np.zeros((height, width, 3), np.uint8)
    left, top = (width - wide) // 2, (height - high) // 2
    out[top : top + high, left : left + wide] = inner
    return out
