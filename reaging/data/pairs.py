"""What a pair should not teach."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

MOUTH = (127.5, 186.0, 40.0, 24.0)  # center and half axes in a 256 px FFHQ crop, whose mouth corners are at (101, 187) and (154, 187)


@cache
def mouth(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights [size, size, 1] of the mouth, and of the ring of skin around it."""
    y, x = np.mgrid[:size, :size].astype(np.float32) * (256 / size)
    distance = np.hypot((x - MOUTH[0]) / MOUTH[2], (y - MOUTH[1]) / MOUTH[3])[..., None]
    inside = np.clip((1.25 - distance) / 0.5, 0, 1)
    ring = ((distance > 1.1) & (distance < 1.7)).astype(np.float32)
    return inside.astype(np.float32), ring


def keep_mouth(image: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``target`` [S, S, 3] with the mouth of ``image``, an FFHQ crop like it, in the shade that the skin around it has in the target.

    An editor that makes a person older closes the smile as well.  Learned from, that is a gray band over the lips.
    """
    inside, ring = mouth(len(image))
    a, b = image.astype(np.float32), target.astype(np.float32)
    shade = ((b - a) * ring).sum((0, 1)) / ring.sum()
    return np.clip(b + inside * (a + shade - b) + 0.5, 0, 255).astype(np.uint8)
