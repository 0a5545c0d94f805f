"""One photo -> one face, cut out in the FFHQ template and measured; with the nets that the live filter uses."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime.faces.face import Face, Picture, Points
from ..runtime.faces.find import FaceFinder, YuNetFinder
from ..runtime.faces.landmarks import FaceAligner
from ..runtime.faces.template import cut, frame_to_crop
from .filters import Filters, refuse_face, refuse_label
from .layouts import Photo
from .measures import Measures, black_share, chroma, fingerprint, outside_share, pose, sharpness, thumbnail
from .parsing import FaceParser
from .photos import Unreadable, read_photo

# full-resolution color; read back five times as fast as WebP, and written twenty times as fast
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
THUMB = 96  # pixels of a dropped picture in the report


@dataclass(frozen=True)
class Cutting:
    """How photos are cut; the same for the same numbers."""

    size: int
    filters: Filters
    detector: Path | None = None  # a YuNet file in place of the bundled finder and aligner
    masks: Path | None = None  # a face-parsing ONNX file


@dataclass(frozen=True)
class Crop:
    """What became of a photo: a face (``reason`` empty), or why not, and then a small picture of it if there is one."""

    reason: str
    measures: Measures | None = None
    content: str = ""  # hash of the photo's bytes
    hash: bytes = b""  # perceptual, see measures.fingerprint
    gray: bytes = b""  # see measures.thumbnail
    landmarks: Points | None = None  # [5, 2] in the crop's pixels
    encoded: bytes = b""  # JPEG, size x size
    mask: bytes = b""  # PNG, gray, size/4 x size/4
    thumb: bytes = b""  # JPEG


class FaceCutter:
    """Holds the nets; one to a process."""

    def __init__(self, how: Cutting):
        """Raises ReagingError where a net cannot be loaded."""
        self.how = how
        self.finder = YuNetFinder(how.detector) if how.detector else FaceFinder()
        self.aligner = None if how.detector else FaceAligner()
        self.parser = FaceParser(how.masks) if how.masks else None

    def __call__(self, photo: Photo) -> Crop:
        """Never raises for what is in a photo."""
        reason = refuse_label(photo, self.how.filters)
        try:
            frame = read_photo(photo.span)
        except Unreadable as error:
            return Crop(f"unreadable: {error}")
        if reason:
            return Crop(reason, thumb=_thumb(frame))
        faces = self.faces(frame)
        if not faces:
            return Crop("no face found", thumb=_thumb(frame))
        matrix = frame_to_crop(faces[0].landmarks, self.how.size)
        crop = cut(frame, matrix, self.how.size)
        try:
            measures = measure(frame, crop, faces, matrix)
        except ValueError:
            return Crop("no face found", thumb=_thumb(frame))
        reason = refuse_face(measures, self.how.filters)
        if reason:
            return Crop(reason, measures, thumb=_thumb(crop[:, :, ::-1]))
        points = faces[0].landmarks @ matrix[:, :2].T + matrix[:, 2]
        encoded = cv2.imencode(".jpg", crop[:, :, ::-1], JPEG)[1].tobytes()
        mask = self.parser.mask_png(crop) if self.parser else b""
        content = hashlib.sha256(photo.span.read()).hexdigest()
        return Crop("", measures, content, fingerprint(crop).tobytes(), thumbnail(crop).tobytes(), points, encoded, mask)

    def faces(self, frame: Picture) -> list[Face]:
        """The faces of a frame BGR, largest first, that span a square."""
        faces = self.finder(frame)
        if self.aligner and faces:
            faces = self.aligner(frame, self.aligner(frame, faces))  # from rough landmarks it needs two looks
        usable = []
        for face in faces:
            try:
                frame_to_crop(face.landmarks, self.how.size)
                usable.append(face)
            except ValueError:
                continue
        return sorted(usable, key=lambda f: -float(f.box[3]))


def measure(frame: Picture, crop: Picture, faces: list[Face], matrix: NDArray[np.float32]) -> Measures:
    """Of the first of the faces; raises ValueError where its landmarks fit none."""
    face = faces[0]
    yaw, pitch, roll = pose(face.landmarks)
    return Measures(
        score=face.score,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        sharpness=sharpness(crop),
        chroma=chroma(crop),
        resolution=float(1 / np.hypot(matrix[0, 0], matrix[0, 1])),
        outside=outside_share(matrix, frame, len(crop)),
        black=black_share(crop),
        rival=float(faces[1].box[3] / face.box[3]) if len(faces) > 1 else 0.0,
    )


def _thumb(frame: Picture) -> bytes:
    """A small JPEG of a BGR picture, for the report."""
    factor = THUMB / max(frame.shape[:2])
    size = (max(1, round(frame.shape[1] * factor)), max(1, round(frame.shape[0] * factor)))
    return cv2.imencode(".jpg", cv2.resize(frame, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
