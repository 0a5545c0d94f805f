"""How long each stage takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

STAGES = ("frame", "find", "align", "infer", "paste", "sink")
PERCENTILES = (50, 90, 95, 99)


class Stages:
    """Durations by stage.  ``find`` counts the frames on which the finder ran, ``infer`` and ``paste`` those that have a face."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {name: [] for name in STAGES}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Times the block under it."""
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        self._seconds[stage].append(seconds)

    def summary(self) -> dict[str, dict[str, float]]:
        """{stage: {"p50", "p90", "p95", "p99"}} in milliseconds, of the stages that ran."""
        return {
            stage: {
                f"p{p}": round(float(value) * 1000, 3) for p, value in zip(PERCENTILES, np.percentile(seconds, PERCENTILES), strict=True)
            }
            for stage, seconds in self._seconds.items()
            if seconds
        }


def table(summary: dict[str, dict[str, float]], frames: int, faces: int, fps: float) -> str:
    """The summary as text for a terminal."""
    rows = [f"{'ms':>8} {'p50':>8} {'p95':>8}"]
    rows += [f"{stage:>8} {values['p50']:8.1f} {values['p95']:8.1f}" for stage, values in summary.items()]
    return "\n".join([*rows, f"{frames} frames, {faces} faces, {fps:.1f} frames per second"])
