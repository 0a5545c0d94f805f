"""The change of a face over time: calmed where the picture of the face stays as it is, followed at once where it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .backends.base import Floats
from .paste import Patch, as_patch

CALM_S = 0.2  # time constant where nothing moves
GRID = 32  # pixels a side at which the face is compared with what it was
NOISE, MOVED = 3.0, 1 / 12.75  # gray levels that a camera's noise makes there, and the weight that each level above them adds
# pixels a side at which the change is averaged: what is finer fits the frame it was made of, and is kept (averaged too, it made the
# estimated age less steady); and at which a carried change is held against the face as it is by now
FINE = 64
SAME, OTHER = 16.0, 48.0  # gray levels: up to the first a carried change is shown in full, from the second on not at all
YEARS = 4.0  # a target age that moves by so much is followed at once


@dataclass(frozen=True, eq=False)
class Moment:
    """What a change that is worn belongs to; the pixels of the change itself may be elsewhere (cuda/frames.py)."""

    picture: Floats  # float32 [32, 32, 3]: the crop, averaged as the change was
    seen: NDArray[Any]  # uint8 [64, 64, 3]: the newest crop
    age: float
    time: float


@dataclass(frozen=True, eq=False)
class Worn:
    """A face's change as it is shown, and what it belongs to."""

    patch: Patch
    coarse: Floats  # float32 [3, 64, 64]: the averaged change, blue, green and red
    moment: Moment

    @property
    def time(self) -> float:
        """Of the frame that it was last made of."""
        return self.moment.time


def moment(crop: NDArray[np.uint8], age: float, time: float, before: Moment | None = None) -> tuple[Moment, Floats | None]:
    """What a new change of a crop uint8 [S, S, 3] (64 x 64 will do) at ``age`` years and ``time`` seconds belongs to, and its weight
    float32 [64, 64] in 0..1 against the one worn ``before``; None where it counts in full.

    The weight rises with the time that passed, with the age's difference and, pixel by pixel, with that of the crops in the aligned frame:
    a mouth that opens or a hand that comes gets its own change, and only what trembles at rest is averaged.
    """
    seen = cv2.resize(crop, (FINE, FINE), interpolation=cv2.INTER_AREA)
    picture = cv2.resize(seen, (GRID, GRID), interpolation=cv2.INTER_AREA).astype(np.float32)
    if before is None or time <= before.time:
        return Moment(picture, seen, age, time), None
    share = 1 - math.exp(-(time - before.time) / CALM_S) + abs(age - before.age) / YEARS
    moved = cv2.GaussianBlur(np.abs(picture - before.picture).max(axis=2), (0, 0), 1.0)
    weight = np.minimum(share + MOVED * np.maximum(moved - NOISE, 0), 1)
    age = before.age + min(1.0, share) * (age - before.age)
    return Moment(_mix(before.picture, picture, weight), seen, age, time), cv2.resize(weight, (FINE, FINE))


def worn(patch: Patch, crop: NDArray[np.uint8], age: float, time: float, before: Worn | None = None) -> Worn:
    """The generator's change of a crop, averaged with the one worn ``before`` by its weight; the rest as ``moment`` has it."""
    coarse = np.stack([_averaged(plane) for plane in patch.planes[:3]])
    now, weight = moment(crop, age, time, None if before is None else before.moment)
    if before is None or weight is None:
        return Worn(patch, coarse, now)
    mixed = before.coarse + weight * (coarse - before.coarse)
    *colors, there = patch.planes
    blue, green, red = (_added(color, step, there) for color, step in zip(colors, mixed - coarse, strict=True))
    calmed = as_patch((blue, green, red, there))
    _ = calmed.values  # here, since the frame's own thread has no time for it
    return Worn(calmed, mixed, now)


def carried(change: Worn, crop: NDArray[np.uint8]) -> Patch:
    """A change as it is shown on a later crop uint8 [S, S, 3] of its face: not where that is no longer what the change was made of."""
    share = remaining(change.moment, crop)
    return change.patch if share is None else change.patch.faded(share)


def remaining(change: Moment, crop: NDArray[np.uint8]) -> Floats | None:
    """How much of a change is shown on a later crop uint8 [S, S, 3] of its face: float32 [64, 64] in 0..1, None where all of it is.

    A head that turns shows background where its hair was, and a face that was lost is not there: what belongs to them is left away.
    """
    now = cv2.resize(crop, (FINE, FINE), interpolation=cv2.INTER_AREA)
    red, green, blue = cv2.split(cv2.absdiff(now, change.seen))
    apart = cv2.GaussianBlur(cv2.max(cv2.max(red, green), blue).astype(np.float32), (0, 0), 1.0)
    share = np.clip((OTHER - apart) / (OTHER - SAME), 0, 1)
    return None if share.min() == 1 else share


def _added(plane: Floats, step: Floats, there: Floats) -> Floats:
    """The plane [S, S] and a step [64, 64], enlarged, where the newest mask is."""
    larger = cv2.resize(step, plane.shape)
    larger *= there
    larger += plane
    return larger


def _averaged(plane: Floats) -> Floats:
    """[S, S] -> [64, 64]; halving twice takes OpenCV a third of the time of quartering once."""
    side = len(plane)
    while side % 2 == 0 and side >= 2 * FINE:
        side //= 2
        plane = cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(plane, (FINE, FINE), interpolation=cv2.INTER_AREA)


def _mix(old: Floats, new: Floats, weight: Floats) -> Floats:
    """weight [h, w] of the new one [h, w, C] in 0..1."""
    return cv2.blendLinear(new, old, weight, 1 - weight)
