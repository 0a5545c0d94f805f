"""Finding faces in a whole frame: our finder, or a YuNet ONNX file in its place."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import ReagingError
from ..backends.modelfile import refuse_external
from .face import Face, Picture, Points
from .session import open_face_model
from .template import face_box, face_boxes

LONG_SIDE = 320  # pixels of the longer side that the finder sees
MULTIPLE = 32  # the network's sides are multiples of this
STRIDES = (8, 16, 32)  # of the network's three levels
UNITS = (14.0, 40.0, 110.0)  # pixels of one unit of a landmark offset at each level: about the half side of the faces it looks for
GRAY = 128 / 127.5 - 1  # what fills the frame up
YUNET_LONG_SIDE = 640
# of two candidates' boxes: the overlap from which they show the same face and agree on it, only show the same face, and the share of
# the smaller inside the larger from which it is a part of that face
AGREE, DOUBLE, NESTED = 0.6, 0.35, 0.75
CANDIDATES = 300  # the best so many are looked at


class FaceFinder:
    """The project's own finder on ONNX Runtime: frame -> faces with rough landmarks, best first."""

    def __init__(self, path: Path | str | None = None, threads: int = 1, threshold: float = 0.7):
        """``path`` None means the bundled finder.  Raises ReagingError where the model cannot be used."""
        self.session, self.card = open_face_model(path, "finder", threads)
        self.input = self.session.get_inputs()[0].name
        self.threshold = threshold

    def __call__(self, frame: Picture) -> list[Face]:
        """Faces of a frame [H, W, 3] BGR; landmarks and boxes in its pixels."""
        small, scale = reduced(frame, LONG_SIDE)
        levels = self.session.run(None, {self.input: network_input(small)})
        return [_enlarged(face, scale) for face in decode([level[0] for level in levels], self.threshold)]


class YuNetFinder:
    """OpenCV's YuNet from a file of the user's."""

    def __init__(self, path: Path | str, threshold: float = 0.6):
        """Raises ReagingError where the file is missing or OpenCV cannot read it."""
        if not Path(path).is_file():
            raise ReagingError(f"there is no {path}", "a YuNet ONNX file", "check the path")
        refuse_external(Path(path).read_bytes(), str(path))
        try:
            self.net = cv2.FaceDetectorYN.create(str(path), "", (LONG_SIDE, LONG_SIDE), threshold, 0.3, 200)
            self(np.zeros((64, 64, 3), np.uint8))  # another net is refused here, not at the first frame
        except cv2.error as error:
            raise ReagingError(f"{path} cannot be loaded", "a YuNet ONNX file", "take it from OpenCV's model zoo") from error

    def __call__(self, frame: Picture) -> list[Face]:
        """Faces of a frame [H, W, 3] BGR, best first."""
        small, scale = reduced(frame, YUNET_LONG_SIDE)
        self.net.setInputSize((small.shape[1], small.shape[0]))
        rows = self.net.detect(small)[1]
        faces = []
        for row in np.empty((0, 15), np.float32) if rows is None else rows:
            # YuNet knows no half pixels: its numbers are taken as they are
            points = row[4:14].reshape(5, 2) * scale
            box = (row[:4].reshape(2, 2) * scale).reshape(4)
            faces.append(Face(box.astype(np.float32), points.astype(np.float32), float(row[14])))
        return sorted(faces, key=lambda face: -face.score)


def reduced(frame: Picture, long_side: int) -> tuple[Picture, Points]:
    """The frame with its longer side at most ``long_side`` pixels, and how many of the frame's pixels [2] (x, y) one of its pixels is.

    It is halved as often as it can be and brought down to size by interpolation, a third to a fifth of the time of an average over areas
    that are no whole pixels or many.
    """
    height, width = frame.shape[:2]
    factor = long_side / max(height, width)
    if factor >= 1:
        return frame, np.ones(2, np.float32)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    halvings = 0
    while width >= 2 * size[0] and height >= 2 * size[1]:
        height, width = height // 2, width // 2
        frame = cv2.resize(frame[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        halvings += 1
    scale = np.array([width / size[0], height / size[1]], np.float32) * 2**halvings
    return cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR), scale


def network_input(small: Picture) -> Points:
    """[h, w, 3] BGR -> float32 [1, 3, H, W] RGB, -1 to 1, filled up with gray to multiples of 32."""
    height, width = small.shape[:2]
    filled = np.full((1, 3, height + -height % MULTIPLE, width + -width % MULTIPLE), GRAY, np.float32)
    for plane, color in zip(filled[0, ::-1], cv2.split(small), strict=True):
        cv2.addWeighted(color, 1 / 127.5, color, 0, -1, plane[:height, :width], cv2.CV_32F)
    return filled


def decode(levels: list[NDArray[np.float32]], threshold: float) -> list[Face]:
    """The finder's three maps [11, h, w] of one frame -> faces in the pixels of its input, best first, overlaps removed."""
    scores, points = [], []
    limit = np.log(threshold / (1 - threshold))
    for level, stride, unit in zip(levels, STRIDES, UNITS, strict=True):
        rows, columns = np.nonzero(level[0] > limit)
        if not len(rows):
            continue
        cells = (np.stack([columns, rows], axis=1) + 0.5) * stride - 0.5
        points.append(level[1:, rows, columns].T.reshape(-1, 5, 2) * unit + cells[:, None])
        scores.append(level[0, rows, columns])
    if not scores:
        return []
    logits, landmarks = np.concatenate(scores), np.concatenate(points).astype(np.float32)
    order = np.argsort(-logits)[:CANDIDATES]
    return _without_doubles(landmarks[order], 1 / (1 + np.exp(-logits[order])))


def _without_doubles(landmarks: Points, scores: Points) -> list[Face]:
    """Candidates, best first -> one face for each heap of them, its landmarks the mean of those that agree, weighted by score."""
    boxes = face_boxes(landmarks)
    left = np.isfinite(boxes).all(axis=1)  # a cell whose points fall into one is no face
    found = []
    while left.any():
        best = int(np.argmax(left))
        union, part = _shares(boxes[best], boxes)
        agreeing = left & (union > AGREE)
        weights = scores[agreeing]
        mean = (np.tensordot(weights, landmarks[agreeing], axes=1) / weights.sum()).astype(np.float32)
        try:
            found.append(Face(face_box(mean), mean, float(scores[best])))
        except ValueError:  # they agree on the place but not on which way is up
            found.append(Face(boxes[best], landmarks[best], float(scores[best])))
        left &= (union < DOUBLE) & (part < NESTED)
    return found


def overlap(first: Points, second: Points) -> float:
    """Intersection over union of two boxes [4] (x, y, width, height)."""
    return float(_shares(first, second[None])[0][0])


def _shares(box: Points, others: Points) -> tuple[Points, Points]:
    """Of a box [4] and others [K, 4]: intersection over union [K], and the part of the smaller of the two that lies in the other [K]."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    width, height = np.maximum(high - low, 0).T
    shared, area, areas = width * height, box[2] * box[3], others[:, 2] * others[:, 3]
    return shared / np.maximum(area + areas - shared, 1e-9), shared / np.maximum(np.minimum(area, areas), 1e-9)


def _enlarged(face: Face, scale: Points) -> Face:
    """A face of the reduced frame in the frame's own pixels (centers of pixels at whole numbers in both)."""
    landmarks = ((face.landmarks + 0.5) * scale - 0.5).astype(np.float32)
    box = (face.box.reshape(2, 2) * scale).reshape(4)
    return Face(box.astype(np.float32), landmarks, face.score)
