"""The gate of int8 files on toy judges: what changes nothing passes, what changes ages or faces is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reaging.benchmarks.int8_gate import int8_gate
from reaging.benchmarks.models import open_model
from reaging.export.pictures import read_pictures, square_crops
from reaging.export.verify import TestInputs, as_image


def test_only_what_changes_ages_or_identities_is_beyond_the_bounds(
    brightening: Path, face_folder: Path, age_model: Path, id_model: Path
) -> None:
    run = open_model(brightening).run
    faces = as_image(square_crops(read_pictures(face_folder)[2:5], 64)).repeat(2, 0)
    inputs = TestInputs(faces, np.float32([5, 50] * 3), "toy faces")
    gate = int8_gate(age_model, id_model)

    said, beyond = gate(run, run, inputs)
    assert not beyond and len(said) == 2
    assert "3 faces" in said[0] and age_model.name in said[0] and id_model.name in said[1]

    def flat(image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        aged, mask = run(image, age)
        return np.full_like(aged, -1), mask

    beyond = gate(run, flat, inputs)[1]
    assert [line.split()[0] for line in beyond] == ["age", "identity"]
