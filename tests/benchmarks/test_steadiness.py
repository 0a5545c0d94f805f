"""The steadiness benchmark: its figures on what is known, and the command on the bundled clip."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from reaging.benchmarks.cli import main
from reaging.benchmarks.obstacle import measure_obstacle
from reaging.benchmarks.steadiness import _flicker, _lag, averaged
from reaging.runtime.backends import open_backend
from reaging.runtime.bundled import DEMO, bundled
from reaging.runtime.faces.face import Face
from reaging.runtime.faces.template import face_box

SHAPE = np.float32([[-30, -30], [30, -30], [0, 0], [-25, 35], [25, 35]])


def test_flicker_is_how_much_the_change_differs_from_the_last_frames() -> None:
    before = [np.full((256, 256, 3), 90 + 5 * i, np.uint8) for i in range(6)]  # that the clip itself gets brighter is no flicker
    after = [crop + np.uint8(20 if i % 2 else 26) for i, crop in enumerate(before)]
    assert _flicker([(before, after)]) == {"change": 23.0, "flicker": 6.0}
    assert _flicker([(before, [crop + np.uint8(20) for crop in before])])["flicker"] == 0


def test_lag_is_the_time_by_which_landmarks_are_late() -> None:
    times = [i / 30 for i in range(60)]
    path = np.stack([SHAPE + np.float32([300 + 120 * np.sin(2 * t), 200]) for t in times])

    def late(seconds: float) -> list[list[Face]]:
        points = [SHAPE + np.float32([300 + 120 * np.sin(2 * (t - seconds)), 200]) for t in times]
        return [[Face(face_box(p), p, 1.0)] for p in points]

    assert _lag(times, [path], late(0.0)) == pytest.approx(0, abs=2)
    assert _lag(times, [path], late(0.04)) == pytest.approx(40, abs=2)
    assert _lag(times, [np.repeat(path[:1], 60, 0)], late(0.04)) is None  # a head at rest lags behind nothing


def test_the_average_that_faces_are_measured_in_does_not_lag() -> None:
    line = SHAPE + np.arange(40, dtype=np.float32)[:, None, None]
    assert np.abs(averaged(line) - line)[8:-8].max() < 1e-3


def test_the_command_measures_the_bundled_clip(tinting: Path, age_model: Path, tmp_path: Path) -> None:
    options = [
        "--model",
        str(tinting),
        "--age-model",
        str(age_model),
        "--threads",
        "1",
        "--max-frames",
        "40",
        "--late",
        "2",
        "--slow",
        "60",
    ]
    run = CliRunner().invoke(main, ["steadiness", str(bundled(DEMO)), *options, "--out", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    report = json.loads((tmp_path / "out" / "steadiness.json").read_text())
    (clip,), (late,), (live,), (obstacle,) = (report[key] for key in ("clips", "carrying", "live", "obstacle"))
    # the stand-in's change of 20 gray levels does not depend on the picture: all that flickers is its place
    assert clip["none"]["change"] > 3 * clip["none"]["flicker"] > 0
    assert clip["landmarks"]["flicker"] < clip["none"]["flicker"]
    assert late["off_carried"] <= late["off_left"]
    assert all(live[name]["generator_runs"] > 0 and live[name]["delay_p95"] > 0 for name in ("carried", "waiting"))
    assert obstacle["change_on_it"] > 5  # the stand-in knows no microphone
    assert (tmp_path / "out" / "steadiness.md").read_text() in run.output
    for name in ("demo", "demo_late", "demo_obstacle"):
        assert cv2.imread(str(tmp_path / "out" / f"{name}.jpg")) is not None


def test_a_generator_that_leaves_the_face_alone_paints_no_microphone(returning: Path) -> None:
    figures, _ = measure_obstacle(str(bundled(DEMO)), open_backend(returning, "cpu", 1), 70, 11)
    assert figures["change_on_it"] < 0.1 > figures["change_beside"]


def test_what_is_no_clip_with_a_face_is_refused_in_one_line(tinting: Path, age_model: Path, tmp_path: Path, astronaut: Path) -> None:
    options = ["--model", str(tinting), "--age-model", str(age_model), "--out", str(tmp_path / "out")]
    run = CliRunner().invoke(main, ["steadiness", str(astronaut), *options])
    assert run.exit_code == 2 and "is no clip" in run.output and "Traceback" not in run.output
