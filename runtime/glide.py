"""A number that takes a while to reach a new target."""

from __future__ import annotations


class Glide:
    """Goes straight from where it is to its target; the time is the frames', so a clip comes out the same on any machine."""

    def __init__(self, value: float, time: float):
        self.value = self.target = self._from = value
        self._since = self._last = time

    def __call__(self, target: float, time: float, seconds: float) -> float:
        """The value at ``time`` on the way to ``target``, which is reached ``seconds`` after it was first asked for; 0 is at once."""
        if target != self.target:
            self.target, self._from, self._since = target, self.value, self._last
        self._last = time
        share = (time - self._since) / seconds if seconds > 0 else 1.0
        if share >= 1:
            self.value = self._from = target  # there for good, however soon it was reached
        else:
            self.value = self._from + (target - self._from) * max(0.0, share)
        return self.value
