"""Ager: crops and ages in, change and mask out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backends.base import Backend, Floats
from .backends.ort import short


@dataclass(frozen=True)
class Change:
    """What the generator does to N faces: ``delta`` [N, S, S, 3] RGB, output minus input, -2..2; ``mask`` [N, S, S], 0..1.

    In memory each color of ``delta`` is a plane, as it leaves the network.
    """

    delta: Floats
    mask: Floats


class Ager:
    """Changes the age of aligned faces; all faces of a frame are one batch.

    ``failed`` is for a session that must go on: it takes one line the first time that the model raises, and whenever it does the faces stay
    as they are.  Without it the error is the caller's.  ``failures`` counts them; ``note`` says so while the last call was one.
    """

    def __init__(self, backend: Backend, failed: Callable[[str], None] | None = None):
        self.backend, self.failed = backend, failed
        self.size = backend.card.size[0]
        self.failures, self.note = 0, ""

    def __call__(self, crops: NDArray[np.uint8], ages: ArrayLike) -> Change:
        """crops uint8 [N, S, S, 3] RGB in the FFHQ template, ages in years (one, or one per face).

        S is ``self.size``. Raises ValueError where the shapes are others.
        """
        count, size = len(crops), self.size
        if crops.shape != (count, size, size, 3) or crops.dtype != np.uint8:
            raise ValueError(f"crops are {crops.dtype} {list(crops.shape)}, expected uint8 [N, {size}, {size}, 3]")
        years = np.ascontiguousarray(np.broadcast_to(np.asarray(ages, np.float32), count))
        if not count:
            return _unchanged(count, size)
        image = cv2.dnn.blobFromImages(list(crops), 1 / 127.5, mean=(127.5, 127.5, 127.5))
        try:
            aged, mask = self.backend.run(image, years)
        except Exception as error:  # the engines' own stand straight below Exception
            self.count(error)
            return _unchanged(count, size)
        self.note = ""
        return Change((aged - image).transpose(0, 2, 3, 1), np.ascontiguousarray(mask[:, 0]))

    def count(self, error: Exception) -> None:
        """Takes note of an error of the model; raises it where ``failed`` is not there."""
        if self.failed is None:
            raise error
        self.failures += 1
        self.note = f"the model failed ({short(error)}): faces stay as they are"
        if self.failures == 1:
            self.failed(self.note)


def _unchanged(count: int, size: int) -> Change:
    return Change(np.zeros((count, size, size, 3), np.float32), np.zeros((count, size, size), np.float32))
