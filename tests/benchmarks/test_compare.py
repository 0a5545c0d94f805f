"""Two reports compared: only what the noise of both does not explain is a change."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reaging.benchmarks.cli import main
from reaging.benchmarks.compare import LEAST_BOUND, compare_reports
from reaging.errors import ReagingError


def report(p50: float, rounds: list[float], model: str = "m.onnx", cpu: str = "x", ceiling: float = 100.0) -> dict[str, Any]:
    case = {"model": model, "backend": "ort", "threads": 1, "batch": 1, "wall_ms": {"p50": p50}, "round_medians_ms": rounds}
    return {"kind": "latency", "machine": {"cpu": cpu}, "ceilings": [{"threads": 1, "fp32_gflops": ceiling}], "cases": [case]}


STEADY = report(10.0, [9.9, 9.95, 10.0, 10.05, 10.1])


@pytest.mark.parametrize(
    ("after", "rounds", "verdict"),
    [
        (10.2, [10.1, 10.2, 10.2, 10.2, 10.3], "same"),
        (13.0, [12.9, 13.0, 13.0, 13.0, 13.1], "slower"),
        (7.0, [6.9, 7.0, 7.0, 7.0, 7.1], "faster"),
        (13.0, [9, 11, 13, 15, 17], "same"),
    ],
)
def test_slower_is_what_the_spread_does_not_explain(after: float, rounds: list[float], verdict: str) -> None:
    (change,) = compare_reports(STEADY, report(after, rounds)).changes
    assert change.verdict == verdict
    assert change.ratio == pytest.approx(after / 10)


def test_the_bound_is_the_spread_of_both_and_never_below_the_least() -> None:
    even = list(range(90, 111))  # its middle 80 % span 92 to 108 around 100
    (change,) = compare_reports(report(100.0, even), report(100.0, even)).changes
    assert change.bound == pytest.approx(0.16 + 0.16)
    (change,) = compare_reports(report(10.0, [10.0] * 5), report(10.0, [10.0] * 5)).changes
    assert change.bound == LEAST_BOUND


def test_too_few_rounds_know_no_noise() -> None:
    with pytest.raises(ReagingError, match="measured in 4 rounds;"):
        compare_reports(STEADY, report(10.0, [10.0] * 4))


@pytest.mark.parametrize("rounds", [[0.0] * 5, [10.0, 10.0, math.nan, 10.0, 10.0], [10.0, 10.0, 10.0, 10.0, math.inf], [-1.0] * 5])
def test_what_is_no_time_is_damage(rounds: list[float]) -> None:
    with pytest.raises(ReagingError, match="a report is damaged"):
        compare_reports(STEADY, report(10.0, rounds))


def test_what_else_may_explain_a_change_is_noted() -> None:
    before = {**STEADY, "cases": STEADY["cases"] + report(1.0, [1.0] * 5, "gone.onnx")["cases"]}
    notes = compare_reports(before, report(10.0, [10.0] * 5, cpu="y", ceiling=50.0)).notes
    assert [n.split(",")[0] for n in notes] == [
        "measured on two machines",
        "the machine's own fp32 ceiling with 1 thread was 0.50 times the first run's",
        "only in the first report: gone.onnx ort 1 1",
    ]
    assert compare_reports(STEADY, STEADY).notes == []


def test_stages_are_told_apart() -> None:
    def stages(infer: float) -> dict[str, Any]:
        cases = [
            {"clip": "demo", "size": "480x360", "faces": 1, "stage": s, "wall_ms": {"p50": ms}, "round_medians_ms": [ms] * 5}
            for s, ms in (("find", 5.0), ("infer", infer))
        ]
        return {"kind": "stages", "machine": {"cpu": "x"}, "cases": cases}

    changes = compare_reports(stages(20.0), stages(30.0)).changes
    assert [(c.case, c.verdict) for c in changes] == [("480x360 demo 1 find", "same"), ("480x360 demo 1 infer", "slower")]


def test_compare_exits_with_one_where_something_is_slower(tmp_path: Path) -> None:
    before, after, other, out = (tmp_path / f"{name}.json" for name in ("before", "after", "other", "out"))
    before.write_text(json.dumps(report(10.0, [10.0] * 5)))
    after.write_text(json.dumps(report(20.0, [20.0] * 5)))
    other.write_text(json.dumps(report(10.0, [10.0] * 5, "another.onnx")))
    assert CliRunner().invoke(main, ["compare", str(before), str(after), "--json", str(out)]).exit_code == 1
    assert json.loads(out.read_text())["changes"][0]["verdict"] == "slower"
    assert CliRunner().invoke(main, ["compare", str(after), str(before)]).exit_code == 0
    assert CliRunner().invoke(main, ["compare", str(before), str(other)]).exit_code == 2
    before.write_text("{}")
    foreign = CliRunner().invoke(main, ["compare", str(before), str(other)])
    assert foreign.exit_code == 2 and foreign.output.count("\n") == 1
