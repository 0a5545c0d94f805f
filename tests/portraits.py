"""Photos of the tests' own making: a portrait that is free to use, on grounds and in light that tell the pictures apart."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest


@lru_cache
def portrait() -> np.ndarray:
    """scikit-image's astronaut (NASA, public domain), head and shoulders, BGR."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[0:300, 80:380, ::-1])


def photo(seed: int, side: int = 300) -> np.ndarray:
    """BGR [side, side, 3]: the portrait's head, flipped or not, on another ground for every seed; no two are near-duplicates."""
    rng = np.random.default_rng(seed)
    head = portrait()[:, :: -1 if seed % 2 else 1]
    y, x = np.mgrid[:300, :300]
    center = (144, 110) if seed % 2 == 0 else (155, 110)
    inside = np.clip((1.15 - np.hypot((x - center[0]) / 62, (y - center[1]) / 85)) / 0.1, 0, 1)[..., None]
    ground = cv2.resize(rng.choice([20, 90, 250], (6, 6, 3)).astype(np.float32), (300, 300), interpolation=cv2.INTER_LINEAR)
    light = 1 + 0.4 * (np.cos(a := rng.uniform(0, 2 * np.pi)) * (x - 150) + np.sin(a) * (y - 110))[..., None] / 100
    picture = (inside * head * light * rng.uniform(0.8, 1.1, 3) + (1 - inside) * ground).clip(0, 255).astype(np.uint8)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) if side != 300 else picture


def write_photo(path, seed: int, side: int = 300):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), photo(seed, side))
    return path


def write_photos(folder, count: int, ages=(5, 20, 40, 70)):
    """A folder in the layout csv."""
    folder.mkdir(parents=True)
    rows = [f"{k:03d}.jpg,{ages[k % len(ages)]},p{k // 2}" for k in range(count)]
    for k in range(count):
        write_photo(folder / f"{k:03d}.jpg", k)
    (folder / "labels.csv").write_text("file,age,identity\n" + "\n".join(rows) + "\n")
    return folder
