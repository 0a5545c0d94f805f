"""The one test that every backend passes, on real devices and on stand-ins for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reaging.card import ModelCard
from reaging.runtime.backends.base import Backend

CARD = ModelCard(kind="generator", preset="tinting", size=(64, 64))


def check_backend(backend: Backend, counts: Sequence[int] = (1, 3)) -> None:
    """Of the tinting generator (conftest.py), with so many faces at once."""
    assert backend.card == CARD
    random = np.random.default_rng(0)
    for count in counts:
        image = random.uniform(-1, 1, (count, 3, 64, 64)).astype(np.float32)
        age = random.permutation(np.linspace(0, 100, count)).astype(np.float32)
        aged, mask = backend.run(image, age)
        assert aged.shape == image.shape and mask.shape == (count, 1, 64, 64)
        assert aged.dtype == mask.dtype == np.float32
        tint = np.float32([0.8, 0.1, -0.8])[None, :, None, None] * ((age - 50) / 100)[:, None, None, None]
        assert np.abs(aged - (image + mask * tint)).max() < 1e-5
        kept = aged.copy()
        again = backend.run(-image, age)[0]
        assert np.array_equal(aged, kept)  # not overwritten by the second run
        assert np.abs(again + image - (aged - image)).max() < 1e-5
        assert mask[0, 0, 32, 32] == 1 and mask[0, 0, 0, 0] == 0
