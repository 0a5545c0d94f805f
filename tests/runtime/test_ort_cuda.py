"""ONNX Runtime's CUDA backend with the CPU's memory in place of the GPU's: bindings, copies and batches are the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from backend_check import check_backend
from gpu_fakes import CUBIN, fake_gpu

from reaging.errors import ReagingError
from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.backends.ort_cuda import OnnxRuntimeCuda
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.frames import GpuFrames
from reaging.runtime.cuda.rows import GpuFace
from reaging.runtime.faces.template import cut, frame_to_crop
from reaging.runtime.paste import paste_patches, patch


class Session:
    """A session that says it runs on CUDA, and runs on the CPU."""

    made: list[Session] = []  # noqa: RUF012

    def __init__(self, data: bytes, options: Any, providers: list[str]):
        assert providers == ["CUDAExecutionProvider"]
        self._real = REAL(data, options, providers=["CPUExecutionProvider"])
        self.runs = 0
        Session.made.append(self)

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def run_with_iobinding(self, binding: Any) -> None:
        self.runs += 1
        self._real.run_with_iobinding(binding)

    def __getattr__(self, name: str) -> Any:
        if name == "run":
            raise AssertionError("a run without binding copies twice")
        return getattr(self._real, name)


REAL = onnxruntime.InferenceSession
ORT_VALUE = onnxruntime.OrtValue.ortvalue_from_shape_and_type


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Makes CUDA appear; the shapes of all tensors that were made on it."""
    shapes: list[tuple[int, ...]] = []

    def made(shape: tuple[int, ...], kind: Any, device: str, number: int) -> Any:
        assert device == "cuda" and number == 0
        shapes.append(tuple(shape))
        return ORT_VALUE(shape, kind, "cpu", 0)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", staticmethod(made))
    return shapes


def test_computes_what_every_backend_computes(cuda: list[tuple[int, ...]], tinting: Path) -> None:
    backend = open_backend(tinting, "cuda", 1)
    assert isinstance(backend, OnnxRuntimeCuda) and backend.device == "cuda"
    check_backend(backend, (1, 3, 19, 3))  # 19 are three batches
    assert len(cuda) == 4 * 3  # four tensors each for 1, 3 and 8 faces, made once
    assert all(backend.addresses(3)[name] == backend.addresses(3)[name] for name in ("image", "age", "aged", "mask"))


def test_a_session_on_the_cpu_is_refused(cuda: list[tuple[int, ...]], tinting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "get_providers", lambda self: ["CPUExecutionProvider"])
    with pytest.raises(ReagingError, match="could not start CUDA"):
        open_backend(tinting, "cuda")


def test_an_error_of_the_engine_while_opening_is_one_line(
    cuda: list[tuple[int, ...]], tinting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(self: Session, binding: Any) -> None:
        raise RuntimeError("CUDA out of memory\nand a page of stack")

    monkeypatch.setattr(Session, "run_with_iobinding", out_of_memory)
    with pytest.raises(ReagingError, match="does not run on cuda \\(CUDA out of memory\\)"):
        open_backend(tinting, "cuda")


def test_frames_through_its_device_memory(
    cuda: list[tuple[int, ...]], tinting: Path, astronaut: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: CUBIN)
    frame = np.ascontiguousarray(cv2.GaussianBlur(cv2.imread(str(astronaut)), (0, 0), 2.5)[:300])
    face = np.float32([[204, 104], [242, 102], [224, 126], [210, 146], [240, 145]])
    matrices = [frame_to_crop(face, 64), frame_to_crop(face * 1.2 + 30, 64)]
    with fake_gpu(monkeypatch, tmp_path) as (driver, _):
        backend = OnnxRuntimeCuda(tinting, 1)
        frames = GpuFrames(backend)
        driver._device = lambda address, size: address  # the tensors are ONNX Runtime's own
        before, runs = len(driver.log), Session.made[-1].runs
        got = frames(frame, [GpuFace(m, frames.keep(), age, gain) for m, age, gain in zip(matrices, [90.0, 10.0], [1.0, 0.5], strict=True)])
        assert [c for c in driver.log[before:] if "to_" in c] == CUBIN.decode(errors="replace").split()[1:]
        assert Session.made[-1].runs == runs + 1
    ager = Ager(open_backend(tinting, "cuda", 1))
    change = ager(np.stack([cut(frame, m, 64) for m in matrices]), [90.0, 10.0])
    expected = paste_patches(frame, [patch(d, m) for d, m in zip(change.delta, change.mask, strict=True)], matrices, [1.0, 0.5])
    assert np.abs(got.astype(int) - expected).max() <= 1 and np.abs(expected.astype(int) - frame).max() > 20
