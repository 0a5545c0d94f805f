"""Labelled rows of pictures: one face at several ages, or before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from .filter import FaceFilter
from .sources.base import Frame

View = Callable[[Frame, float], Frame]  # frame and its time -> what is shown or written
LABEL_HEIGHT = 32
COLUMNS = 6
SHEET_WIDTH, NARROWEST = 2400, 96


def labelled_row(pictures: Sequence[Frame], labels: Sequence[str], scale: float = 1.0) -> Frame:
    """Pictures of one size side by side, each under its label; ``scale`` shrinks or enlarges them first.  uint8 [h, w, 3] BGR."""
    cells = []
    for picture, label in zip(pictures, labels, strict=True):
        height, width = picture.shape[:2]
        if scale != 1:
            side = (max(1, round(width * scale)), max(1, round(height * scale)))
            picture = cv2.resize(picture, side, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
        room = max(0, NARROWEST - picture.shape[1])  # a narrow picture still carries its label
        picture = cv2.copyMakeBorder(picture, LABEL_HEIGHT, 0, room // 2, room - room // 2, cv2.BORDER_CONSTANT, value=(24, 24, 24))
        cv2.putText(picture, label, (8, LABEL_HEIGHT - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (240, 240, 240), 1, cv2.LINE_AA)
        cells.append(picture)
    return np.hstack(cells)


def sheet(pictures: Sequence[Frame], labels: Sequence[str]) -> Frame:
    """A labelled sheet of pictures of one size: rows of at most six, shrunk to fit 2400 pixels of width."""
    columns = min(COLUMNS, len(pictures))
    scale = min(1.0, SHEET_WIDTH / (columns * pictures[0].shape[1]))
    empty = -len(pictures) % columns
    pictures, labels = [*pictures, *[np.full_like(pictures[0], 24)] * empty], [*labels, *[""] * empty]
    return np.vstack([labelled_row(pictures[i : i + columns], labels[i : i + columns], scale) for i in range(0, len(pictures), columns)])


def ages_view(face_filter: FaceFilter, ages: Sequence[float]) -> View:
    """A sheet with the original first, then every age."""
    labels = ["original", *(f"{age:g}" for age in ages)]
    return lambda frame, time: sheet([frame, *face_filter.at_ages(frame, time, ages)], labels)


def compare_view(face_filter: FaceFilter) -> View:
    """Before and after side by side, at full size."""
    return lambda frame, time: labelled_row([frame, face_filter(frame, time)], ["before", f"{face_filter.age:g}"])
