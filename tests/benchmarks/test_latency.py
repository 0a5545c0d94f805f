"""Latency reports, the graph's cost, and the comparison of two reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reaging.benchmarks.cli import main
from reaging.benchmarks.compare import compare_reports


def test_the_report_has_every_case_with_its_times(returning: Path, tmp_path: Path) -> None:
    out = tmp_path / "latency.json"
    run = CliRunner().invoke(main, ["latency", str(returning), "--threads", "1", "--batch", "1,2", "--rounds", "2", "--json", str(out)])
    assert run.exit_code == 0, run.output
    report = json.loads(out.read_text())
    assert report["kind"] == "latency"
    assert {"cpu", "cores", "flags", "load", "packages"} <= report["machine"].keys()
    assert [(c["backend"], c["threads"], c["batch"]) for c in report["cases"]] == [("ort", 1, 1), ("ort", 1, 2)]
    for case in report["cases"]:
        assert {"model", "load_ms", "bytes", "parameters", "macs", "cpu_ms", "round_medians_ms"} <= case.keys()
        assert case["runs"] == 10 and len(case["round_medians_ms"]) == 2
        assert 0 < case["wall_ms"]["p50"] <= case["wall_ms"]["p90"] <= case["wall_ms"]["p95"] <= case["wall_ms"]["p99"]
        assert case["per_face_ms"] == pytest.approx(case["wall_ms"]["p50"] / case["batch"])
        assert case["bytes"] == returning.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "abacus"], "abacus"),
        (["--backend", "torch"], "fits none"),
        (["--threads", "many"], "--threads"),
        (["--batch", "0"], "below 1"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, returning: Path) -> None:
    run = CliRunner().invoke(main, ["latency", str(returning), *arguments])
    assert run.exit_code == 2
    assert message in run.output and run.output.count("\n") == 1


def report(p50: float, rounds: list[float], model: str = "m.onnx") -> dict[str, Any]:
    case = {"model": model, "backend": "ort", "threads": 1, "batch": 1, "wall_ms": {"p50": p50}, "round_medians_ms": rounds}
    return {"kind": "latency", "machine": {"cpu": "x"}, "cases": [case]}


@pytest.mark.parametrize(
    ("after", "rounds", "verdict"),
    [
        (10.2, [10.1, 10.2, 10.3], "same"),
        (13.0, [12.9, 13.0, 13.1], "slower"),
        (7.0, [6.9, 7.0, 7.1], "faster"),
        (13.0, [8, 13, 18], "same"),
    ],
)
def test_slower_is_what_the_spread_does_not_explain(after: float, rounds: list[float], verdict: str) -> None:
    (change,) = compare_reports(report(10.0, [9.9, 10.0, 10.1]), report(after, rounds))
    assert change.verdict == verdict
    assert change.ratio == pytest.approx(after / 10)


def test_compare_exits_with_one_where_something_is_slower(tmp_path: Path) -> None:
    before, after, other = (tmp_path / f"{name}.json" for name in ("before", "after", "other"))
    before.write_text(json.dumps(report(10.0, [10.0])))
    after.write_text(json.dumps(report(20.0, [20.0])))
    other.write_text(json.dumps(report(10.0, [10.0], "another.onnx")))
    assert CliRunner().invoke(main, ["compare", str(before), str(after)]).exit_code == 1
    assert CliRunner().invoke(main, ["compare", str(after), str(before)]).exit_code == 0
    assert CliRunner().invoke(main, ["compare", str(before), str(other)]).exit_code == 2
    before.write_text("{}")
    foreign = CliRunner().invoke(main, ["compare", str(before), str(other)])
    assert foreign.exit_code == 2 and foreign.output.count("\n") == 1
