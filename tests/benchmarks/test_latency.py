"""Latency reports: every column there, the figures consistent, the errors one line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from reaging.benchmarks import models
from reaging.benchmarks.ceiling import KINDS, Ceiling, prepare_ceiling
from reaging.benchmarks.charts import draw_charts
from reaging.benchmarks.cli import main
from reaging.benchmarks.graph_cost import GraphCost, graph_cost
from reaging.benchmarks.latency import least_seconds, make_cases, percentiles
from reaging.benchmarks.worker import Sample
from reaging.errors import ReagingError

COLUMNS = {
    *("model", "backend", "threads", "batch", "size", "preset", "precision", "parameters", "macs", "int8_macs", "traffic", "bytes"),
    *(
        "load_ms",
        "build_ms",
        "peak_mb",
        "wall_ms",
        "cpu_ms",
        "per_face_ms",
        "gflops",
        "ceiling_share",
        "ceiling_share_cpu",
        "runs",
        "round_medians_ms",
    ),
}


def test_the_report_has_every_case_with_its_columns(brightening: Path, tmp_path: Path) -> None:
    out, tables, charts = tmp_path / "latency.json", tmp_path / "latency.md", tmp_path / "charts"
    options = ["--threads", "1", "--batch", "1,2", "--rounds", "2", "--json", str(out), "--markdown", str(tables), "--charts", str(charts)]
    run = CliRunner().invoke(main, ["latency", str(brightening), *options])
    assert run.exit_code == 0, run.output
    report = json.loads(out.read_text())
    assert report["kind"] == "latency"
    assert {"cpu", "cores", "memory_gb", "flags", "load", "packages"} <= report["machine"].keys()
    assert [(c["backend"], c["threads"], c["batch"]) for c in report["cases"]] == [("ort", 1, 1), ("ort", 1, 2)]
    (ceiling,) = report["ceilings"]
    assert ceiling["threads"] == 1 and all(ceiling[rate] > 0 for rate in ("fp32_gflops", "int8_gops", "memory_gbps"))
    for case in report["cases"]:
        assert case.keys() == COLUMNS
        assert 2 <= case["runs"] <= 10 and len(case["round_medians_ms"]) == 2
        assert 0 < case["wall_ms"]["p50"] <= case["wall_ms"]["p90"] <= case["wall_ms"]["p95"] <= case["wall_ms"]["p99"]
        assert case["per_face_ms"] == pytest.approx(case["wall_ms"]["p50"] / case["batch"])
        assert case["bytes"] == brightening.stat().st_size
        assert case["peak_mb"] > 30 and case["load_ms"] > 0 and case["build_ms"] > 0  # numpy and an engine take that at least
    assert tables.read_text().strip() in run.output
    assert {path.name for path in charts.iterdir()} == {"latency.png", "roofline.png"}


def test_rates_follow_from_work_and_time(tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    run = CliRunner().invoke(main, ["latency", "--threads", "1", "--batch", "2", "--rounds", "1", "--json", str(out)])
    assert run.exit_code == 0, run.output
    report = json.loads(out.read_text())
    (case,), (ceiling,) = report["cases"], report["ceilings"]
    assert case["gflops"] == pytest.approx(2 * case["macs"] * 2 / (case["wall_ms"]["p50"] * 1e6), rel=0.01)
    assert case["ceiling_share"] == pytest.approx(case["gflops"] / ceiling["fp32_gflops"], rel=0.01)
    by_cpu = 2 * case["macs"] * 2 / (case["cpu_ms"]["p50"] * 1e6)
    assert case["ceiling_share_cpu"] == pytest.approx(by_cpu / ceiling["fp32_gflops_cpu"], rel=0.01)


def test_bundled_generators_go_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def noted(paths: list[Path], *_: object) -> None:
        opened.extend(path.name for path in paths)
        raise ReagingError("that is all", "", "")

    monkeypatch.setattr("reaging.benchmarks.latency.make_cases", noted)
    for asked in (["mobile-int8", "mobile"], []):
        CliRunner().invoke(main, ["latency", *asked])
    assert opened == ["mobile-256-int8.onnx", "mobile-256.onnx", "mobile-256.onnx"]


def test_eight_bit_products_are_held_against_the_eight_bit_ceiling() -> None:
    assert least_seconds(GraphCost(0, 10**9, 0, 0), 100, 400) == pytest.approx(0.02)
    assert least_seconds(GraphCost(0, 10**9, 10**9, 0), 100, 400) == pytest.approx(0.005)
    assert least_seconds(GraphCost(0, 2 * 10**9, 10**9, 0), 100, 400) == pytest.approx(0.025)


def test_percentiles_are_the_order_statistics() -> None:
    values = np.random.default_rng(0).permutation(101.0 + np.arange(101))
    assert percentiles(values.tolist()) == {"p50": 151.0, "p90": 191.0, "p95": 196.0, "p99": 200.0}
    assert percentiles([3.0]) == {"p50": 3.0, "p90": 3.0, "p95": 3.0, "p99": 3.0}


@pytest.mark.parametrize("kind", KINDS)
def test_a_ceiling_says_how_much_it_does(kind: str) -> None:
    facts, run = prepare_ceiling(1, kind)
    run()
    assert facts["work"] >= 2 * 512**3 if kind != "memory" else facts["work"] == 2 * 64 * 2**20


def test_the_products_of_the_ceiling_are_right() -> None:
    from reaging.benchmarks import ceiling

    side = 16
    left = ceiling._left(side, "int8")
    (product,) = ceiling._session(ceiling._product_model(side, "int8"), 1, {"a": left})()
    weights = np.random.default_rng(1).integers(-64, 64, (side, side))
    np.testing.assert_array_equal(product, left.astype(int) @ weights)


def test_a_ceiling_is_the_median_of_its_rounds() -> None:
    ceiling = Ceiling(2)
    for wall in ([1.0, 2.0, 30.0], [0.5, 0.5, 0.5], [4.0, 4.0, 4.0]):  # seconds
        for kind in KINDS:
            ceiling.add(kind, 10e9, Sample(wall, [1.0, 1.0, 1.0], 0))
    rates = {"fp32_gflops": 5.0, "int8_gops": 5.0, "memory_gbps": 5.0, "fp32_gflops_cpu": 10.0, "int8_gops_cpu": 10.0}
    assert ceiling.summary() == {"threads": 2, **rates}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from reaging.nets import build_generator
    from reaging.presets import PRESETS
    from reaging.training.checkpoint import save_checkpoint

    nets = {"generator": build_generator(PRESETS["tiny"])}
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    save_checkpoint(path, SimpleNamespace(preset=PRESETS["tiny"], nets=nets, ema=nets, optimizers={}), 1)
    return path


def test_a_checkpoint_runs_at_another_size_in_every_backend(checkpoint: Path, tmp_path: Path) -> None:
    exported, eager = make_cases([checkpoint], ["ort", "torch"], [1], [1], [96], tmp_path)
    assert (exported.path.parent, eager.path) == (tmp_path, checkpoint) and exported.model == eager.model == "tiny.pt"
    image, age = np.random.default_rng(0).uniform(-1, 1, (1, 3, 96, 96)).astype(np.float32), np.float32([60])
    answers = [models.open_model(c.path, c.backend, 1, c.size) for c in (exported, eager)]
    np.testing.assert_allclose(*(backend.run(image, age)[0] for backend in answers), atol=1e-4)
    assert [backend.card.size for backend in answers] == [(96, 96)] * 2
    assert graph_cost(exported.path).macs == pytest.approx(
        answers[1].card.macs, rel=0.01
    )  # in the graph, whose fast form has a few more, and on a forward pass


def test_eager_torch_is_measured_too(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    options = ["--backend", "torch", "--size", "96", "--threads", "1", "--rounds", "1", "--json", str(out), "--charts", str(tmp_path)]
    run = CliRunner().invoke(main, ["latency", str(checkpoint), *options])
    assert run.exit_code == 0, run.output
    (case,) = json.loads(out.read_text())["cases"]
    assert (case["backend"], case["size"], case["traffic"]) == ("torch", 96, 0) and case["macs"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "abacus"], "abacus"),
        (["--backend", "torch"], "torch cannot run"),
        (["--backend", "ort,torch"], "torch cannot run"),
        (["--threads", "many"], "--threads"),
        (["--batch", "0"], "not usable"),
        (["--size", "128"], "made for 64 pixels"),
        (["--json", "nowhere/report.json"], "nowhere"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, returning: Path) -> None:
    run = CliRunner().invoke(main, ["latency", str(returning), *arguments])
    assert run.exit_code == 2
    assert message in run.output and run.output.count("\n") == 1


@pytest.mark.parametrize("backend", models.NAMES)
def test_a_backend_that_is_not_installed_is_said_before_anything_runs(
    backend: str, returning: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = models.NEEDS[backend][0]
    monkeypatch.setattr(models, "find_spec", lambda name: None if name in missing else object())
    run = CliRunner().invoke(main, ["latency", str(returning), "--backend", backend])
    assert run.exit_code == 2
    assert f"{backend} is not installed" in run.output and run.output.count("\n") == 1


def test_tensorrt_without_a_driver_is_said(returning: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from reaging.runtime.cuda import driver

    monkeypatch.setattr(models, "find_spec", lambda name: object())
    monkeypatch.setattr(driver, "driver_error", lambda: "no NVIDIA driver")
    with pytest.raises(ReagingError, match="tensorrt cannot run: no NVIDIA driver"):
        make_cases([returning], ["tensorrt"], [1], [1], None, tmp_path)


def case(model: str, backend: str, ms: float, macs: int) -> dict[str, Any]:
    wall = {"p50": ms, "p90": 1.1 * ms, "p95": 1.2 * ms, "p99": 1.5 * ms}
    cost = {"macs": macs, "traffic": macs // 20, "gflops": 2e-6 * macs / ms, "ceiling_share": 0.5}
    return {"model": model, "backend": backend, "threads": 1, "batch": 1, "size": 256, "wall_ms": wall, **cost}


def test_charts_show_every_case(tmp_path: Path) -> None:
    machine = {"cpu": "a processor", "cores": 2, "load": 0.1, "time": "2026-01-01T00:00:00"}
    ceilings = [{"threads": 1, "fp32_gflops": 100.0, "int8_gops": 300.0, "memory_gbps": 8.0}]
    cases = [case("a.onnx", "ort", 20, 10**9), case("b.onnx", "openvino", 900, 4 * 10**10)]
    few, many = ({"kind": "latency", "machine": machine, "ceilings": ceilings, "cases": n} for n in (cases, 8 * cases))
    (tmp_path / "many").mkdir()
    for small, large in zip(draw_charts(few, tmp_path), draw_charts(many, tmp_path / "many"), strict=True):
        pictures = cv2.imread(str(small)), cv2.imread(str(large))
        assert all(p is not None and p.std() > 10 for p in pictures)
        assert (pictures[0] < 128).sum() < (pictures[1] < 128).sum()  # more is drawn where there is more
