"""The aligner: exact landmarks of faces whose place is about known, and whether they are faces at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .face import Face, Picture, Points
from .session import open_face_model
from .template import cut, face_box, frame_to_crop, inverse

MIRRORED = [1, 0, 2, 4, 3]  # the five landmarks of a mirror image
ZOOM = 1.2  # the aligner sees the FFHQ square enlarged by this


class FaceAligner:
    """The project's aligner on ONNX Runtime, all faces of a frame in one batch."""

    def __init__(self, path: Path | str | None = None, threads: int = 1, threshold: float = 0.5):
        """``path`` None means the bundled aligner.  Raises ReagingError where the model cannot be used."""
        self.session, self.card = open_face_model(path, "aligner", threads)
        self.input = self.session.get_inputs()[0].name
        self.threshold = threshold

    def __call__(self, frame: Picture, faces: list[Face]) -> list[Face]:
        """Frame [H, W, 3] BGR and faces with landmarks from a finder or the last frame -> the same faces with exact landmarks.

        Those that are none are left out, the others keep their order and track.
        """
        size = self.card.size[0]
        crops, matrices, kept = [], [], []
        for face in faces:
            try:
                matrix = frame_to_crop(face.landmarks, size, ZOOM)
            except ValueError:  # the points fell into one: lost
                continue
            crops.append(cut(frame, matrix, size))
            matrices.append(matrix)
            kept.append(face)
        if not kept:
            return []
        points, logits = self._both_ways(crops)
        aligned = []
        for face, matrix, found, logit in zip(kept, matrices, points, logits, strict=True):
            score = float(1 / (1 + np.exp(-logit)))
            if score < self.threshold:
                continue
            in_crop = (found + 1) * (size / 2) - 0.5
            a, b, x, c, d, y = inverse(matrix)
            landmarks = (in_crop @ np.array([[a, c], [b, d]]) + (x, y)).astype(np.float32)
            try:
                aligned.append(Face(face_box(landmarks), landmarks, score, face.track))
            except ValueError:
                continue
        return aligned

    def _both_ways(self, crops: Sequence[Picture]) -> tuple[Points, Points]:
        """The network's answers for N crops [S, S, 3], averaged over each crop and its mirror image: steadier than one look, and a network
        of twice the size would cost as much."""
        both = [*crops, *(cv2.flip(crop, 1) for crop in crops)]
        points, logits = self.session.run(None, {self.input: cv2.dnn.blobFromImages(both, 1 / 127.5, mean=(127.5, 127.5, 127.5))})
        count = len(crops)
        mirrored = points[count:, MIRRORED] * np.array([-1, 1], np.float32)
        return (points[:count] + mirrored) / 2, (logits[:count] + logits[count:]) / 2
