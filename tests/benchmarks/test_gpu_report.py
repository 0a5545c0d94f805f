"""The GPU's report: what it measures without a GPU, what it names as absent, and its GPU steps on stand-ins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from gpu_fakes import fake_gpu

from reaging.benchmarks import gpu_report
from reaging.benchmarks.gpu_report import Work, backend, copies, frames, kernels, main, steps, targets
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.driver import driver_error

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
    assert report["steps"]["targets"]["720p frame under 3 ms at p99"] == "not measured"
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
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: b"\x7fELF faces_to_input changes_to_frame")
    monkeypatch.setattr(gpu_report, "FRAMES", {"720p": (120, 160)})
    with fake_gpu(monkeypatch, tmp_path) as (_, trt):
        work = Work(tmp_path, WEIGHTS, [1, 3, 6], 2)
        assert copies(work)["ms"]["720p up"]["runs"] == 2
        seen = kernels(work)
        assert seen["within"], seen
        work.results["tensorrt"] = backend(work, "tensorrt", tinting)
        rows = work.results["tensorrt"]["ms"]["tensorrt fp32"]
        assert trt.builds == 1 and rows["3"]["parity"]["largest"] < 1e-5 and "network" not in rows["6"]  # 6 are two batches of 4
        work.results["frames"] = frames(work)
        assert set(work.results["frames"]["ms"]) == {"tensorrt fp32, 720p, over the CPU", "tensorrt fp32, 720p, on the GPU"}
        assert all(row["p50"] > 0 for row in work.results["frames"]["ms"].values()), work.results["frames"]
        judged = targets(work)
        assert judged["mobile-256 p50 under 1 ms"] in (True, False) and isinstance(judged["720p frame under 3 ms at p99"], bool)
        assert judged["mobile-256 at least 2x torch eager fp16"] == "not measured"
        assert "tensorrt fp32" in judged["share of a 720p frame outside the generator (at most 0.25)"]
