"""The GPU's report: what it measures without a GPU, what it names as absent, and its GPU steps on stand-ins."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from gpu_fakes import CUBIN, fake_gpu

from reaging.benchmarks import gpu_parity, gpu_report
from reaging.benchmarks.gpu_parity import kernels
from reaging.benchmarks.gpu_report import Work, backend, copies, frames, main, steps
from reaging.benchmarks.gpu_targets import LARGE, targets
from reaging.presets import PRESETS
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.driver import driver_error
from reaging.runtime.cuda.frames import GpuFrames
from reaging.runtime.cuda.rows import GpuFace

WEIGHTS = Path(__file__).parents[2] / "weights"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_report, "WARM_UP", 0)


def test_without_a_gpu_it_measures_torch_and_names_what_is_absent(tmp_path: Path) -> None:
    if driver_error() is None:
        pytest.skip("this machine has a GPU")
    out = tmp_path / "report"
    result = CliRunner().invoke(main, ["--out", str(out), "--batches", "1,2", "--runs", "2", "--no-large", "--weights", str(WEIGHTS)])
    assert result.exit_code == 0, result.output
    report = json.loads((out / "gpu-report.json").read_text())
    assert "no NVIDIA driver" in report["absent"]["gpu"] and "pip download" in report["absent"]["pycuda"]
    for step in ("copies", "kernels", "tensorrt mobile-256"):
        assert "no NVIDIA driver" in report["steps"][step]["error"]
    rows = report["steps"]["torch mobile-256"]["ms"]["torch eager fp32"]
    assert set(rows) == {"1", "2"} and rows["2"]["network"]["p50"] > 0 and rows["1"]["parity"]["largest"] < 1e-4
    assert set(report["steps"]["frames"]["ms"]) == {f"torch eager fp32 on the CPU, {size}, over the CPU" for size in ("720p", "1080p")}
    judged = {k: v for k, v in report["steps"]["targets"].items() if k != "seconds"}
    assert len(judged) == 4 and set(judged.values()) == {"not measured"}
    text = (out / "gpu-report.md").read_text()
    assert "absent: **gpu**" in text and "| torch eager fp32" in text


def test_a_step_that_breaks_leaves_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(work: Work) -> dict[str, object]:
        raise ZeroDivisionError("a driver's whim")

    monkeypatch.setattr(gpu_report, "copies", broken)
    monkeypatch.setattr(gpu_report, "steps", lambda *a: {k: v for k, v in steps(*a).items() if k in ("copies", "targets")})
    assert CliRunner().invoke(main, ["--out", str(tmp_path), "--runs", "2"]).exit_code == 0
    report = json.loads((tmp_path / "gpu-report.json").read_text())
    assert "ZeroDivisionError: a driver's whim" in report["steps"]["copies"]["error"] and "targets" in report["steps"]


def test_the_gpu_steps_run_on_stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tinting: Path) -> None:
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: CUBIN)
    monkeypatch.setattr(gpu_report, "FRAMES", {"720p": (120, 160)})
    with fake_gpu(monkeypatch, tmp_path) as (_, trt):
        work = Work(tmp_path, WEIGHTS, [1, 3, 6], 2)
        assert copies(work)["ms"]["720p up"]["runs"] == 2
        work.results["tensorrt"] = backend(work, "tensorrt", lambda: tinting)
        rows = work.results["tensorrt"]["ms"]["tensorrt tinting fp32"]
        assert trt.builds == 1 and trt.seen["profile"]["image"] == ((1, 3, 64, 64), (1, 3, 64, 64), (6, 3, 64, 64))
        assert all(row["parity"]["largest"] < 1e-5 and row["network"]["runs"] == 2 for row in rows.values()) and set(rows) == {
            "1",
            "3",
            "6",
        }
        work.results["frames"] = frames(work)
        assert set(work.results["frames"]["ms"]) == {f"tensorrt tinting fp32, 720p, {way}" for way in ("over the CPU", "on the GPU")}
        assert all(row["p50"] > 0 for row in work.results["frames"]["ms"].values()), work.results["frames"]


def test_the_kernels_are_held_against_the_cpus_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: CUBIN)
    monkeypatch.setattr(gpu_parity, "FRAME", (360, 640))
    with fake_gpu(monkeypatch, tmp_path):
        seen = kernels()
        assert seen["within"] and set(seen["largest difference in gray levels"]) == {
            *(f"{k} {i}" for k in ("frame", "input") for i in (1, 2, 3)),
            "lost",
        }, seen
        monkeypatch.setattr(gpu_parity, "GpuFrames", _Wrong)
        assert not kernels()["within"]


class _Wrong(GpuFrames):
    """Calms nothing."""

    def __call__(self, frame: np.ndarray, faces: list[GpuFace], meanwhile: Callable[[], object]) -> np.ndarray:
        return super().__call__(frame, [replace(face, weight=None) for face in faces], meanwhile)


def test_the_large_preset_is_exported_once_and_measured_beside_the_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here with fewer channels."""
    small = replace(PRESETS[LARGE], size=64, widths=(8, 12, 16), bottleneck_blocks=1, style=16, code_repeat=3)
    monkeypatch.setitem(PRESETS, LARGE, small)
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: CUBIN)
    work = Work(tmp_path, WEIGHTS, [1, 2], 2)
    written = gpu_report.large_model(work).stat().st_mtime_ns  # here: the exporter looks for TensorRT too, and at more than the fake has
    with fake_gpu(monkeypatch, tmp_path):
        every = steps(work, [], large=True)
        assert [name for name in every if LARGE in name] == [f"onnxruntime cuda {LARGE}-fp16", f"tensorrt {LARGE}-fp16", f"torch {LARGE}"]
        for name in (f"tensorrt {LARGE}-fp16", f"torch {LARGE}"):
            work.results[name] = every[name]()
    table = work.results[f"tensorrt {LARGE}-fp16"]
    assert table["weights"] == "random weights" and not work.frame_backends
    rows = table["ms"][f"tensorrt {LARGE} fp16"]
    assert set(rows) == {"1", "2"} and all(row["parity"]["psnr"] > 40 and row["network"]["p50"] > 0 for row in rows.values())
    assert work.results[f"torch {LARGE}"]["ms"]["torch eager fp32"]["2"]["host to host"]["runs"] == 2
    assert (tmp_path / f"{LARGE}-fp16.onnx").stat().st_mtime_ns == written
    assert f"| tensorrt {LARGE} fp16" in gpu_report.markdown(work)


def test_targets_are_judged_on_tensorrt_else_on_the_fastest_and_named() -> None:
    def one(ms: float) -> dict[str, Any]:
        return {"1": {"network": {"p50": ms}}}

    results: dict[str, Any] = {
        "torch mobile-256": {"ms": {"torch eager fp16": one(1.8), "torch CUDA graph fp16": one(0.7), "torch.compile fp16": one(1.0)}},
        "torch ragan-256": {"ms": {"torch.compile fp16": one(3.0), "torch CUDA graph fp16": {"error": "out of memory"}}},
        "onnxruntime cuda mobile-256-fp16": {"ms": {"onnxruntime cuda mobile-256 fp16": one(0.6)}},
        "onnxruntime cuda ragan-256-fp16": {"ms": {"onnxruntime cuda ragan-256 fp16": one(2.5)}},
        "frames": {"ms": {
            "torch CUDA graph fp16, 720p, on the GPU": {"p50": 1.0, "p99": 1.5},
            "onnxruntime cuda mobile-256 fp16, 720p, on the GPU": {"p50": 0.75, "p99": 3.5},
            "onnxruntime cuda mobile-256 fp16, 1080p, on the GPU": {"p50": 0.7, "p99": 0.8},
        }},
        "copies": {"error": "no pycuda"},
    }  # fmt: skip
    under, eager, compiled, whole = targets(results).values()
    assert under == {"met": True, "with": "onnxruntime cuda mobile-256 fp16", "ms": 0.6}
    assert eager == {"met": True, "with": "onnxruntime cuda mobile-256 fp16", "times": 3.0}
    assert compiled == {"met": False, "with": "onnxruntime cuda ragan-256 fp16", "times": 1.2}
    assert whole["torch CUDA graph fp16"] == {"met": False, "p99 ms": 1.5, "outside": 0.3}
    assert whole["onnxruntime cuda mobile-256 fp16"] == {"met": False, "p99 ms": 3.5, "outside": 0.2} and len(whole) == 2
    results["tensorrt ragan-256-fp16"] = {"ms": {"tensorrt ragan-256 fp16": one(2.0)}}
    results["tensorrt mobile-256-fp16"] = {"ms": {"tensorrt mobile-256 fp16": one(0.95)}}  # slower, and still what is judged
    under, eager, compiled, _ = targets(results).values()
    assert under["ms"] == 0.95 and not eager["met"] and compiled == {"met": True, "with": "tensorrt ragan-256 fp16", "times": 1.5}
    assert set(targets({}).values()) == {"not measured"}
