"""The One-Euro filter's parameters on real tracks: unrest at rest against lag in motion."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ReagingError
from ..runtime.faces.face import Points
from ..runtime.faces.find import FaceFinder
from ..runtime.faces.landmarks import FaceAligner
from ..runtime.faces.smooth import OneEuro
from ..runtime.faces.track import FaceTracker
from .report import markdown_table
from .steadiness import FAST, averaged, read_shots, whole_tracks

CUTOFFS, GAINS, SPEED_CUTOFFS = (0.3, 0.5, 0.8, 1.5, 2.5), (3.0, 6.0, 8.0, 12.0, 20.0), (1.0, 2.0, 4.0, 8.0)
SLOW = 0.3  # eye distances a second up to which a head counts as being at rest


class Setting(NamedTuple):
    """Parameters of OneEuro and what they give: medians over the tracks."""

    cutoff: float
    speed_gain: float
    speed_cutoff: float
    unrest: float  # the landmarks' second difference at rest, in percent of the eye distance
    lag_ms: float  # in motion
    off: float  # 95 % of the landmarks are nearer than this to the averaged ones, in percent of the eye distance


def measure_smoothing(clips: Sequence[str], frames: int = 150) -> list[Setting]:
    """Every setting on the faces that are there throughout the clips, and the tracks as they are (cutoff inf), least unrest first."""
    tracks = []
    for clip in clips:
        shots = read_shots(clip, frames)
        found = whole_tracks(shots, FaceTracker(FaceFinder(), FaceAligner(), smooth=False))
        tracks += [(Path(clip).name, np.array([shot.time for shot in shots]), track) for track in found.values()]
    if not any(np.isfinite(_figures(times, track, track)[1]) for _, times, track in tracks):
        raise ReagingError("no head moves in these clips", "one with a head that turns", "name another")
    settings = []
    for cutoff, gain, speed in [(float("inf"), 0.0, 1.0), *product(CUTOFFS, GAINS, SPEED_CUTOFFS)]:
        figures = []
        for _, times, track in tracks:
            smooth = OneEuro(cutoff, gain, speed)
            smoothed = track if np.isinf(cutoff) else np.stack([smooth(p, t) for p, t in zip(track, times, strict=True)])
            figures.append(_figures(times, track, smoothed))
        settings.append(Setting(cutoff, gain, speed, *(float(value) for value in np.nanmedian(figures, axis=0))))
    return sorted(settings, key=lambda s: s.unrest)


def _figures(times: Points, track: Points, smoothed: Points) -> tuple[float, float, float]:
    """Unrest, lag in milliseconds and distance of one track [T, 5, 2]; nan where the head was never at rest, or never moved."""
    true = averaged(track).astype(np.float64)
    eyes = np.hypot(*(true[:, 1] - true[:, 0]).T)
    velocity = np.gradient(true, times, axis=0)
    speed = np.hypot(*velocity.mean(1).T) / eyes
    second = smoothed[:-2] - 2 * smoothed[1:-1].astype(np.float64) + smoothed[2:]
    shake = np.hypot(second[..., 0], second[..., 1]).mean(1) / eyes[1:-1] * 100
    behind, fast, slow = true - smoothed, speed > FAST, speed[1:-1] < SLOW
    lag = (velocity[fast] * behind[fast]).sum() / (velocity[fast] ** 2).sum() * 1000 if fast.any() else np.nan
    off = np.percentile(np.hypot(behind[..., 0], behind[..., 1]).mean(1) / eyes * 100, 95)
    return float(np.median(shake[slow])) if slow.any() else np.nan, float(lag), float(off)


def smoothing_markdown(settings: list[Setting]) -> str:
    """The settings that no other one beats in unrest and lag at once, ours, and none."""
    default = OneEuro()
    ours = (default.cutoff, default.speed_gain, default.speed_cutoff)
    rows: list[list[str]] = []
    for s in settings:
        beaten = any(o.unrest < s.unrest and o.lag_ms < s.lag_ms and o.off < s.off for o in settings)
        if beaten and s[:3] != ours and np.isfinite(s.cutoff):
            continue
        name = "not smoothed" if np.isinf(s.cutoff) else f"{s.cutoff:g} Hz, gain {s.speed_gain:g}, speed at {s.speed_cutoff:g} Hz"
        rows.append([name + (" (ours)" if s[:3] == ours else ""), f"{s.unrest:.2f}", f"{s.lag_ms:.0f}", f"{s.off:.2f}"])
    return markdown_table(["setting", "unrest at rest, %", "lag ms", "95 % within, %"], rows)


def smoothing_dict(settings: list[Setting]) -> dict[str, Any]:
    """For JSON, which knows no infinity."""
    return {"kind": "smoothing", "settings": [s._asdict() | ({"cutoff": None} if np.isinf(s.cutoff) else {}) for s in settings]}
