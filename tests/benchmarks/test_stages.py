"""The stage benchmark on real frames: every stage is there, together they are the frame, and growth is what a line through them says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from reaging.benchmarks.cli import main
from reaging.benchmarks.scenes import lay_out
from reaging.benchmarks.stages import growth

STAGES = ("capture", "find", "align", "prepare", "infer", "paste", "sink")


def run_stages(tinting: Path, out: Path, *options: str) -> dict[str, Any]:
    common = ["--model", str(tinting), "--device", "cpu", "--threads", "1", "--json", str(out)]
    run = CliRunner().invoke(main, ["stages", *options, *common])
    assert run.exit_code == 0, run.output
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def test_the_stages_of_a_clip_add_up_to_its_frames(tinting: Path, tmp_path: Path) -> None:
    report = run_stages(tinting, tmp_path / "stages.json", "demo", "--max-frames", "12", "--charts", str(tmp_path / "charts"))
    cases = {c["stage"]: c for c in report["cases"]}
    assert cases.keys() == {*STAGES, "frame"} and report["growth"] == []
    assert cases["frame"]["runs"] == cases["frame"]["frames"] == 12 and cases["frame"]["faces_found"] == 1
    assert cases["find"]["runs"] < 12  # now and then, as in use
    parts = sum(cases[stage]["per_frame_ms"] for stage in STAGES)
    assert 0.7 * cases["frame"]["per_frame_ms"] < parts <= 1.01 * cases["frame"]["per_frame_ms"]
    assert (tmp_path / "charts" / "stages.png").stat().st_size > 1000


def test_faces_and_resolution_are_varied_one_at_a_time(tinting: Path, tmp_path: Path) -> None:
    report = run_stages(tinting, tmp_path / "stages.json", "--faces", "1,3", "--size", "640x480,800x600", "--max-frames", "4")
    frames = [c for c in report["cases"] if c["stage"] == "frame"]
    assert [(c["size"], c["faces"], c["faces_found"]) for c in frames] == [("640x480", 1, 1), ("640x480", 3, 3), ("800x600", 1, 1)]
    assert [r["stage"] for r in report["growth"]] == [*STAGES, "frame"]
    assert all(r["ms_per_face"] is not None and r["ms_per_megapixel"] is not None for r in report["growth"])


def test_growth_is_the_slope_of_each_stage() -> None:
    def case(size: str, faces: int, infer: float, sink: float) -> list[dict[str, Any]]:
        return [{"size": size, "faces": faces, "stage": s, "wall_ms": {"p50": ms}} for s, ms in (("infer", infer), ("sink", sink))]

    cases = case("1000x500", 1, 25, 10) + case("1000x500", 2, 45, 10) + case("1000x500", 4, 85, 10) + case("1000x1000", 1, 25, 18)
    rows = {r["stage"]: (r["ms_per_face"], r["ms_per_megapixel"]) for r in growth(cases) if r["stage"] in ("infer", "sink")}
    assert rows == {"infer": (20.0, 0.0), "sink": (0.0, 16.0)}
    assert growth([{"size": "1x1", "stage": "infer", "wall_ms": {"p50": 1}}]) == []  # a clip of the user's: nothing was varied


def test_a_scene_holds_as_many_copies_as_asked_for() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (360, 480, 3), np.uint8)
    frame = lay_out(picture, 3, 2, (640, 480))
    cells = [frame[y : y + 240, x : x + 320] for y in (0, 240) for x in (0, 320)]
    assert all((cell == cells[0]).all() for cell in cells[1:3])
    assert cells[3].std() < 0.3 * cells[0].std()  # nothing left in the last


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["camera:99"], "camera"),
        (["--size", "640"], "--size"),
        (["--faces", "0"], "from 1"),
        (["demo", "--json", "nowhere/x.json"], "nowhere"),
    ],
)
def test_errors_are_one_line(tinting: Path, arguments: list[str], message: str) -> None:
    run = CliRunner().invoke(main, ["stages", *arguments, "--model", str(tinting), "--device", "cpu"])
    assert run.exit_code == 2
    assert message in run.output and run.output.count("\n") == 1
