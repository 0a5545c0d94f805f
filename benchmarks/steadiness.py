"""How steady the filter is on a clip: flicker, the estimated age's unrest, lag; with and without each measure against them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..card import ModelCard
from ..errors import ReagingError
from ..runtime.ager import Ager
from ..runtime.backends.base import Backend, Floats
from ..runtime.faces.face import Face, Points
from ..runtime.faces.find import FaceFinder
from ..runtime.faces.landmarks import FaceAligner
from ..runtime.faces.template import BOX_DOWN, BOX_HALF_HEIGHT, BOX_HALF_WIDTH, cut, frame_to_crop
from ..runtime.faces.track import FaceTracker
from ..runtime.filter import FaceFilter
from ..runtime.sources import open_source
from ..runtime.sources.base import Frame, Shot
from .judges import Judge, estimate_ages

SIZE = 256  # pixels of the crops that are compared
AHEAD_AND_BACK = 1.5  # frames: standard deviation of the two-sided average that stands for where the landmarks really are
FAST = 0.6  # eye distances a second from which a head counts as moving
MEASURES = {"none": (False, False), "landmarks": (True, False), "landmarks and change": (True, True)}  # smooth, steady
COLUMNS, HEIGHT = 8, 240  # frames of a clip on the sheet, and their pixels


class Remembering:
    """A generator that runs once on each input: the measures of one clip put many of the same crops to it."""

    def __init__(self, backend: Backend):
        self.card: ModelCard = backend.card
        self.device = backend.device
        self._backend = backend
        self._known: dict[bytes, tuple[Floats, Floats]] = {}

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run."""
        key = blake2b(image.tobytes() + age.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._backend.run(image, age)
        return self._known[key]


def measure_steadiness(
    clip: str, backend: Backend, judge: Judge, age: float, frames: int = 150, done: Callable[[], None] = lambda: None
) -> tuple[dict[str, Any], Frame]:
    """Figures of one clip with the measures of MEASURES, and a sheet: the clip above, the filter with all of them below.

    Flicker: mean over the face and the frames of how much the change differs from the last frame's, in gray levels, in crops that an
    average over past and future frames aligns, so that no filter is measured against itself.  Ages are the judge's, in years: their
    standard deviation and mean step from frame to frame.  ``done`` is called after each measure.  Raises ReagingError where no face is
    there on all frames.
    """
    shots = read_shots(clip, frames)
    finder, aligner = FaceFinder(), FaceAligner()
    tracks = whole_tracks(shots, FaceTracker(finder, aligner, smooth=False))
    matrices = {n: [frame_to_crop(points, SIZE) for points in averaged(track)] for n, track in tracks.items()}
    before = {n: [cut(shot.frame, m, SIZE) for shot, m in zip(shots, along, strict=True)] for n, along in matrices.items()}
    report: dict[str, Any] = {"clip": Path(clip).name, "frames": len(shots), "faces": len(tracks)}
    report["original"] = _unrest([estimate_ages(judge, np.stack(crops)) for crops in before.values()])
    for name, (smooth, steady) in MEASURES.items():
        face_filter = FaceFilter(Ager(backend), FaceTracker(finder, aligner, smooth=smooth), age)
        face_filter.steady = steady
        aged, faces = [], []
        for shot in shots:
            aged.append(face_filter(shot.frame, shot.time))
            faces.append(face_filter.faces)
        after = {n: [cut(frame, m, SIZE) for frame, m in zip(aged, along, strict=True)] for n, along in matrices.items()}
        report[name] = {
            **_flicker([(before[n], after[n]) for n in tracks]),
            **_unrest([estimate_ages(judge, np.stack(crops)) for crops in after.values()]),
            "lag_ms": _lag([shot.time for shot in shots], list(tracks.values()), faces),
        }
        done()
    return report, sheet([shot.frame for shot in shots], aged)


def read_shots(clip: str, frames: int) -> list[Shot]:
    """The first so many frames; ReagingError where it is no clip."""
    source = open_source(clip)
    try:
        if source.live or source.still:
            raise ReagingError(f"{clip} is no clip", "a video", "name a file")
        return list(islice(source, frames))
    finally:
        source.close()


def whole_tracks(shots: list[Shot], tracker: FaceTracker) -> dict[int, Points]:
    """Landmarks [T, 5, 2] of the faces that are there on all frames."""
    seen: dict[int, list[Points]] = {}
    for shot in shots:
        tracker.find(shot.frame)
        for face in tracker.align(shot.frame, shot.time):
            seen.setdefault(face.track, []).append(face.landmarks)
    whole = {n: np.stack(points) for n, points in seen.items() if len(points) == len(shots)}
    if not whole or len(shots) < 10:
        raise ReagingError(f"no face is there on all {len(shots)} frames", "a clip of ten frames or more, with a face", "name another")
    return whole


def averaged(track: Points) -> Points:
    """The track [T, 5, 2] under a Gaussian over past and future frames: it has no lag."""
    flat = track.reshape(len(track), 10).astype(np.float64)
    calm = cv2.GaussianBlur(flat, (1, 0), sigmaX=1e-3, sigmaY=AHEAD_AND_BACK, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(calm, np.float32).reshape(-1, 5, 2)


def on_the_face() -> NDArray[np.bool_]:
    """Where in a crop the ellipse of the face is, bool [SIZE, SIZE]."""
    at = (np.arange(SIZE) - (SIZE - 1) / 2) / (SIZE / 2)
    return np.hypot(at[None] / BOX_HALF_WIDTH, (at[:, None] - BOX_DOWN) / BOX_HALF_HEIGHT) < 1


def _flicker(faces: list[tuple[list[Frame], list[Frame]]]) -> dict[str, float]:
    """Of crops before and after: the mean size of the change and of its differences from frame to frame, in gray levels."""
    inside = on_the_face()
    sizes, steps = [], []
    for before, after in faces:
        last = None
        for old, new in zip(before, after, strict=True):
            change = (new.astype(np.int16) - old)[inside]
            sizes.append(np.abs(change).mean())
            if last is not None:
                steps.append(np.abs(change - last).mean())
            last = change
    return {"change": round(float(np.mean(sizes)), 2), "flicker": round(float(np.mean(steps)), 3)}


def _unrest(ages: list[Floats]) -> dict[str, float]:
    return {
        "age_mean": round(float(np.mean(np.concatenate(ages))), 1),
        "age_deviation": round(float(np.mean([a.std() for a in ages])), 2),
        "age_step": round(float(np.mean([np.abs(np.diff(a)).mean() for a in ages])), 2),
    }


def _lag(times: list[float], tracks: list[Points], faces: list[list[Face]]) -> float | None:
    """Milliseconds by which the filter's landmarks are behind the averaged ones, over the frames on which a head moves; None without any.

    With the head's velocity v and the way d still to go: the sum of v . d over the sum of v . v.
    """
    way = energy = 0.0
    for track in tracks:
        true = averaged(track)
        velocity = np.gradient(true, times, axis=0)
        eyes = np.hypot(*(true[:, 1] - true[:, 0]).T)
        fast = np.hypot(*velocity.mean(1).T) > FAST * eyes
        for i in np.flatnonzero(fast):
            if not faces[i]:
                continue
            near = min(faces[i], key=lambda face: float(np.abs(face.landmarks - true[i]).sum()))
            way += float((velocity[i] * (true[i] - near.landmarks)).sum())
            energy += float((velocity[i] ** 2).sum())
    return round(1000 * way / energy, 1) if energy else None


def sheet(*rows: list[Frame]) -> Frame:
    """Some frames of each of several versions of a clip, one version a row."""
    chosen = np.linspace(0, len(rows[0]) - 1, COLUMNS).astype(int)
    height, width = rows[0][0].shape[:2]
    size = (round(width * HEIGHT / height), HEIGHT)
    return np.vstack([np.hstack([cv2.resize(frames[i], size, interpolation=cv2.INTER_AREA) for i in chosen]) for frames in rows])
