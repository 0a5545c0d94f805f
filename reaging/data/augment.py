"""Augmentation that a webcam calls for, drawn once per training example and applied to each of its pictures alike."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Augmentation:
    """What happens to one example: the same for the input, the paired target and the mask, so that only age tells them apart."""

    flip: bool
    matrix: NDArray[np.float64]  # 2x3, in units of the picture's side, about its center
    gain: NDArray[np.float32]  # [3], per channel
    gamma: float
    blur: float  # sigma in 1/256 of the side; 0: none
    noise: float  # standard deviation in gray levels; 0: none
    jpeg: int  # quality; 0: none
    motion: tuple[float, float]  # how far a pixel smears right and down, in 1/256 of the side; (0, 0): none
    seed: int  # of the noise


def draw_augmentation(rng: np.random.Generator, jitter: float, degrade: float) -> Augmentation:
    """``jitter`` 0..1: strength of the similarity jitter and of the colors.

    ``degrade`` 0..1: chance of blur, noise, JPEG, dim light and motion blur each.
    """
    angle, scale = rng.normal(0, 0.07) * jitter, np.exp(rng.normal(0, 0.05) * jitter)
    shift = rng.normal(0, 0.02, 2) * jitter
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    hits = rng.random(5) < degrade
    length, way, dim = rng.uniform(2, 8), rng.uniform(0, np.pi), rng.uniform(0.25, 0.8)
    return Augmentation(
        flip=bool(rng.random() < 0.5),
        matrix=np.array([[c, -s, shift[0]], [s, c, shift[1]]]),
        gain=np.exp(rng.normal(0, 0.12) * jitter + rng.normal(0, 0.05, 3) * jitter).astype(np.float32) * np.float32(dim if hits[3] else 1),
        gamma=float(np.exp(rng.normal(0, 0.2) * jitter)),
        blur=float(rng.uniform(0.4, 1.6)) * hits[0],
        noise=float(rng.uniform(1, 8)) * hits[1],
        jpeg=int(rng.integers(30, 90)) * int(hits[2]),
        motion=(length * np.cos(way), length * np.sin(way)) if hits[4] else (0.0, 0.0),
        seed=int(rng.integers(2**31)),
    )


def augment_picture(picture: NDArray[np.uint8], a: Augmentation) -> NDArray[np.uint8]:
    """RGB [S, S, 3] -> RGB [S, S, 3]."""
    out = _warp(picture, a, cv2.BORDER_REFLECT_101)
    levels = np.arange(256, dtype=np.float32) / 255
    table = np.clip(255 * np.power(levels[:, None], a.gamma) * a.gain + 0.5, 0, 255).astype(np.uint8)
    out = cv2.LUT(out, table[None])
    if a.motion != (0.0, 0.0):
        out = cv2.filter2D(out, -1, _smear(a.motion, len(out) / 256))
    if a.blur:
        out = cv2.GaussianBlur(out, (0, 0), a.blur * len(out) / 256)
    if a.noise:
        grain = np.random.default_rng(a.seed).normal(0, a.noise, out.shape).astype(np.float32)
        out = np.clip(out + grain + 0.5, 0, 255).astype(np.uint8)
    if a.jpeg:
        decoded = cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, a.jpeg])[1], cv2.IMREAD_COLOR)
        assert decoded is not None
        out = decoded
    return np.asarray(out, np.uint8)


def augment_mask(mask: NDArray[np.float32], a: Augmentation) -> NDArray[np.float32]:
    """Mask [s, s] in 0..1 -> the same, moved with the picture."""
    return _warp(mask, a, cv2.BORDER_REPLICATE)


def _warp(array: NDArray, a: Augmentation, border: int) -> NDArray:
    side = array.shape[0]
    center = (side - 1) / 2
    matrix = a.matrix.copy()
    matrix[:, 2] = matrix[:, 2] * side + center - matrix[:, :2] @ [center, center]
    if a.flip:
        array = np.ascontiguousarray(array[:, ::-1])
    return cv2.warpAffine(array, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)


def _smear(motion: tuple[float, float], scale: float) -> NDArray[np.float32]:
    """The kernel [k, k] of a camera that moves along a line while the shutter is open."""
    right, down = motion[0] * scale / 2, motion[1] * scale / 2
    radius = int(np.ceil(max(abs(right), abs(down), 1)))
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    for t in np.linspace(-1, 1, 8 * radius + 1):
        kernel[round(radius + t * down), round(radius + t * right)] += 1
    return kernel / kernel.sum()
