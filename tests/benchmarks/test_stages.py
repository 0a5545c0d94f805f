"""The stage benchmark on a real clip: every stage is there, and together they are the frame."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from reaging.benchmarks.cli import main


def test_the_stages_of_a_clip_add_up_to_its_frames(tinting: Path, yunet: Path, tmp_path: Path) -> None:
    out = tmp_path / "stages.json"
    options = ["--model", str(tinting), "--detector", str(yunet), "--device", "cpu", "--threads", "1", "--max-frames", "6"]
    run = CliRunner().invoke(main, ["stages", "demo", *options, "--json", str(out)])
    assert run.exit_code == 0, run.output
    (clip,) = json.loads(out.read_text())["clips"]
    assert clip["frames"] == 6 and clip["frames_with_face"] == 6
    stages = clip["stages"]
    assert stages.keys() == {"decode", "frame", "find", "align", "infer", "paste"}
    # YuNet runs on every frame; medians of parts need not add up exactly
    parts = sum(stages[name]["p50"] for name in ("find", "align", "infer", "paste"))
    assert 0.5 * stages["frame"]["p50"] < parts < 1.5 * stages["frame"]["p99"]


def test_a_camera_is_refused_in_one_line(tinting: Path) -> None:
    run = CliRunner().invoke(main, ["stages", "camera:99", "--model", str(tinting)])
    assert run.exit_code == 2
    assert run.output.count("\n") == 1
