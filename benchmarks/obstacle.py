"""What the filter paints onto a thing that is held before the face: there should be nothing."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.ager import Ager
from ..runtime.backends.base import Backend
from ..runtime.faces.find import FaceFinder
from ..runtime.faces.landmarks import FaceAligner
from ..runtime.faces.template import cut, frame_to_crop
from ..runtime.faces.track import FaceTracker
from ..runtime.paste import patch
from ..runtime.sources.base import Frame
from .steadiness import read_shots

EVERY = 10  # of the clip's frames


def measure_obstacle(clip: str, backend: Backend, age: float, frames: int = 150) -> tuple[dict[str, Any], Frame]:
    """A drawn microphone before the mouth of a clip's first face: mean mask and mean change in gray levels on it and beside it, and a
    sheet of what the generator saw above what it made of it."""
    ager, tracker = Ager(backend), FaceTracker(FaceFinder(), FaceAligner())
    size = ager.size
    microphone, shade = _microphone(size)
    inner = cv2.erode(microphone, np.ones((5, 5), np.uint8)) > 0
    figures, pictures = [], []
    for i, shot in enumerate(read_shots(clip, frames)):
        tracker.find(shot.frame)
        faces = tracker.align(shot.frame, shot.time)
        if i % EVERY or not faces:
            continue
        crop = cut(shot.frame, frame_to_crop(faces[0].landmarks, size), size)
        crop[microphone > 0] = shade[microphone > 0]
        change = ager(crop[None], age)
        values = patch(change.delta[0], change.mask[0]).values
        beside = (values[..., 3] > 0) & (cv2.dilate(microphone, np.ones((9, 9), np.uint8)) == 0)
        moved = np.abs(values[..., :3]).mean(axis=2)
        figures.append([change.mask[0][inner].mean(), change.mask[0][beside].mean(), moved[inner].mean(), moved[beside].mean()])
        after = np.clip(crop[..., ::-1] + values[..., :3], 0, 255).astype(np.uint8)
        pictures.append(np.vstack([crop[..., ::-1], after]))
    names = ("mask_on_it", "mask_beside", "change_on_it", "change_beside")
    return {name: round(float(value), 2) for name, value in zip(names, np.mean(figures, axis=0), strict=True)}, np.hstack(pictures[:8])


def _microphone(size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Where a microphone is in a crop [S, S], and its picture [S, S, 3]: a shaded grille before the mouth, a dark handle below."""
    where, unit = np.zeros((size, size), np.uint8), size / 256
    center = (round(128 * unit), round(188 * unit))
    cv2.line(where, center, (round(150 * unit), size), 1, round(26 * unit))
    cv2.ellipse(where, center, (round(26 * unit), round(32 * unit)), 0, 0, 360, 1, -1)
    y, x = np.mgrid[0:size, 0:size] / unit
    light = 50 + 60 * np.exp(-(((x - 120) / 14) ** 2)) + 12 * ((x // 4 + y // 4) % 2)
    return where, np.repeat(light.astype(np.uint8)[..., None], 3, axis=2)
