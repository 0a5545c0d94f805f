"""The FFHQ template: from five landmarks to a square that turns with the face, and that square cut out of a frame."""

from __future__ import annotations

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
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(f"expected five finite points, got {points.tolist()}")
    center, right = squares(points[None])
    if not np.isfinite(right).all():
        raise ValueError(f"these landmarks span no face: {points.tolist()}")
    return center[0], right[0]


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
    center, right = square(landmarks)
    x, y = right / (right @ right) * (size / 2 * zoom)
    turn = np.array([[x, y], [-y, x]])
    return np.hstack([turn, (size - 1) / 2 - turn @ center[:, None]]).astype(np.float32)


def cut(frame: Picture, matrix: ArrayLike, size: int) -> Picture:
    """Frame [H, W, 3] BGR -> crop [size, size, 3] RGB under ``matrix`` [2, 3] (frame to crop).

    Shrinking averages first, so that a large face does not flicker; outside the frame its mirror image stands.
    """
    crop_to_frame: Matrix = np.asarray(cv2.invertAffineTransform(np.asarray(matrix, np.float64)), np.float64)
    step = float(np.sqrt(abs(np.linalg.det(crop_to_frame[:, :2]))))
    if step < 1.5:
        return cv2.cvtColor(_warped(frame, crop_to_frame, size), cv2.COLOR_BGR2RGB)
    halvings = round(np.log2(step))
    region, offset = _under(frame, crop_to_frame, size, 2**halvings)
    small = region
    for _ in range(halvings):  # exact halves are many times faster than any other shrinking
        small = cv2.resize(small, (max(1, small.shape[1] // 2), max(1, small.shape[0] // 2)), interpolation=cv2.INTER_AREA)
    scale = np.array([small.shape[1] / region.shape[1], small.shape[0] / region.shape[0]])
    crop_to_small = scale[:, None] * crop_to_frame
    crop_to_small[:, 2] = scale * (crop_to_frame[:, 2] - offset + 0.5) - 0.5
    return cv2.cvtColor(_warped(small, crop_to_small, size), cv2.COLOR_BGR2RGB)


def _warped(picture: Picture, crop_to_picture: Matrix, size: int) -> Picture:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, crop_to_picture, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def _under(frame: Picture, crop_to_frame: Matrix, size: int, multiple: int) -> tuple[Picture, Matrix]:
    """The part of the frame that a crop needs, its sides multiples of ``multiple``, and where its upper left pixel lies.

    It ends inside the frame only where the crop does, so that a mirror at its border is one at the frame's, to less than ``multiple``
    pixels; all of the frame for a crop that lies outside.
    """
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64) @ crop_to_frame[:, :2].T + crop_to_frame[:, 2]
    limit = np.array(frame.shape[1::-1])
    low = np.clip(np.floor(corners.min(0)).astype(int) - 2 * multiple, 0, limit)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 3 * multiple, 0, limit)
    high -= (high - low) % multiple
    if (high - low < 4 * multiple).any():
        low, high = np.zeros(2, int), limit
    return frame[low[1] : high[1], low[0] : high[0]], low.astype(np.float64)


def face_box(landmarks: ArrayLike) -> Points:
    """Box [4] (x, y, width, height) around the face's ellipse, from forehead to chin.  Raises ValueError as ``square`` does."""
    center, right = square(landmarks)
    return _boxes(center[None], right[None])[0]


def face_boxes(landmarks: Points) -> Points:
    """``face_box`` of K faces at once: [K, 5, 2] -> [K, 4], nan where the landmarks span no square."""
    return _boxes(*squares(landmarks.astype(np.float64)))


def _boxes(center: Matrix, right: Matrix) -> Points:
    down = right[:, ::-1] * (-1, 1)
    half = np.hypot(BOX_HALF_WIDTH * right, BOX_HALF_HEIGHT * down)
    corner = center + BOX_DOWN * down - half
    return np.concatenate([corner, 2 * half], axis=1).astype(np.float32)
