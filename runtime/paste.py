"""A change and its mask back into the frame: the change is warped and added, so the skin keeps the frame's full resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .ager import Change
from .backends.base import Floats
from .faces.template import inverse, resized
from .sources.base import Frame

# The generator's output is already mask * new + (1 - mask) * old, so here the mask only says where: below the first value is "outside",
# which a sigmoid's tail must not touch; above the second the change counts in full, and between them it fades in.
OUTSIDE, INSIDE = 0.02, 0.10
FEATHER = 1 / 16  # of the crop's side: the width over which the change fades to zero at the crop's border
STRIP = 128  # rows that are warped and added at once: fewer rows cost calls, more leave the processor's cache
ZERO = 128  # no change, where changes are bytes; stronger ones than fit in there take another way

Planes = tuple[Floats, Floats, Floats, Floats]
Box = tuple[int, int, int, int]  # left, top, right, bottom, the latter two just outside


@dataclass(frozen=True, eq=False)
class Patch:
    """One face's change, ready to be added wherever the face is: ``planes``, each float32 [S, S], are blue, green and red in gray levels of
    the frame, weighted already, and the weight 0..1 itself.  (All is done to one plane after the other: four leave the processor's cache.)
    """

    planes: Planes
    used: Box | None  # the part of the crop outside which the weight is 0; None where it is 0 everywhere
    strong: bool  # whether some pixel changes by more gray levels than a signed byte holds
    merged: Floats | None = None  # [S, S, 4], where the planes are views of it

    @cached_property
    def values(self) -> Floats:
        """The same [S, S, 4], as it is warped."""
        return cv2.merge(self.planes) if self.merged is None else self.merged

    def faded(self, share: Floats) -> Patch:
        """Only so much of it as ``share`` float32 [h, w] in 0..1 says, which is enlarged to its size."""
        values = cv2.multiply(self.values, cv2.resize(cv2.merge([share] * 4), self.planes[3].shape))
        blue, green, red, weight = np.moveaxis(values, 2, 0)
        return Patch((blue, green, red, weight), self.used, self.strong, values)


def as_patch(planes: Planes) -> Patch:
    """Of planes as Patch has them."""
    left, top, width, height = cv2.boundingRect((planes[3] > 0).view(np.uint8))
    used = (left, top, left + width, top + height) if width else None
    return Patch(planes, used, any(cv2.norm(plane, cv2.NORM_INF) > ZERO - 1 for plane in planes[:3]))


@cache
def border_feather(size: int) -> Floats:
    """Weights [S, S]: 0 on the border, 1 from S/16 inwards, a smooth step between."""
    edge = np.minimum(np.arange(size), np.arange(size)[::-1]) / max(1.0, size * FEATHER)
    ramp = np.clip(edge, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.minimum.outer(ramp, ramp).astype(np.float32)


def paste_weight(mask: Floats) -> Floats:
    """mask [S, S] in 0..1 -> how much of the change is added [S, S], exactly 0 outside the mask and on the crop's border."""
    return np.clip((mask - OUTSIDE) / (INSIDE - OUTSIDE), 0, 1) * border_feather(len(mask))


def patch(delta: Floats, mask: Floats) -> Patch:
    """One face's delta [S, S, 3] RGB (2 is from black to white) and mask [S, S] as they are pasted."""
    weight = paste_weight(mask)
    levels = weight * np.float32(127.5)
    red, green, blue = (delta[..., color] * levels for color in range(3))
    return as_patch((blue, green, red, weight))


def paste(frame: Frame, change: Change, matrices: ArrayLike) -> Frame:
    """A new frame, uint8 [H, W, 3] BGR, with N changes added.

    ``matrices`` [N, 2, 3] (or one [2, 3]) take frame pixels to crop pixels, pixel centers at integers. Where faces overlap the earlier one
    keeps its full change and the later one gets the rest of the weight, so that nothing is changed twice. Outside the masks the frame is
    the one that went in, bit for bit; no change at all gives back ``frame`` itself.
    """
    every = np.asarray(matrices, np.float64).reshape(-1, 2, 3)
    if len(every) != len(change.delta):
        raise ValueError(f"{len(every)} matrices for {len(change.delta)} changes")
    return paste_patches(frame, [patch(*one) for one in zip(change.delta, change.mask, strict=True)], every, [1.0] * len(every))


def paste_patches(frame: Frame, patches: Sequence[Patch], matrices: Sequence[Floats] | Floats, gains: Sequence[float]) -> Frame:
    """The same of patches, and of each so much as its gain in 0..1 says."""
    placed = []
    for one, matrix, gain in zip(patches, matrices, gains, strict=True):
        fitting, fitted = _shrink(one, np.asarray(matrix, np.float64))
        region = _region(fitting, fitted, frame.shape[0], frame.shape[1])
        if region is not None and gain > 0:
            placed.append((fitting, fitted, region, gain))
    if not placed:
        return frame
    out = frame.copy()
    together = any(_meet(a[2], b[2]) for i, a in enumerate(placed) for b in placed[:i])
    taken = np.zeros(frame.shape[:2], np.float32) if together else None
    for one, matrix, region, gain in placed:
        _add(out, one, matrix, region, gain, taken)
    return out


def _add(out: Frame, one: Patch, matrix: NDArray[np.float64], region: Box, gain: float, taken: Floats | None) -> None:
    """Adds one change in place; ``taken`` [H, W] is the weight that others have had already, where faces overlap."""
    left, top, right, bottom = region
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    (a, b, x0), (c, d, y0) = matrix.tolist()
    for y in range(top, bottom, STRIP):
        local = np.array([[a, b, x0 + a * left + b * y], [c, d, y0 + c * left + d * y]])
        part = out[y : min(y + STRIP, bottom), left:right]
        moved: Floats = cv2.warpAffine(one.values, local, part.shape[1::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT)
        share = gain
        if taken is not None:
            had = taken[y : y + len(part), left:right]
            moved *= ((1 - had) * gain)[..., None]
            had += moved[..., 3]
            share = 1.0
        if one.strong:
            cv2.add(part, cv2.cvtColor(moved * share, cv2.COLOR_BGRA2BGR), dst=part, dtype=cv2.CV_8U)  # rounds and saturates
        else:  # the same with bytes, in two thirds of the time
            levels = cv2.cvtColor(cv2.convertScaleAbs(moved, alpha=share, beta=ZERO), cv2.COLOR_BGRA2BGR)
            cv2.addWeighted(part, 1, levels, 1, -ZERO, dst=part)


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _shrink(fine: Patch, matrix: NDArray[np.float64]) -> tuple[Patch, NDArray[np.float64]]:
    """A crop much finer than the frame is averaged down first: sampling it as it is would alias."""
    ratio, side = int(math.hypot(matrix[0, 0], matrix[1, 0])), len(fine.planes[3])
    if ratio < 2:
        return fine, matrix
    size = max(1, side // ratio)
    smaller = (cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA).reshape(size, size) for plane in fine.planes)
    blue, green, red, weight = smaller
    return as_patch((blue, green, red, weight)), resized(matrix, size / side)


def _region(placed: Patch, matrix: NDArray[np.float64], height: int, width: int) -> Box | None:
    """The part of the frame that a change can reach; None where that is empty."""
    a, b, x, c, d, y = inverse(matrix)
    if placed.used is None or not a * d - b * c or abs(a * d - b * c) > 1e9:
        return None
    columns, rows = (placed.used[0] - 1, placed.used[2]), (placed.used[1] - 1, placed.used[3])
    xs, ys = [a * u + b * v + x for u in columns for v in rows], [c * u + d * v + y for u in columns for v in rows]
    left, top = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    right, bottom = min(width, math.ceil(max(xs)) + 1), min(height, math.ceil(max(ys)) + 1)
    return (left, top, right, bottom) if left < right and top < bottom else None
