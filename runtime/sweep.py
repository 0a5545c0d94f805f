"""A sweep: the age goes back and forth between two ends."""

from __future__ import annotations

from dataclasses import dataclass

from ..ages import parse_age
from ..errors import ReagingError


@dataclass(frozen=True)
class Sweep:
    """``seconds`` from ``first`` to ``last`` years, and as many back."""

    first: float
    last: float
    seconds: float

    def age_at(self, time: float) -> float:
        """Years at a time in seconds from the sweep's start."""
        phase = (time / self.seconds) % 2
        share = phase if phase < 1 else 2 - phase
        return self.first + (self.last - self.first) * share


def parse_sweep(text: str) -> Sweep:
    """``FIRST:LAST:SECONDS`` such as 5:80:6s; raises ReagingError where it is something else."""
    parts = text.split(":")
    try:
        seconds = float(parts[2].removesuffix("s")) if len(parts) == 3 else 0.0
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86_400:
        raise ReagingError(f"sweep {text!r} is not usable", "two ages and the seconds between them", "give for example --sweep 5:80:6s")
    return Sweep(parse_age(parts[0]), parse_age(parts[1]), seconds)
