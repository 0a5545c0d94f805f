"""What the user does while the filter runs: keys, slider and mouse become the filter's targets and what the window shows.

Knows no window: sinks/window.py hands on what was pressed and draws what is asked for here.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import numpy as np

from ..ages import AGE_MAX, AGE_MIN
from .filter import FaceFilter
from .sheet import View
from .sources.base import Frame
from .sweep import Sweep

HELP = (
    ("up, down", "one year more or less"),
    ("page up, down", "ten years"),
    ("1 to 9", "10 to 90 years"),
    ("click a face", "keys and slider set its own age"),
    ("a", "all faces alike again"),
    ("+, -", "strength"),
    ("space", "on, off"),
    ("s", "before | after; drag the line"),
    ("m", "mirror the window"),
    ("h", "figures"),
    ("f", "freeze"),
    ("r", "record, stop recording"),
    ("p", "save a picture"),
    ("?", "this list"),
    ("q, escape", "end"),
)
GRIP = 1 / 50  # of the width: so near to the split line a click takes hold of it
KEPT = 4  # frames from the camera that are remembered: one is shown, one waits, one is being made
SAID_S = 2.5  # seconds that a message stays


class Controls:
    """The state of the controls, and a view (frame, time -> frame) that obeys them.

    The view runs in the loop's thread, the rest in the window's.
    """

    def __init__(self, face_filter: FaceFilter, view: View | None = None, sweep: Sweep | None = None, mirror: bool = False):
        self.face_filter, self._view, self.sweep = face_filter, view or face_filter, sweep
        self.mirror, self.hud, self.help, self.frozen = mirror, True, False, False
        self.split: float | None = None  # where the line stands, 0 to 1 of the width
        self.recording, self.picture_wanted, self.ended = False, False, False
        self.chosen: int | None = None  # the track of the face that was clicked
        self.notice: Callable[[], str] = lambda: ""  # what the source has to say just now
        self.interrupted: Callable[[], bool] = lambda: False  # whether something else than a key asks for the end
        self._befores: tuple[tuple[float, Frame], ...] = ()
        self._held: Frame | None = None
        self.time = 0.0  # of the last frame
        self._dragging = False
        self._said, self._said_at = "", 0.0
        self._glide_s = face_filter.glide_s
        if sweep is not None:
            face_filter.glide_s = 0.0  # it glides by itself

    def __call__(self, frame: Frame, time: float = 0.0) -> Frame:
        """The view: while frozen it goes on with the frame that was there, so that the age can still be changed."""
        if self.sweep is not None:
            self.face_filter.age = self.sweep.age_at(time)
        if self.frozen and self._held is not None:
            frame = self._held
        self._held = frame
        picture = self._view(frame, time)
        self._befores = (*self._befores[1 - KEPT :], (time, frame))
        self.time = time
        return picture

    def again(self, seconds: float) -> Frame | None:
        """The last frame once more, so much later: for a file that stands still.  None where there was none."""
        return None if self._held is None else self(self._held, self.time + seconds)

    def before(self, time: float) -> Frame | None:
        """The unchanged frame of a time; None where it is forgotten."""
        return next((frame for when, frame in reversed(self._befores) if when == time), None)

    @property
    def closed(self) -> bool:
        """Whether the user wants no more."""
        return self.ended or self.interrupted()

    @property
    def own(self) -> int | None:
        """The track of the face that keys and slider act on; None where that is all of them."""
        return self.chosen if any(face.track == self.chosen for face in self.face_filter.faces) else None

    @property
    def age(self) -> float:
        """The target that keys and slider change, in years."""
        own = self.own
        return self.face_filter.age if own is None else self.face_filter.ages.get(own, self.face_filter.age)

    def set_age(self, years: float) -> None:
        """A new target for the chosen face or for all; ends a sweep."""
        self.end_sweep()
        own, years = self.own, float(np.clip(years, AGE_MIN, AGE_MAX))
        if own is None:
            self.face_filter.age = years
        else:
            self.face_filter.ages[own] = years

    def end_sweep(self) -> None:
        """Leaves the age where it is."""
        if self.sweep is not None:
            self.sweep, self.face_filter.glide_s = None, self._glide_s

    def say(self, text: str) -> None:
        """Shows a line in the window for a moment."""
        self._said, self._said_at = text, monotonic()

    @property
    def message(self) -> str:
        """The line to be shown just now; empty where there is none."""
        return self.notice() or (self._said if monotonic() - self._said_at < SAID_S else "")

    def press(self, key: str) -> None:
        """A key by its character, or up, down, pageup, pagedown, escape."""
        face_filter = self.face_filter
        if key in ("q", "escape"):
            self.ended = True
        elif key in _YEARS:
            self.set_age(self.age + _YEARS[key])
        elif key in _TENS:
            self.set_age(_TENS[key])
        elif key in ("+", "=", "-"):
            change = -0.1 if key == "-" else 0.1
            face_filter.strength = float(np.clip(round(face_filter.strength + change, 2), 0, 1))
            self.say(f"strength {face_filter.strength:.0%}")
        elif key == " ":
            face_filter.on = not face_filter.on
        elif key == "a":
            face_filter.ages.clear()
            self.chosen = None
        elif key == "s":
            self.split = 0.5 if self.split is None else None
        elif key == "p":
            self.picture_wanted = True
        elif key in _SWITCHES:
            setattr(self, _SWITCHES[key], not getattr(self, _SWITCHES[key]))

    def grab(self, x: float, y: float, width: int) -> None:
        """The mouse button went down at a point of the picture as shown: takes hold of the split line, or chooses a face."""
        if self.split is not None and abs(x / width - self.split) <= GRIP:
            self._dragging = True
            return
        face = self.face_filter.face_at(width - 1 - x if self.mirror else x, y)
        self.chosen = None if face is None or face.track == self.chosen else face.track

    def drag(self, x: float, width: int) -> None:
        """The mouse moved with its button down."""
        if self._dragging and self.split is not None:
            self.split = float(np.clip(x / width, 0, 1))

    def release(self) -> None:
        """The mouse button went up."""
        self._dragging = False


_YEARS = {"up": 1, "down": -1, "pageup": 10, "pagedown": -10}
_TENS = {str(ten): 10.0 * ten for ten in range(1, 10)}
_SWITCHES = {"m": "mirror", "h": "hud", "?": "help", "f": "frozen", "r": "recording"}
