"""reaging-bench soak: what it calls a failure, and a short run of every sink."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

pytest.importorskip("psutil")

from reaging.benchmarks import soak as soaking
from reaging.benchmarks.cli import main
from reaging.benchmarks.soak import SINKS, Looped, _soaked, soak
from reaging.runtime.backends import open_backend
from reaging.runtime.sinks.base import Null


def made(memory: np.ndarray, ms: np.ndarray, pace_ms: np.ndarray | float = 1.0, **changes: object) -> list[str]:
    times = np.stack([ms, ms], axis=1) / 1000
    paces = [(i + 1, float(pace) / 1000) for i, pace in enumerate(np.broadcast_to(pace_ms, len(ms)))][::10]
    run = _soaked("null", 0, 1.0, [(i, int(m)) for i, m in enumerate(memory)], times, paces, (1, 1), (5, 5), [])
    return dataclasses.replace(run, **changes).failed


def test_what_counts_as_failed() -> None:
    flat, even = np.full(200, 100e6), np.full(1000, 5.0)
    warm = np.concatenate([np.linspace(50e6, 100e6, 20), flat[20:]])
    assert made(warm, even) == [], "warming up is no growth"
    assert made(np.linspace(100e6, 110e6, 200), even) == ["memory grew by 7.9 %"]
    assert made(flat, np.linspace(5, 7, 1000)) == ["the last tenth is 1.34 times as slow"]
    slower = np.linspace(1, 1.7, 1000)
    assert made(flat, 5 * slower, slower) == [], "the processor's clock is not the sink's fault"
    assert made(flat, even, 1 / slower) != [], "nor does a faster clock hide it"
    assert made(flat, even, threads=(1, 3), handles=(5, 6), left=["x.part"]) == [
        "2 threads are left", "1 file handles are left", "left: x.part",
    ]  # fmt: skip


def test_a_short_run_of_every_sink(tinting: Path, tmp_path: Path) -> None:
    """Through the command; growth and times are noise over so few frames, what is left behind is not."""
    pytest.importorskip("av")
    pytest.importorskip("matplotlib")
    pytest.importorskip("pyvirtualcam")
    report, plot = tmp_path / "soak.json", tmp_path / "soak.png"
    line = ["soak", "--frames", "200", "--model", str(tinting), "--size", "96x72", "--json", str(report), "--plot", str(plot)]
    done = CliRunner().invoke(main, line)
    assert done.exit_code in (0, 1) and "null" in done.output, done.output
    runs = json.loads(report.read_text())["runs"]
    assert [r["sink"].removesuffix(" (stand-in)") for r in runs] == list(SINKS) and plot.stat().st_size > 10_000
    assert all(r["threads"][1] <= r["threads"][0] and r["handles"][1] <= r["handles"][0] and not r["left"] for r in runs), done.output
    assert all(r["frames"] == 200 and r["faces"] > 150 for r in runs)


def test_a_sink_that_leaks_is_found(tinting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = psutil.Process().memory_info().rss // 400  # of 200 frames half of what the tests before this one hold

    class Leaking(Null):
        kept: list[object] = []  # noqa: RUF012

        def write(self, frame: np.ndarray, at: float, name: str) -> None:
            self.kept.append(np.random.default_rng(0).bytes(lost))
            if not self.kept[1:]:
                self.kept.append(Path("/dev/null").open())  # noqa: SIM115
                threading.Thread(target=time.sleep, args=(20,), daemon=True).start()

    monkeypatch.setattr(soaking, "open_sink", lambda *a, **k: Leaking())
    run = soak("demo", "null", open_backend(tinting, "cpu", 1), 70, 200, (96, 72))
    assert run.growth > soaking.GROWTH and {"1 threads are left", "1 file handles are left"} <= set(run.failed)
    Leaking.kept.clear()


def test_the_clip_goes_on_after_its_end() -> None:
    source = Looped("demo", (64, 48))
    times = [shot.time for shot, _ in zip(source, range(300), strict=False)]
    assert len(times) == 300 and np.allclose(np.diff(times), 1 / source.fps)
