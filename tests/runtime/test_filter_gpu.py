"""FaceFilter with its pixels on the GPU: held against the same filter without, on stand-ins for TensorRT and pycuda."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from gpu_fakes import fake_gpu

from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.backends.tensorrt import TensorRT
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.frames import gpu_frames
from reaging.runtime.faces.face import Face
from reaging.runtime.faces.template import face_box
from reaging.runtime.filter import FaceFilter

SHAPE = np.float32([[-15, -15], [15, -15], [0, 0], [-12, 17], [12, 17]])


class Script:
    """A tracker that sees what it is told to."""

    def __init__(self, *places: tuple[float, float]):
        self.places = list(places)

    def due(self) -> bool:
        return False

    def search(self, frame: np.ndarray) -> list[Face]:
        return []

    def take(self, found: list[Face]) -> None:
        pass

    def align(self, frame: np.ndarray, time_s: float) -> list[Face]:
        points = [SHAPE + np.float32(place) for place in self.places]
        return [Face(face_box(p), p, 0.9, i) for i, p in enumerate(points)]

    def reset(self) -> None:
        pass


@pytest.mark.parametrize("steady", [False, True])
def test_frames_are_the_same_with_and_without(tmp_path: Path, tinting: Path, monkeypatch: pytest.MonkeyPatch, steady: bool) -> None:
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: b"\x7fELF faces_to_input changes_to_frame")
    frame = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 4)
    with fake_gpu(monkeypatch, tmp_path) as (cuda, _):
        backend = TensorRT(tinting)
        script = Script((100, 100), (200, 120))
        on_gpu = FaceFilter(Ager(backend), script, 80, gpu=gpu_frames(backend))
        without = FaceFilter(Ager(open_backend(tinting, "cpu", 1)), script, 80)
        on_gpu.steady = without.steady = steady
        for i, time in enumerate([0.0, 0.1, 0.2, 0.3]):
            on_gpu.age = without.age = 80 - 20 * i
            script.places[0] = (100 + 4 * i, 100)
            got, expected = on_gpu(frame, time), without(frame, time)
            assert np.abs(got.astype(int) - expected).max() <= 2, time
            assert np.abs(expected.astype(int) - frame).max() > 5
        cuts = cuda.log.count("faces_to_input")
        assert cuts == (1 if steady else 2)  # calmed: only the first, which stands alone; else queued once, recorded, replayed
        script.places = []
        assert on_gpu(frame, 5.0) is frame or steady
