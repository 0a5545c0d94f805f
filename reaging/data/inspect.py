"""What is in a data set: counts, ages, and a picture of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..ages import CLASS_NAMES, age_class
from ..files import whole_file
from .shards import FaceSet


def summary(sets: dict[str, FaceSet]) -> str:
    """A table: pictures and people per split and age class."""
    lines = [f"{'':<8}{'pictures':>9}{'people':>8}  " + "".join(f"{name:>7}" for name in CLASS_NAMES)]
    for split, faces in sets.items():
        counts = np.bincount(age_class([r.age for r in faces.records]), minlength=len(CLASS_NAMES))
        lines.append(f"{split:<8}{len(faces):>9}{len(faces.identities):>8}  " + "".join(f"{c:>7}" for c in counts))
    return "\n".join(lines)


def write_sheet(faces: FaceSet, path: Path, columns: int = 8, side: int = 128) -> None:
    """One row of pictures per age class, evenly taken; a class without pictures is left black."""
    classes = age_class([r.age for r in faces.records])
    sheet = np.zeros((len(CLASS_NAMES) * side, columns * side, 3), np.uint8)
    for row in range(len(CLASS_NAMES)):
        members = np.flatnonzero(classes == row)
        for column, index in enumerate(
            members[np.linspace(0, len(members) - 1, min(columns, len(members))).astype(int)] if len(members) else []
        ):
            picture = cv2.resize(faces.picture(int(index)), (side, side), interpolation=cv2.INTER_AREA)
            sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = picture[:, :, ::-1]
        cv2.putText(sheet, CLASS_NAMES[row], (4, row * side + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    with whole_file(path) as part:
        cv2.imwrite(str(part), sheet)
