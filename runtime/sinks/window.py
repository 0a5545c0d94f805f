"""A window on the screen."""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType

import cv2

from ...errors import ReagingError
from ..sources.base import Frame

TITLE = "reaging (q ends)"
PROBE = "import cv2; cv2.namedWindow('reaging'); cv2.destroyAllWindows()"
KEYS_THAT_END = (ord("q"), 27)  # 27 is escape


def check_display() -> None:
    """Raises ReagingError where no window can be opened.

    OpenCV aborts the process where the display cannot be reached, so a second process tries first.
    """
    remedy = "run it on a desktop, or give --sink out.mp4"
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ReagingError("there is no display for the window", "DISPLAY or WAYLAND_DISPLAY", remedy)
    try:
        works = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        works = False
    if not works:
        raise ReagingError("OpenCV cannot open a window here", "a display it can reach, and opencv-python with windows", remedy)


class Window:
    """Shows frames; ``closed`` once the user pressed q or escape, or closed the window."""

    note = ""

    def __init__(self) -> None:
        check_display()
        self.closed = False

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Shows the frame at once."""
        cv2.imshow(TITLE, frame)
        key = cv2.waitKey(1) & 0xFF
        self.closed = key in KEYS_THAT_END or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1

    def __enter__(self) -> Window:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        cv2.destroyAllWindows()
