"""How steady a generator is on a clip: does the estimated age stay, does the change flicker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from ..runtime.backends.base import Backend
from ..runtime.faces.template import cut, frame_to_crop
from ..runtime.filter import FaceFilter, filter_with
from ..runtime.sources import open_source
from .judges import TEMPLATE, Judge, estimate_ages


@dataclass(frozen=True)
class OnClip:
    """One clip at one target age, all faces of all frames."""

    clip: str
    target: float
    frames: int
    faces: int  # summed over the frames
    estimate: float  # years, mean
    deviation: float  # years: standard deviation of the estimated age over the frames, mean over faces
    input_deviation: float  # the same of the frames that went in
    flicker: float  # mean step of the change from frame to frame over mean step of the aligned input: 1 flickers as the video's own noise


def judge_clip(
    backend: Backend, clip: str | Path, target: float, age_judge: Judge, frames: int = 90, progress: Callable[[], None] = lambda: None
) -> OnClip:
    """Runs the live filter over a clip, frame by frame; raises ReagingError where it cannot be read or no face stays for two frames."""
    face_filter = filter_with(backend, target)
    face_filter.fade_s = 0.0  # a face that is still fading in is not at its age yet
    tracks: dict[int, list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]] = {}
    count = 0
    source = open_source(str(clip))
    try:
        for shot in source:
            for track, before, after in _pairs(face_filter, shot.frame, shot.time):
                tracks.setdefault(track, []).append((before, after))
            count += 1
            progress()
            if count == frames:
                break
    finally:
        source.close()
    kept = [pairs for pairs in tracks.values() if len(pairs) > 1]
    if not kept:
        raise ReagingError(f"no face stays in {clip} for two frames", "a clip of a face", "choose another --clip")
    rows = [_steadiness(pairs, age_judge) for pairs in kept]
    weights = [len(pairs) for pairs in kept]
    estimate, deviation, input_deviation, flicker = (float(np.average(column, weights=weights)) for column in zip(*rows, strict=True))
    return OnClip(Path(clip).name, float(target), count, sum(weights), estimate, deviation, input_deviation, flicker)


def _pairs(face_filter: FaceFilter, frame: NDArray[np.uint8], time: float) -> list[tuple[int, NDArray[np.uint8], NDArray[np.uint8]]]:
    """(track, the face before, the face after), both RGB [256, 256, 3] under the same matrix."""
    shown = face_filter(frame, time)
    out = []
    for face in face_filter.faces:
        matrix = frame_to_crop(face.landmarks, TEMPLATE)
        out.append((face.track, cut(frame, matrix, TEMPLATE), cut(shown, matrix, TEMPLATE)))
    return out


def _steadiness(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], age_judge: Judge) -> tuple[float, float, float, float]:
    before, after = (np.stack(column) for column in zip(*pairs, strict=True))
    estimates = estimate_ages(age_judge, after)
    change = after.astype(np.float32) - before
    own_step = np.abs(np.diff(before.astype(np.float32), axis=0)).mean()
    flicker = float(np.abs(np.diff(change, axis=0)).mean() / max(float(own_step), 1e-6))
    return float(estimates.mean()), float(estimates.std()), float(estimate_ages(age_judge, before).std()), flicker
