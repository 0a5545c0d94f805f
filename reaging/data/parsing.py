"""Masks from a face-parsing net that the user brings: which pixels are skin, hair, neck."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import ReagingError
from ..runtime.faces.face import Picture

# the 19 classes of CelebAMask-HQ as BiSeNet's widespread exports number them: what of a head may change with age
CLASSES = 19
MAY_CHANGE = [1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 17]  # skin, brows, eyes, ears, nose, mouth, lips, neck, hair
MEAN, SPREAD = (
    np.array([0.485, 0.456, 0.406], np.float32),
    np.array([0.229, 0.224, 0.225], np.float32),
)  # ImageNet's, as these nets were trained with


class FaceParser:
    """A parsing net on ONNX Runtime: one picture in, RGB normalized as for ImageNet; [N, 19, h, w] scores out."""

    def __init__(self, path: Path):
        """Raises ReagingError where the file is missing or no such net."""
        from ..runtime.backends.ort import open_session

        if not path.is_file():
            raise ReagingError(f"there is no {path}", "a face-parsing ONNX file", "check the path of --masks")
        self.session = open_session(path.read_bytes(), str(path), "cpu", 1)
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        shape, classes = inputs[0].shape, outputs[0].shape[1:2]
        if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3 or (isinstance(classes[0], int) and classes[0] != CLASSES):
            raise ReagingError(
                f"{path} takes {shape} and gives {outputs[0].shape}",
                f"one picture [N, 3, H, W] in, [N, {CLASSES}, h, w] out (CelebAMask-HQ's classes)",
                "use a BiSeNet face-parsing export",
            )
        self.side = shape[2] if isinstance(shape[2], int) else 512

    def __call__(self, crop: Picture) -> np.ndarray:
        """RGB crop [S, S, 3] -> [S/4, S/4] in 0..1: the share of each 4 x 4 block that may change."""
        way = cv2.INTER_AREA if len(crop) > self.side else cv2.INTER_LINEAR
        picture = cv2.resize(crop, (self.side, self.side), interpolation=way).astype(np.float32) / 255
        batch = ((picture - MEAN) / SPREAD).transpose(2, 0, 1)[None]
        scores = self.session.run(None, {self.session.get_inputs()[0].name: np.ascontiguousarray(batch)})[0]
        may = np.isin(scores[0].argmax(0), MAY_CHANGE).astype(np.float32)
        return cv2.resize(may, (len(crop) // 4, len(crop) // 4), interpolation=cv2.INTER_AREA)

    def mask_png(self, crop: Picture) -> bytes:
        """The same as a gray PNG."""
        return cv2.imencode(".png", np.round(self(crop) * 255).astype(np.uint8))[1].tobytes()
