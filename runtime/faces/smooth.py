"""The One-Euro filter (Casiez, Roussel, Vogel; CHI 2012): strong smoothing at rest, little delay in motion."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .face import Points


class OneEuro:
    """Smooths the points of one face from frame to frame.

    ``cutoff`` in Hz is what still passes at rest, ``speed_gain`` how much it rises with speed in eye distances per second,
    ``speed_cutoff`` in Hz smooths that speed.  Speed counts in eye distances, so that near and far faces are smoothed alike, and for the
    face as a whole, so that its points do not drift against each other.
    """

    def __init__(self, cutoff: float = 0.5, speed_gain: float = 8.0, speed_cutoff: float = 8.0):
        self.cutoff, self.speed_gain, self.speed_cutoff = cutoff, speed_gain, speed_cutoff
        self.points: NDArray[np.float64] | None = None
        self.velocity = np.zeros(2)
        self.time = 0.0

    def __call__(self, points: Points, time_s: float) -> Points:
        """Points [5, 2] at a time in seconds -> smoothed points; as they are where time stands still, runs back or leaps."""
        step = time_s - self.time
        self.time = time_s
        if self.points is None or step <= 0 or step > 1.0:
            self.points, self.velocity = points.astype(np.float64), np.zeros(2)
            return points
        eyes = max(1e-6, float(np.hypot(*(points[1] - points[0]))))
        moved = (points - self.points).mean(axis=0) / (eyes * step)
        self.velocity += _share(self.speed_cutoff, step) * (moved - self.velocity)
        cutoff = self.cutoff + self.speed_gain * float(np.hypot(*self.velocity))
        self.points += _share(cutoff, step) * (points - self.points)
        return self.points.astype(np.float32)


def _share(cutoff: float, step: float) -> float:
    """Weight of the new sample in a first-order low-pass of ``cutoff`` Hz sampled every ``step`` seconds."""
    return 1.0 / (1.0 + 1.0 / (2 * math.pi * cutoff * step))
