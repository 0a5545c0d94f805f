"""Frozen nets that score what a generator does: one estimates ages, one compares identities.

A judge is an ONNX file with one input ``x``: RGB float32 [N, 3, size, size], 0 to 255.  Its metadata ``crop`` =
``cx,cy,side,size`` names the square it looks at, in pixels of the 256 x 256 FFHQ crop.  Scores say nothing
about a model that was trained with its judge.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..card import CROP_KEY, parse_crop
from ..errors import ReagingError
from ..runtime.backends.ort import open_session

TEMPLATE = 256  # pixels of the crop that the metadata speaks of
Crops = NDArray[np.uint8]  # [N, H, H, 3] RGB, the FFHQ template at any H


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ReagingError(f"cannot read the judge {path} ({error.strerror})", "an ONNX file", "check the path") from None


class Judge:
    """One frozen net; call it with crops, get its raw output float32 [N, d]."""

    def __init__(self, path: str | Path, threads: int = 1, batch: int = 16):
        """Raises ReagingError where the file is missing, no ONNX, or says nothing usable about its crop."""
        self.name = Path(path).name
        self._session = open_session(_read(path), str(path), "cpu", threads)
        self._batch = batch
        self._output = self._session.get_outputs()[0].name
        text = self._session.get_modelmeta().custom_metadata_map.get(CROP_KEY, "")
        try:
            cx, cy, self._side, self._size = parse_crop(text)
            if self._session.get_inputs()[0].name != "x":
                raise ValueError
        except ValueError:
            raise ReagingError(
                f"{path} is no judge (crop {text!r})", "an ONNX file with input x and the metadata crop=cx,cy,side,size", "give another"
            ) from None
        self._center = cx, cy

    def __call__(self, crops: Crops) -> NDArray[np.float32]:
        x = np.stack([self.look(crop) for crop in crops]) if len(crops) else np.zeros((0, 3, self._size, self._size), np.float32)
        parts = [self._session.run([self._output], {"x": x[i : i + self._batch]})[0] for i in range(0, len(x), self._batch)]
        return np.concatenate(parts).reshape(len(x), -1)

    def look(self, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Its square of one crop uint8 [H, H, 3] as its input [3, size, size]; edge pixels repeat beyond the crop.

        Sampled at a whole multiple of ``size`` first and then averaged, so that shrinking does not alias.
        """
        scale = crop.shape[0] / TEMPLATE
        fine = max(1, math.ceil(self._side * scale / self._size)) * self._size
        step = self._side * scale / fine  # crop pixels between two samples
        # pixel centers are whole numbers in both pictures; the square's center meets the middle of the samples
        offset = [(c + 0.5) * scale - 0.5 - step * (fine - 1) / 2 for c in self._center]
        matrix = np.array([[step, 0, offset[0]], [0, step, offset[1]]])
        sampled = cv2.warpAffine(crop, matrix, (fine, fine), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
        seen = sampled if fine == self._size else cv2.resize(sampled, (self._size, self._size), interpolation=cv2.INTER_AREA)
        return seen.astype(np.float32).transpose(2, 0, 1)


def estimate_ages(judge: Judge, crops: Crops) -> NDArray[np.float64]:
    """Estimated ages in years [N]."""
    out = judge(crops)
    if out.shape[1] != 1:
        raise ReagingError(f"{judge.name} is no age judge (its output is {list(out.shape)})", "one number per face", "give another")
    return out[:, 0].astype(np.float64)


def identity_vectors(judge: Judge, crops: Crops) -> NDArray[np.float64]:
    """Unit vectors [N, d]; the likeness of two faces is their dot product, -1 to 1."""
    out = judge(crops).astype(np.float64)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


class PerceptualJudge:
    """Distance of two pictures in the features of a frozen net: an ONNX file whose every output is a tap [N, C, h, w]."""

    def __init__(self, path: str | Path, threads: int = 1):
        """Raises ReagingError where the file is missing or has no taps."""
        self.name = Path(path).name
        self._session = open_session(_read(path), str(path), "cpu", threads)
        if [i.name for i in self._session.get_inputs()] != ["x"] or any(len(o.shape) != 4 for o in self._session.get_outputs()):
            raise ReagingError(f"{path} is no perceptual net", "an ONNX file with input x whose outputs are feature maps", "give another")

    def __call__(self, a: Crops, b: Crops) -> NDArray[np.float64]:
        """Crops [N, H, H, 3] -> [N]: mean over taps of the squared distance of channel-normalized features; 0 for equal pictures."""
        return np.array([self._distance(x, y) for x, y in zip(a, b, strict=True)])

    def _distance(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
        both = np.stack([a, b]).astype(np.float32).transpose(0, 3, 1, 2)
        total = 0.0
        taps = self._session.run(None, {"x": both})
        for tap in taps:
            unit = tap / np.maximum(np.linalg.norm(tap, axis=1, keepdims=True), 1e-12)
            total += float(np.square(unit[0] - unit[1]).sum(0).mean())
        return total / len(taps)
