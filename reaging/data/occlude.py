"""Hands, microphones and cups before a face: painted into an example so that the network learns to leave them alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def draw_occluder(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """The shape of a thing that reaches into the picture [size, size], 1 where it is, with an edge of a pixel or two.

    One to four strokes of a round brush side by side (fingers, an arm, a microphone's stem), starting at the lower or a side border and
    ending in the face, sometimes with a round end.
    """
    shape = np.zeros((size, size), np.uint8)
    start = np.array([rng.choice([-0.1, 1.1]), rng.uniform(0.4, 1.1)]) if rng.random() < 0.5 else np.array([rng.uniform(0, 1), 1.15])
    end = rng.uniform((0.25, 0.35), (0.75, 0.9))
    across = np.array([start[1] - end[1], end[0] - start[0]])
    across /= np.linalg.norm(across) + 1e-9
    strokes = int(rng.integers(1, 5))
    width = rng.uniform(0.05, 0.22) if strokes == 1 else rng.uniform(0.05, 0.09)
    for k in range(strokes):
        tip = end + across * (k - (strokes - 1) / 2) * width * 1.05 + rng.normal(0, 0.03, 2)
        foot = start + across * (k - (strokes - 1) / 2) * width
        bend = (tip + foot) / 2 + across * rng.normal(0, 0.06)
        points = np.stack([foot, bend, tip])
        cv2.polylines(shape, [np.round(points * size).astype(np.int32)], False, 255, max(1, round(width * size)), cv2.LINE_AA)
    if rng.random() < 0.4:
        cv2.circle(shape, tuple(np.round(end * size).astype(int).tolist()), round(size * rng.uniform(0.05, 0.14)), 255, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), size / 256), np.float32) / np.float32(255)


def draw_texture(rng: np.random.Generator, other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the thing looks like, RGB like ``other`` [S, S, 3]: skin of that other face, enlarged, or a shaded surface of one color."""
    size = len(other)
    if rng.random() < 0.6:
        side = int(size * rng.uniform(0.12, 0.3))
        left, top = (int(size * rng.uniform(a, b)) for a, b in ((0.3, 0.6), (0.45, 0.6)))
        patch = other[top : top + side, left : left + side]
        return np.asarray(cv2.resize(patch, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
    y, x = np.mgrid[:size, :size] / size
    way = rng.uniform(0, 2 * np.pi)
    shade = 1 + rng.uniform(0.1, 0.6) * (np.cos(way) * (x - 0.5) + np.sin(way) * (y - 0.5))
    color = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(5, 200))
    grain = rng.normal(0, rng.uniform(0, 6), (size, size, 1))
    return np.clip(shade[..., None] * color + grain, 0, 255).astype(np.uint8)


def cover(picture: NDArray[np.uint8], shape: NDArray[np.float32], texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture [S, S, 3] with the textured shape [S, S] before it."""
    weight = shape[..., None]
    return np.asarray(picture * (1 - weight) + texture * weight + 0.5, np.uint8)
