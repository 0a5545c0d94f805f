"""Whether an int8 generator still does what its float32 network does, by the judges of ``reaging-bench quality``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ..export.verify import Runner, TestInputs
from .judges import TEMPLATE, Judge
from .quality import TARGETS, Faces, Judges, answers

MOST_AGE_ERROR = 0.3  # years that int8 may add to the mean age error
MOST_IDENTITY = 0.01  # cosine that it may take


def int8_gate(age_model: str | Path, id_model: str | Path) -> Callable[[Runner, Runner, TestInputs], tuple[list[str], list[str]]]:
    """For export_int8: both networks over its faces and all targets; says what the judges measured, and which bounds are missed.

    Raises ReagingError where a judge is none.
    """
    judges = Judges((Judge(age_model),), Judge(id_model))

    def judge(fp32: Runner, int8: Runner, inputs: TestInputs) -> tuple[list[str], list[str]]:
        size = inputs.image.shape[-1]
        faces = _faces(inputs)
        both = [answers(run, size, faces, TARGETS, judges)[0] for run in (fp32, int8)]
        errors = [float(np.abs(found.estimates[0] - found.targets).mean()) for found in both]
        likeness = [float(found.identity.mean()) for found in both]
        said = [
            f"age error {errors[0]:.2f} years in float32, {errors[1]:.2f} in int8 ({len(faces.names)} faces, {judges.ages[0].name})",
            f"identity {likeness[0]:.4f} in float32, {likeness[1]:.4f} in int8 ({judges.identity.name})",
        ]
        beyond = []
        if not errors[1] - errors[0] <= MOST_AGE_ERROR:
            beyond.append(f"age error {errors[1] - errors[0]:+.2f} years, at most +{MOST_AGE_ERROR} wanted")
        if not likeness[0] - likeness[1] <= MOST_IDENTITY:
            beyond.append(f"identity {likeness[1] - likeness[0]:+.4f}, at least -{MOST_IDENTITY} wanted")
        return said, beyond

    return judge


def _faces(inputs: TestInputs) -> Faces:
    """Each picture of the inputs once, whatever ages it came with; the judges say how old it is."""
    pixels = np.clip(np.round((inputs.image + 1) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    crops = np.unique(pixels, axis=0)
    if crops.shape[1] != TEMPLATE:
        crops = np.stack([cv2.resize(crop, (TEMPLATE, TEMPLATE), interpolation=cv2.INTER_CUBIC) for crop in crops]).astype(np.uint8)
    names = tuple(str(i) for i in range(len(crops)))
    return Faces(np.ascontiguousarray(crops), np.full(len(crops), np.nan), names, ("",) * len(crops), names)
