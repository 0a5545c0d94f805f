"""Ager: crops and ages in, change and mask out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backends.base import Backend, Floats


@dataclass(frozen=True)
class Change:
    """What the generator does to N faces: ``delta`` [N, S, S, 3] RGB, output minus input, -2..2; ``mask`` [N, S, S], 0..1."""

    delta: Floats
    mask: Floats


class Ager:
    """Changes the age of aligned faces; all faces of a frame are one batch."""

    def __init__(self, backend: Backend):
        self.backend = backend
        self.size = backend.card.size[0]

    def __call__(self, crops: NDArray[np.uint8], ages: ArrayLike) -> Change:
        """crops uint8 [N, S, S, 3] RGB in the FFHQ template, ages in years (one, or one per face).

        S is ``self.size``. Raises ValueError where the shapes are others.
        """
        count, size = len(crops), self.size
        if crops.shape != (count, size, size, 3) or crops.dtype != np.uint8:
            raise ValueError(f"crops are {crops.dtype} {list(crops.shape)}, expected uint8 [N, {size}, {size}, 3]")
        years = np.ascontiguousarray(np.broadcast_to(np.asarray(ages, np.float32), count))
        if not count:
            return Change(np.zeros((0, size, size, 3), np.float32), np.zeros((0, size, size), np.float32))
        image = cv2.dnn.blobFromImages(list(crops), 1 / 127.5, mean=(127.5, 127.5, 127.5))
        aged, mask = self.backend.run(image, years)
        delta = np.stack([cv2.merge(list(planes)) for planes in aged - image])
        return Change(delta, np.ascontiguousarray(mask[:, 0]))
