"""Curves of training runs, from their logs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from reaging.benchmarks.cli import main
from reaging.benchmarks.curves import RATIO, means, read_stage


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    lines = [{"step": s, "l1": 0.5, "l1_of_input": 1.0, **({"age": s / 100} if s % 20 == 0 else {})} for s in range(10, 401, 10)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_parts_and_means(run: Path) -> None:
    assert [line["step"] for line in read_stage(f"{run}:100:130", 1).lines] == [110, 120, 130]
    steps, values = means(read_stage(f"{run}:200", 1), "age", 100)
    assert steps == [50, 150] and values == pytest.approx([2.6, 3.6])  # 220 to 300, then 320 to 400
    assert set(means(read_stage(str(run), 1), RATIO, 100)[1]) == {0.5}


def test_command_draws_a_panel_a_term(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = CliRunner().invoke(main, ["curves", f"{run}:0:200", f"{run}:200", "--out", str(tmp_path / "c.png")])
    assert result.exit_code == 0, result.output
    picture = cv2.imread(str(tmp_path / "c.png"))
    assert picture.shape[1] > 800
    colors = {tuple(c) for c in picture.reshape(-1, 3)[::7].tolist()}
    assert {(180, 119, 31), (14, 127, 255)} <= colors  # both stages


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{run}:a"], "is no part of a run"),
        (["{run}:1:2:3"], "is no part of a run"),
        (["{run}:500"], "holds no steps"),
        (["{run}/nothing"], "cannot be read"),
        (["{run}", "--term", "loss"], "no run logged loss"),
        (["{run}", "--out", "{run}/a.jpg"], "is no name for a PNG"),
    ],
)
def test_bad_input(run: Path, arguments: list[str], said: str) -> None:
    pytest.importorskip("matplotlib")
    out = run / "c.png"
    line = ["curves", "--out", str(out), *(a.format(run=run) for a in arguments)]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 2 and said in result.stderr and len(result.stderr.splitlines()) == 1
    assert not out.exists()
