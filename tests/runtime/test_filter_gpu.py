"""FaceFilter with its pixels on the GPU: held against the same filter without, on stand-ins for TensorRT and pycuda."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from gpu_fakes import fake_gpu
from script import Script, face_at

from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.backends.tensorrt import TensorRT
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.frames import gpu_frames
from reaging.runtime.filter import FaceFilter


@pytest.mark.parametrize("steady", [False, True])
def test_frames_are_the_same_with_and_without(tmp_path: Path, tinting: Path, monkeypatch: pytest.MonkeyPatch, steady: bool) -> None:
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: b"\x7fELF faces_to_input changes_to_frame")
    frame = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 4)
    with fake_gpu(monkeypatch, tmp_path) as (cuda, _):
        backend = TensorRT(tinting)
        script = Script(face_at(100, 100), face_at(200, 120, 1))
        on_gpu = FaceFilter(Ager(backend), script, 80, gpu=gpu_frames(backend))
        without = FaceFilter(Ager(open_backend(tinting, "cpu", 1)), script, 80)
        on_gpu.steady = without.steady = steady
        for i, time in enumerate([0.0, 0.1, 0.2, 0.3]):
            on_gpu.age = without.age = 80 - 20 * i
            script.faces[0] = face_at(100 + 4 * i, 100)
            got, expected = on_gpu(frame, time), without(frame, time)
            assert np.abs(got.astype(int) - expected).max() <= 2, time
            assert np.abs(expected.astype(int) - frame).max() > 5
        cuts = cuda.log.count("faces_to_input")
        assert cuts == (1 if steady else 2)  # calmed: only the first, which stands alone; else queued once, recorded, replayed
        script.faces = []
        assert on_gpu(frame, 5.0) is frame or steady
