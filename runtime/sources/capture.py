"""Sources that never end: a camera or a network stream, which is waited for where it goes away."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2

from ...errors import ReagingError
from .base import Frame, Shot

Opened = tuple[cv2.VideoCapture, Frame]  # a capture and the first frame that it gave
Say = Callable[[str], None]
RETRY_S = 1.0  # between two tries to open what went away
STILL_S = 0.1  # between two repeats of the last frame meanwhile: the window and the other sinks live on
MEASURED = 60  # frames over which the rate is measured


class Capture:
    """Frames of ``open_capture`` for ever.

    Where they stop, the last frame is repeated, ``note`` and ``say`` tell that it is waited for, and it is opened again, until it is back.
    """

    live, still = True, False
    total: int | None = None

    def __init__(self, name: str, stem: str, open_capture: Callable[[], Opened | None], refusal: ReagingError, say: Say):
        """``stem`` begins the frames' file names; ``refusal`` is raised where it cannot be opened the first time."""
        opened = open_capture()
        if opened is None:
            raise refusal
        self._name, self._stem, self._open, self._say = name, stem, open_capture, say
        self._capture, self._last = opened
        self._claimed = self._capture.get(cv2.CAP_PROP_FPS)
        self._arrivals: deque[float] = deque(maxlen=MEASURED)
        self._closed = False
        self.note = ""
        self.size = (self._last.shape[1], self._last.shape[0])

    @property
    def fps(self) -> float:
        """As measured over the last frames; before there are some, what the driver says."""
        if len(self._arrivals) > 10 and self._arrivals[-1] > self._arrivals[0]:
            return (len(self._arrivals) - 1) / (self._arrivals[-1] - self._arrivals[0])
        return self._claimed if 1 <= self._claimed <= 240 else 30.0

    def __iter__(self) -> Iterator[Shot]:
        start, seen = time.monotonic(), 0
        while not self._closed:
            found, frame = self._capture.read()
            now = time.monotonic()
            if found:
                self._last = frame
                self._arrivals.append(now)
                seen += 1
                yield Shot(frame, self._stamp(now) - start, f"{self._stem}_{seen:06d}.png")
                continue
            for now in self._waiting():
                seen += 1
                yield Shot(self._last, now - start, f"{self._stem}_{seen:06d}.png")

    def _stamp(self, now: float) -> float:
        """When the frame was taken, where the driver says it on this machine's clock (Linux); else when it arrived."""
        taken = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return taken if now - 1 < taken <= now else now

    def _waiting(self) -> Generator[float, None, None]:
        """The time for each repeat of the last frame, until the capture is open again."""
        self._capture.release()
        self.note = f"{self._name} is gone: waiting for it"
        self._say(self.note)
        with ThreadPoolExecutor(1) as tries:  # an open may take seconds, in which the repeats go on
            attempt, due = tries.submit(self._open), time.monotonic() + RETRY_S
            while not self._closed:
                time.sleep(STILL_S)
                now = time.monotonic()
                if attempt.done() and (opened := attempt.result()) is not None:
                    self._capture, self._last = opened
                    self._arrivals.clear()
                    self.note = ""
                    self._say(f"{self._name} is back")
                    return
                if attempt.done() and now >= due:
                    attempt, due = tries.submit(self._open), now + RETRY_S
                yield now

    def close(self) -> None:
        """Ends the iteration, wherever it is, and lets go of the device."""
        self._closed = True
        self._capture.release()


def first_frame(capture: cv2.VideoCapture) -> Opened | None:
    """The capture and its first frame; None, and the capture released, where it gives none."""
    found, frame = capture.read() if capture.isOpened() else (False, None)
    if not found or frame is None:
        capture.release()
        return None
    return capture, frame
