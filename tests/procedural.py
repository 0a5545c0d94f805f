"""Procedural faces: enough of a face to train on in a test, at any age and without any data."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np


def procedural_face(seed: int, age: float, size: int = 64) -> np.ndarray:
    """RGB uint8 [size, size, 3] in the FFHQ template: same seed, same person; hair greys and skin pales with age."""
    rng = np.random.default_rng(seed)
    background, skin, hair = rng.integers(30, 220, 3), np.array([205, 160, 130]) + rng.integers(-30, 30, 3), rng.integers(10, 110, 3)
    share = age / 100
    hair = hair * (1 - share) + 215 * share
    skin = skin * (1 - 0.3 * share) + 190 * 0.3 * share
    s = size / 64

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * s), round(y * s)

    face = np.empty((size, size, 3), np.uint8)
    face[:] = background
    cv2.ellipse(face, at(32, 30), at(22, 27), 0, 0, 360, hair.tolist(), -1)
    cv2.ellipse(face, at(32, 36), at(16, 21), 0, 0, 360, skin.tolist(), -1)
    for x in (24, 40):
        cv2.circle(face, at(x, 30), round(2 * s), (40, 30, 30), -1)
    cv2.ellipse(face, at(32, 46), at(6, 2), 0, 0, 360, (150, 60, 60), -1)
    for y in range(20, 20 + int(share * 8), 2):  # furrows
        cv2.line(face, at(24, y), at(40, y), (skin * 0.8).tolist(), 1)
    return face


def write_faces(folder: Path, people: int = 12, ages: tuple[int, ...] = (5, 20, 40, 70), size: int = 64) -> Path:
    """A folder of PNG files with a labels.csv (file,age,identity,split), the last person in four held out."""
    folder.mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["file", "age", "identity", "split"])
        for person in range(people):
            for age in ages:
                name = f"{person:03d}_{age:02d}.png"
                cv2.imwrite(str(folder / name), procedural_face(person, age, size)[:, :, ::-1])
                rows.writerow([name, age, person, "test" if person % 4 == 3 else "train"])
    return folder
