"""How long each stage takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

STAGES = ("frame", "find", "align", "prepare", "infer", "paste", "sink", "delay")
PERCENTILES = (50, 90, 95, 99)
KEPT = 20_000  # durations of each stage that count: a filter that runs for days does not grow
RECENT = 1.0  # seconds that a display averages over


class Stages:
    """Durations by stage; any thread may add to them.

    ``find`` counts the frames on which the finder ran, ``infer`` the runs of the generator, ``prepare`` the frames that it ran on (cutting
    its crops, and making its change ready to be pasted), ``paste`` the frames that have a face, ``delay`` those of a live source: from the
    frame's time stamp until it was shown.  Of a live source ``find``, ``prepare`` and ``infer`` run beside the frames.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {name: deque(maxlen=KEPT) for name in STAGES}
        self._latest: dict[str, deque[tuple[float, float]]] = {name: deque(maxlen=256) for name in STAGES}  # when, how long

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Times the block under it."""
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """One more duration of a stage, which ends now."""
        self._seconds[stage].append(seconds)
        self._latest[stage].append((time.perf_counter(), seconds))

    def count(self, stage: str) -> int:
        """How often the stage ran, up to 20,000."""
        return len(self._seconds[stage])

    def recent(self, stage: str) -> float:
        """Mean in milliseconds over the last second; 0 where the stage did not run in it."""
        since = time.perf_counter() - RECENT
        lasted = [seconds for when, seconds in list(self._latest[stage]) if when >= since]
        return 1000 * sum(lasted) / len(lasted) if lasted else 0.0

    def rate(self, stage: str) -> float:
        """How often in a second the stage ran of late; 0 where it ran less than twice in the last second."""
        since = time.perf_counter() - RECENT
        times = [when for when, _ in list(self._latest[stage]) if when >= since]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0

    @property
    def fps(self) -> float:
        """Frames a second that were shown of late."""
        return self.rate("frame")

    def summary(self) -> dict[str, dict[str, float]]:
        """{stage: {"p50", "p90", "p95", "p99"}} in milliseconds, of the stages that ran, over the last 20,000 durations of each."""
        return {
            stage: {
                f"p{p}": round(float(value) * 1000, 3) for p, value in zip(PERCENTILES, np.percentile(seconds, PERCENTILES), strict=True)
            }
            for stage, seconds in ((name, list(durations)) for name, durations in self._seconds.items())
            if seconds
        }


def table(summary: dict[str, dict[str, float]], frames: int, faces: int, fps: float) -> str:
    """The summary as text for a terminal."""
    rows = [f"{'ms':>8} {'p50':>8} {'p95':>8}"]
    rows += [f"{stage:>8} {values['p50']:8.1f} {values['p95']:8.1f}" for stage, values in summary.items()]
    return "\n".join([*rows, f"{frames} frames, {faces} faces, {fps:.1f} frames per second"])
