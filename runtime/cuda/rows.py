"""The faces of a frame as the kernels take them: rows of floats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..backends.base import Floats
from ..sources.base import Frame
from ..steady import FINE

# floats for each face, as in geometry.h: to be cut, a matrix, an age, halvings and where their blocks begin, a slot, weights; to be shown,
# a matrix, a box, a gain, a slot, whether its shares count, and they
CUT_FIELDS, PASTE_FIELDS = 11 + FINE * FINE, 13 + FINE * FINE


class Kept:
    """Where on the GPU one face's change is kept, for as long as somebody holds this."""

    def __init__(self, free: list[int]):
        self.slot, self._free = free.pop(), free

    def __del__(self) -> None:
        self._free.append(self.slot)


@dataclass(frozen=True, eq=False)
class GpuFace:
    """A face of a frame: ``matrix`` [2, 3] takes the frame's pixels to the crop's, ``gain`` 0 to 1 is how much of its change is added.

    With an ``age`` in years a new change is made of the frame and averaged with the one that is ``kept``, by its ``weight`` (of
    steady.moment; None: it counts in full).  Without one the kept change is shown, and of that its ``share`` (of steady.remaining; None:
    all of it).
    """

    matrix: Floats
    kept: Kept
    age: float | None = None
    gain: float = 1.0
    weight: Floats | None = None
    share: Floats | None = None


def cut_row(face: GpuFace, frame: Frame, size: int) -> NDArray[np.float32]:
    """A face that gets a new change, as the kernels take it: [CUT_FIELDS]."""
    to_frame = np.asarray(cv2.invertAffineTransform(np.asarray(face.matrix, np.float64)), np.float64)
    halvings, phase = _halvings(to_frame, frame, size)
    weights = np.ones(FINE * FINE) if face.weight is None else face.weight.ravel()
    return np.concatenate([to_frame.ravel(), [face.age, halvings, *phase, face.kept.slot], weights]).astype(np.float32)


def paste_row(face: GpuFace, frame: Frame, size: int) -> NDArray[np.float32] | None:
    """A face that is shown, as the kernels take it, [PASTE_FIELDS]; None where its crop lies outside the frame, or its gain is 0."""
    to_crop = np.asarray(face.matrix, np.float64)
    to_frame = np.asarray(cv2.invertAffineTransform(to_crop), np.float64)
    corners = np.array([to_frame @ (x, y, 1) for x in (-1, size) for y in (-1, size)])
    reach = 0.5  # where a frame's pixel is larger than the crop's, its samples reach half of it further
    left, top = np.maximum(np.floor(corners.min(0) - reach), 0)
    right, bottom = np.minimum(np.ceil(corners.max(0) + reach) + 1, frame.shape[1::-1])
    (a, b, _), (c, d, _) = to_crop
    if face.gain <= 0 or abs(a * d - b * c) < 1e-9 or left >= right or top >= bottom:
        return None
    shares = np.ones(FINE * FINE) if face.share is None else face.share.ravel()
    place = [left, top, right, bottom, face.gain, face.kept.slot, face.share is not None]
    return np.concatenate([to_crop.ravel(), place, shares]).astype(np.float32)


def _halvings(to_frame: NDArray[np.float64], frame: Frame, size: int) -> tuple[int, list[int]]:
    """How often a frame is halved before a crop is cut out of it, and where the blocks begin: as faces/template.py does it."""
    step = math.sqrt(abs(np.linalg.det(to_frame[:, :2])))
    halvings = round(math.log2(step)) if step >= 1.5 else 0
    block, limits = 2**halvings, frame.shape[1::-1]
    lows = to_frame[:, 2] + np.minimum(to_frame[:, :2] * size, 0).sum(1)
    phase = [int(min(max(math.floor(low) - 2 * block, 0), limit) % block) for low, limit in zip(lows, limits, strict=True)]
    return (halvings, phase) if min(limits) >= 2 * block else (0, [0, 0])
