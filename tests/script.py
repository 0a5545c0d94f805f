"""Faces of a known shape, and a tracker that sees what it is told to."""

from __future__ import annotations

import numpy as np

from reaging.runtime.faces.face import Face
from reaging.runtime.faces.template import face_box

SHAPE = np.float32([[-15, -15], [15, -15], [0, 0], [-12, 17], [12, 17]])


def face_at(x: float, y: float, track: int = 0) -> Face:
    """A face whose nose is there, with eyes 30 pixels apart."""
    points = SHAPE + np.float32([x, y])
    return Face(face_box(points), points, 0.9, track)


class Script:
    """A tracker whose ``faces`` are in every frame; ``due``: whether it asks for the finder, whose faces it does not take."""

    follows = True

    def __init__(self, *faces: Face, due: bool = False):
        self.faces, self.resets, self._due = list(faces), 0, due

    def due(self) -> bool:
        return self._due

    def search(self, frame: np.ndarray) -> list[Face]:
        return []

    def take(self, found: list[Face]) -> None:
        pass

    def align(self, frame: np.ndarray, time_s: float) -> list[Face]:
        return list(self.faces)

    def reset(self) -> None:
        self.resets += 1
