"""The search for the landmark filter's parameters: its figures on tracks whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from reaging.benchmarks import smoothing
from reaging.benchmarks.cli import main
from reaging.benchmarks.smoothing import Setting, _figures, measure_smoothing, smoothing_markdown
from reaging.runtime.bundled import DEMO, bundled
from reaging.runtime.faces.smooth import OneEuro

SHAPE = np.float32([[-30, -30], [30, -30], [0, 0], [-25, 35], [25, 35]])
TIMES = np.arange(120) / 30


def moving(late: float = 0.0) -> np.ndarray:
    return np.stack([SHAPE + np.float32([300 + 60 * np.sin(2 * (t - late)), 200]) for t in TIMES])


def test_lag_and_unrest_of_known_tracks() -> None:
    unrest, lag, off = _figures(TIMES, moving(), moving(0.05))
    assert lag == pytest.approx(50, abs=3) and 8 < off < 12  # two eye distances a second at most, for 50 ms
    assert unrest < 0.5  # a head that swings is smooth at its turning points
    trembling = np.repeat(moving()[:1], 120, 0) + np.random.default_rng(0).normal(0, 0.6, (120, 5, 2)).astype(np.float32)
    shaken, lag, _ = _figures(TIMES, trembling, trembling)
    # a second difference of independent noise has sqrt(6) times its deviation; its length in the plane is sqrt(pi / 2) times that
    assert shaken == pytest.approx(np.sqrt(6 * np.pi / 2) * 0.6 / 60 * 100, rel=0.1) and np.isnan(lag)


def test_what_another_setting_beats_is_left_out_but_ours_never() -> None:
    one = OneEuro()
    ours = Setting(one.cutoff, one.speed_gain, one.speed_cutoff, 0.5, 20.0, 2.0)
    text = smoothing_markdown([Setting(2.5, 3.0, 1.0, 0.9, 30.0, 3.0), ours, Setting(0.3, 3.0, 1.0, 0.4, 10.0, 1.0)])
    assert "(ours)" in text and "0.3 Hz" in text and "2.5 Hz" not in text


def test_the_command_on_the_bundled_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoothing, "FAST", 0.02)  # the bundled clip's head hardly moves
    path = tmp_path / "smoothing.json"
    run = CliRunner().invoke(main, ["smoothing", str(bundled(DEMO)), "--max-frames", "24", "--json", str(path)])
    assert run.exit_code == 0, run.output
    settings = json.loads(path.read_text())["settings"]
    raw = next(s for s in settings if s["cutoff"] is None)
    assert len(settings) == 101 and abs(raw["lag_ms"]) < 40 and "not smoothed" in run.output
    assert all(s["unrest"] < raw["unrest"] for s in settings if s["cutoff"] is not None and s["speed_gain"] <= 8)


def test_clips_without_motion_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoothing, "FAST", 1e9)
    from reaging.errors import ReagingError

    with pytest.raises(ReagingError, match="no head moves"):
        measure_smoothing([str(bundled(DEMO))], 12)
