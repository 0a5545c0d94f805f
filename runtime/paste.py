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
from .sources.base import Frame

# The generator's output is already mask * new + (1 - mask) * old, so here the mask only says where: below the first value is "outside",
# which a sigmoid's tail must not touch; above the second the change counts in full, and between them it fades in.
OUTSIDE, INSIDE = 0.02, 0.10
FEATHER = 1 / 16  # of the crop's side: the width over which the change fades to zero at the crop's border
STRIP = 32  # rows that are warped and added at once: what stays in the processor's cache takes two thirds of the time

Box = tuple[int, int, int, int]  # left, top, right, bottom, the latter two just outside


@dataclass(frozen=True, eq=False)
class Patch:
    """One face's change, ready to be added wherever the face is: ``values`` float32 [S, S, 4] are blue, green and red in gray levels of the
    frame, weighted already, and the weight 0..1 itself."""

    values: Floats

    @cached_property
    def used(self) -> Box | None:
        """Where in the crop the weight is not 0; None where it is nowhere."""
        there = self.values[..., 3] > 0
        columns, rows = np.flatnonzero(there.any(0)), np.flatnonzero(there.any(1))
        return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1) if len(columns) else None


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
    levels = weight * 127.5
    # OpenCV's fourth channel is 1 where there was none
    return Patch(cv2.multiply(cv2.cvtColor(delta, cv2.COLOR_RGB2BGRA), cv2.merge([levels, levels, levels, weight])))


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
            placed.append((fitting.values, fitted, region, gain))
    if not placed:
        return frame
    out = frame.copy()
    together = any(_meet(a[2], b[2]) for i, a in enumerate(placed) for b in placed[:i])
    taken = np.zeros(frame.shape[:2], np.float32) if together else None
    for values, matrix, region, gain in placed:
        _add(out, values, matrix, region, gain, taken)
    return out


def _add(out: Frame, values: Floats, matrix: NDArray[np.float64], region: Box, gain: float, taken: Floats | None) -> None:
    """Adds one change in place; ``taken`` [H, W] is the weight that others have had already, where faces overlap."""
    left, top, right, bottom = region
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for y in range(top, bottom, STRIP):
        local = matrix.copy()
        local[:, 2] += matrix[:, :2] @ (left, y)
        part = out[y : min(y + STRIP, bottom), left:right]
        moved: Floats = cv2.warpAffine(values, local, part.shape[1::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT)
        if gain != 1:
            moved *= gain
        if taken is not None:
            had = taken[y : y + len(part), left:right]
            moved *= (1 - had)[..., None]
            had += moved[..., 3]
        cv2.add(part, cv2.cvtColor(moved, cv2.COLOR_BGRA2BGR), dst=part, dtype=cv2.CV_8U)  # rounds and saturates


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _shrink(fine: Patch, matrix: NDArray[np.float64]) -> tuple[Patch, NDArray[np.float64]]:
    """A crop much finer than the frame is averaged down first: sampling it as it is would alias."""
    ratio, side = int(np.hypot(matrix[0, 0], matrix[1, 0])), len(fine.values)
    if ratio < 2:
        return fine, matrix
    size = max(1, side // ratio)
    smaller = matrix * (size / side)
    smaller[:, 2] += (size / side - 1) / 2  # pixel centers are at integers
    return Patch(cv2.resize(fine.values, (size, size), interpolation=cv2.INTER_AREA).reshape(size, size, 4)), smaller


def _region(placed: Patch, matrix: NDArray[np.float64], height: int, width: int) -> Box | None:
    """The part of the frame that a change can reach; None where that is empty."""
    used = placed.used
    (a, b, _), (c, d, _) = matrix
    if used is None or abs(a * d - b * c) < 1e-9:
        return None
    back = cv2.invertAffineTransform(matrix)
    corners = [back @ (x, y, 1) for x in (used[0] - 1, used[2]) for y in (used[1] - 1, used[3])]
    xs, ys = zip(*corners, strict=True)
    left, top = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    right, bottom = min(width, math.ceil(max(xs)) + 1), min(height, math.ceil(max(ys)) + 1)
    return (left, top, right, bottom) if left < right and top < bottom else None
