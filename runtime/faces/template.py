"""The FFHQ template: from five landmarks to a square that turns with the face, and that square cut out of a frame."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .face import Picture, Points

Matrix = NDArray[np.float64]
# the face's box in units of the template's half side: its center below that of the square, its half width and half height
BOX_DOWN, BOX_HALF_WIDTH, BOX_HALF_HEIGHT = 0.105, 0.55, 0.74


def square(landmarks: ArrayLike) -> tuple[Matrix, Matrix]:
    """Center [2] of FFHQ's square and the vector [2] from there to the middle of its right side, in the landmarks' pixels.

    With e from eye to eye and m from the eyes' middle to the mouth's: direction e + (m turned by -90 degrees), half side
    max(2.0 |e|, 1.8 |m|), center eyes + 0.1 m.  Raises ValueError where the landmarks are not five finite points that span a square.
    """
    across, down, x, y = _square(landmarks)
    return np.array([across, down]), np.array([x, y])


def _square(landmarks: ArrayLike) -> tuple[float, float, float, float]:
    """``square`` in plain numbers: of one face, a dozen operations on tiny arrays would take longer than warping it."""
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(f"expected five finite points, got {points.tolist()}")
    (ax, ay), (bx, by), _, (cx, cy), (dx, dy) = points.tolist()
    eyes_x, eyes_y, across_x, across_y = (ax + bx) / 2, (ay + by) / 2, bx - ax, by - ay
    down_x, down_y = (cx + dx) / 2 - eyes_x, (cy + dy) / 2 - eyes_y
    x, y = across_x + down_y, across_y - down_x
    length = math.hypot(x, y)
    side = max(2.0 * math.hypot(across_x, across_y), 1.8 * math.hypot(down_x, down_y))
    if not (math.isfinite(side) and side >= 1.0 and length >= 1e-3 * side):
        raise ValueError(f"these landmarks span no face: {points.tolist()}")
    return eyes_x + 0.1 * down_x, eyes_y + 0.1 * down_y, x * side / length, y * side / length


def squares(landmarks: Matrix) -> tuple[Matrix, Matrix]:
    """``square`` of K faces at once: [K, 5, 2] -> [K, 2] and [K, 2], the latter nan where the landmarks span no square."""
    eyes, mouth = landmarks[:, :2].mean(1), landmarks[:, 3:].mean(1)
    across, down = landmarks[:, 1] - landmarks[:, 0], mouth - eyes
    direction = across + down[:, ::-1] * (1, -1)
    length = np.hypot(direction[:, 0], direction[:, 1])
    side = np.maximum(2.0 * np.hypot(across[:, 0], across[:, 1]), 1.8 * np.hypot(down[:, 0], down[:, 1]))
    scale = np.where((length < 1e-3 * side) | (side < 1.0), np.nan, side / np.maximum(length, 1e-9))
    return eyes + 0.1 * down, direction * scale[:, None]


def frame_to_crop(landmarks: ArrayLike, size: int, zoom: float = 1.0) -> NDArray[np.float32]:
    """Matrix [2, 3] that takes the frame's pixels to those of the crop of size x size (centers of pixels at whole numbers).

    ``zoom`` above 1 shows less than FFHQ's square.  Raises ValueError as ``square`` does.
    """
    across, down, x, y = _square(landmarks)
    scale, middle = size / 2 * zoom / (x * x + y * y), (size - 1) / 2
    x, y = x * scale, y * scale
    return np.array([[x, y, middle - x * across - y * down], [-y, x, middle + y * across - x * down]], np.float32)


def resized(matrix: ArrayLike, by: float) -> Matrix:
    """The matrix [2, 3] to a crop that shows the same with ``by`` times the pixels a side."""
    larger = np.asarray(matrix, np.float64) * by
    larger[:, 2] += (by - 1) / 2  # centers of pixels are at whole numbers
    return larger


def inverse(matrix: ArrayLike) -> tuple[float, float, float, float, float, float]:
    """The first and the second row of the matrix [2, 3] that takes a crop's pixels back to the frame's; all 0 where there is none."""
    (a, b, x), (c, d, y) = np.asarray(matrix, np.float64).tolist()
    size = a * d - b * c
    if not size:
        return (0.0,) * 6
    return d / size, -b / size, (b * y - d * x) / size, -c / size, a / size, (c * x - a * y) / size


def cut(frame: Picture, matrix: ArrayLike, size: int) -> Picture:
    """Frame [H, W, 3] BGR -> crop [size, size, 3] RGB under ``matrix`` [2, 3] (frame to crop).

    Shrinking averages first, so that a large face does not flicker; outside the frame its mirror image stands.
    """
    a, b, x, c, d, y = inverse(matrix)
    step = math.sqrt(abs(a * d - b * c))
    halvings = round(math.log2(step)) if step >= 1.5 else 0
    left, right = _under(x, a, b, size, frame.shape[1], 2**halvings)
    top, bottom = _under(y, c, d, size, frame.shape[0], 2**halvings)
    small = region = frame[top:bottom, left:right]
    for _ in range(halvings):  # exact halves are many times faster than any other shrinking
        small = cv2.resize(small, (max(1, small.shape[1] // 2), max(1, small.shape[0] // 2)), interpolation=cv2.INTER_AREA)
    across, down = small.shape[1] / region.shape[1], small.shape[0] / region.shape[0]
    crop_to_small = np.array(
        [
            [across * a, across * b, across * (x - left + 0.5) - 0.5],
            [down * c, down * d, down * (y - top + 0.5) - 0.5],
        ]
    )
    # OpenCV warps four channels in little more than half the time of three
    with_alpha, flags = cv2.cvtColor(small, cv2.COLOR_BGR2RGBA), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(with_alpha, crop_to_small, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return cv2.cvtColor(crop, cv2.COLOR_RGBA2RGB)


def _under(start: float, across: float, down: float, size: int, limit: int, multiple: int) -> tuple[int, int]:
    """From which to which of a frame's ``limit`` columns (or rows) a crop needs, their number a multiple of ``multiple``.

    They end inside the frame only where the crop does, so that a mirror at their border is one at the frame's, to less than ``multiple``
    pixels; all of them for a crop that lies outside.
    """
    low = min(0.0, across * size) + min(0.0, down * size) + start
    high = max(0.0, across * size) + max(0.0, down * size) + start
    first = min(max(math.floor(low) - 2 * multiple, 0), limit)
    last = min(max(math.ceil(high) + 3 * multiple, 0), limit)
    last -= (last - first) % multiple
    return (0, limit) if last - first < 4 * multiple else (first, last)


def face_box(landmarks: ArrayLike) -> Points:
    """Box [4] (x, y, width, height) around the face's ellipse, from forehead to chin.  Raises ValueError as ``square`` does."""
    across, down, x, y = _square(landmarks)
    wide, high = math.hypot(BOX_HALF_WIDTH * x, BOX_HALF_HEIGHT * y), math.hypot(BOX_HALF_WIDTH * y, BOX_HALF_HEIGHT * x)
    return np.array([across - BOX_DOWN * y - wide, down + BOX_DOWN * x - high, 2 * wide, 2 * high], np.float32)


def face_boxes(landmarks: Points) -> Points:
    """``face_box`` of K faces at once: [K, 5, 2] -> [K, 4], nan where the landmarks span no square."""
    center, right = squares(landmarks.astype(np.float64))
    down = right[:, ::-1] * (-1, 1)
    half = np.hypot(BOX_HALF_WIDTH * right, BOX_HALF_HEIGHT * down)
    corner = center + BOX_DOWN * down - half
    return np.concatenate([corner, 2 * half], axis=1).astype(np.float32)
