"""A change and its mask back into the frame: the change is warped and added, so the skin keeps the frame's full resolution."""

from __future__ import annotations

from functools import cache

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


def paste(frame: Frame, change: Change, matrices: ArrayLike) -> Frame:
    """A new frame, uint8 [H, W, 3] BGR, with N changes added.

    ``matrices`` [N, 2, 3] (or one [2, 3]) take frame pixels to crop pixels, pixel centers at integers. Where faces overlap the earlier one
    keeps its full change and the later one gets the rest of the weight, so that nothing is changed twice. Outside the masks the frame is
    the one that went in, bit for bit; no change at all gives back ``frame`` itself.
    """
    every = np.asarray(matrices, np.float64).reshape(-1, 2, 3)
    if len(every) != len(change.delta):
        raise ValueError(f"{len(every)} matrices for {len(change.delta)} changes")
    if not len(every):
        return frame
    out = frame.copy()
    taken = np.zeros(frame.shape[:2], np.float32) if len(every) > 1 else None
    for delta, mask, matrix in zip(change.delta, change.mask, every, strict=True):
        _add(out, delta, paste_weight(mask), matrix, taken)
    return out


def _add(out: Frame, delta: Floats, weight: Floats, matrix: NDArray[np.float64], taken: Floats | None) -> None:
    """Adds one change in place."""
    delta, weight, matrix = _shrink(delta, weight, matrix)
    region = _region(weight, matrix, out.shape[0], out.shape[1])
    if region is None:
        return
    x0, y0, x1, y1 = region
    local = matrix.copy()
    local[:, 2] += matrix[:, :2] @ (x0, y0)
    gray = delta[..., ::-1] * (weight * 127.5)[..., None]  # BGR, in gray levels of the frame
    moved = _warp(gray, local, (x1 - x0, y1 - y0))
    if taken is not None:
        rest = 1 - taken[y0:y1, x0:x1]
        moved *= rest[..., None]
        taken[y0:y1, x0:x1] += rest * _warp(weight, local, (x1 - x0, y1 - y0))
    part = out[y0:y1, x0:x1]
    cv2.add(part, moved, dst=part, dtype=cv2.CV_8U)  # rounds and saturates


def _warp(values: Floats, crop_from_frame: NDArray[np.float64], size: tuple[int, int]) -> Floats:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, crop_from_frame, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)


def _shrink(delta: Floats, weight: Floats, matrix: NDArray[np.float64]) -> tuple[Floats, Floats, NDArray[np.float64]]:
    """A crop much finer than the frame is averaged down first: sampling it as it is would alias."""
    fine = int(np.hypot(matrix[0, 0], matrix[1, 0]))
    if fine < 2:
        return delta, weight, matrix
    size = max(1, len(weight) // fine)
    scale = size / len(weight)
    smaller = matrix * scale
    smaller[:, 2] += (scale - 1) / 2  # pixel centers are at integers
    side = (size, size)
    return (
        cv2.resize(delta, side, interpolation=cv2.INTER_AREA),
        cv2.resize(weight, side, interpolation=cv2.INTER_AREA),
        smaller,
    )


def _region(weight: Floats, matrix: NDArray[np.float64], height: int, width: int) -> tuple[int, int, int, int] | None:
    """The part x0, y0, x1, y1 of the frame that a change can reach; None where that is empty."""
    used = weight > 0
    columns, rows = np.flatnonzero(used.any(0)), np.flatnonzero(used.any(1))
    if not len(columns) or abs(np.linalg.det(matrix[:, :2])) < 1e-9:
        return None
    left, right, top, bottom = columns[0] - 1, columns[-1] + 1, rows[0] - 1, rows[-1] + 1
    corners = np.array([(left, top), (right, top), (left, bottom), (right, bottom)], np.float64)
    in_frame = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    low = np.maximum(np.floor(in_frame.min(0)), 0).astype(int)
    high = np.minimum(np.ceil(in_frame.max(0)) + 1, (width, height)).astype(int)
    return None if (high <= low).any() else (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
