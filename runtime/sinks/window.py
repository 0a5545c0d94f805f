"""A window on the screen, with a slider for the age, keys and mouse."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from time import perf_counter
from types import TracebackType

import cv2

from ...errors import ReagingError
from ..controls import Controls
from ..hud import dressed
from ..sources.base import Frame
from .keep import Keep

TITLE = "reaging (? shows the keys, q ends)"
SLIDER = "age"
PROBE = "import cv2; cv2.namedWindow('reaging'); cv2.destroyAllWindows()"
FONTS = Path("/usr/share/fonts/truetype/dejavu")  # the Qt in OpenCV's wheel for Linux brings no letters for the slider
STEP_S = 1 / 30  # between two pictures of a file that stands still
WIDEST, HIGHEST = 1280, 960  # to begin with; the window can be resized
KEYS = {  # of the arrows and page keys: X11 (Qt, GTK), Windows, macOS
    **dict.fromkeys((0xFF52, 0x260000, 0xF700), "up"),
    **dict.fromkeys((0xFF54, 0x280000, 0xF701), "down"),
    **dict.fromkeys((0xFF55, 0x210000, 0xF72C), "pageup"),
    **dict.fromkeys((0xFF56, 0x220000, 0xF72D), "pagedown"),
    27: "escape",
}


def check_display() -> None:
    """Raises ReagingError where no window can be opened.

    OpenCV aborts the process where the display cannot be reached, so a second process tries first.
    """
    remedy = "run it on a desktop, or give --sink out.mp4"
    displays = os.environ.get("DISPLAY"), os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(displays):
        raise ReagingError("there is no display for the window", "DISPLAY or WAYLAND_DISPLAY", remedy)
    if not _works(*displays):
        raise ReagingError("OpenCV cannot open a window here", "a display it can reach, and opencv-python with windows", remedy)


@cache
def _works(*displays: str | None) -> bool:
    try:
        return subprocess.run([sys.executable, "-c", PROBE], capture_output=True, timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class Window:
    """Shows frames; ``closed`` once the user pressed q or escape, or closed the window.

    With ``controls`` it hands them keys, slider and mouse, and draws what they ask for; ``keep`` saves what the keys r and p ask for.
    ``paced``: the frames are a file's, which are shown no faster than their times say, and stand still while frozen; ``held``: each is a
    picture of its own and stays until f.
    """

    def __init__(self, controls: Controls | None = None, keep: Keep | None = None, paced: bool = False, held: bool = False):
        check_display()
        self._controls, self._keep, self._paced, self._held = controls, keep, paced, held
        self._open, self._width = False, 1
        self._due, self._time = 0.0, 0.0
        self._slider = -1  # where this program put it last
        self.closed = False

    @property
    def note(self) -> str:
        return self._keep.note if self._keep is not None else ""

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Shows the frame at once, or when it is due, and does what the user asked for meanwhile."""
        if not self._open:
            self._create(frame)
        controls = self._controls
        self._show(frame, time, name)
        self._pump(self._rest(time) if self._paced and not self._held else 0.0)
        if controls is None or not self._paced:
            return
        if self._held:
            controls.frozen = True
            controls.say("f: the next one, q: end")
        shown = perf_counter()
        while controls.frozen and not self.closed:
            began = perf_counter()
            again = controls.again(max(STEP_S, began - shown))  # the time goes on, so that a new age glides
            if again is None:
                return
            shown = began
            self._show(again, controls.time, name)
            self._pump(STEP_S - (perf_counter() - began))

    def _show(self, frame: Frame, time: float, name: str) -> None:
        if self._keep is not None:
            self._keep.write(frame, time, name)
        shown = frame if self._controls is None else dressed(frame, self._controls.before(time), self._controls)
        self._width = shown.shape[1]
        cv2.imshow(TITLE, shown)

    def _create(self, frame: Frame) -> None:
        if FONTS.is_dir():
            os.environ["QT_QPA_FONTDIR"] = str(FONTS)
        else:
            os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")  # eight lines about fonts
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        self._open = True
        if self._controls is not None:
            cv2.createTrackbar(SLIDER, TITLE, 0, 100, self._slid)
            cv2.setMouseCallback(TITLE, self._moused)
        height, width = frame.shape[:2]
        scale = min(1.0, WIDEST / width, HIGHEST / height)
        width, height = max(320, round(width * scale)), max(120, round(height * scale))
        cv2.resizeWindow(TITLE, width, height)
        cv2.imshow(TITLE, frame)
        rooms = [0, -1]
        while rooms[-1] != rooms[-2] and len(rooms) < 20:  # until the window manager is done with it
            cv2.waitKey(20)
            rooms.append(cv2.getWindowImageRect(TITLE)[3])
        taken = height - rooms[-1]  # by the slider
        if 0 < taken < 100:
            cv2.resizeWindow(TITLE, width, height + taken)

    def _rest(self, time: float) -> float:
        """Seconds until the frame after this one is due; a loop that is late is not hurried."""
        now = perf_counter()
        self._due = max(now, self._due + min(1.0, time - self._time)) if self._due else now
        self._time = time
        return self._due - now

    def _pump(self, seconds: float) -> None:
        """Lets the window work for so long, at least once."""
        end = perf_counter() + seconds
        while not self.closed:
            self._follow()
            code = cv2.waitKeyEx(max(1, min(20, round((end - perf_counter()) * 1000))))
            if code != -1:
                self._press(code)
            self.closed = self.closed or not _visible() or (self._controls is not None and self._controls.closed)
            if perf_counter() >= end:
                return

    def _press(self, code: int) -> None:
        key = KEYS.get(code) or KEYS.get(code & 0xFFFF) or (chr(code & 0xFF).lower() if 32 <= code & 0xFF < 127 else "")
        if self._controls is None:
            self.closed = key in ("q", "escape")
        elif key:
            self._controls.press(key)

    def _follow(self) -> None:
        """Puts the slider where the age is."""
        if self._controls is not None and round(self._controls.age) != self._slider:
            self._slider = round(self._controls.age)
            cv2.setTrackbarPos(SLIDER, TITLE, self._slider)

    def _slid(self, position: int) -> None:
        if self._controls is not None and position != self._slider:  # else it was put there by _follow
            self._slider = position
            self._controls.set_age(position)

    def _moused(self, event: int, x: int, y: int, flags: int, data: object) -> None:
        if self._controls is None:
            return
        if event == cv2.EVENT_LBUTTONDOWN:
            self._controls.grab(x, y, self._width)
        elif event == cv2.EVENT_MOUSEMOVE and flags & cv2.EVENT_FLAG_LBUTTON:
            self._controls.drag(x, self._width)
        elif event == cv2.EVENT_LBUTTONUP:
            self._controls.release()

    def __enter__(self) -> Window:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._keep is not None:
            self._keep.__exit__(kind, error, trace)
        cv2.destroyAllWindows()


def _visible() -> bool:
    try:
        return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:  # OpenCV 5 with Qt, once the last window is closed
        return False
