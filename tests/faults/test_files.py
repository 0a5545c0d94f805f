"""What a killed process leaves behind is removed by the next one, and what a living one writes is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults.conftest import Fault
from faults.killing import end as well_ended
from faults.killing import start

from reaging import files
from reaging.files import alone, remove_abandoned, whole_file

DEAD = subprocess.Popen([sys.executable, "-c", ""])
DEAD.wait()


@pytest.mark.skipif(os.name == "nt", reason="Windows does not say which processes live without ending them")
def test_only_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    names = [f".m.{DEAD.pid}.part.onnx", f".m.{DEAD.pid}.part", f".m.{os.getppid()}.part.onnx", ".m.part.onnx", "m.1.part.onnx", "m.onnx"]
    for name in names:
        (tmp_path / name).touch()
    remove_abandoned(tmp_path, idle_s=60)
    assert len(list(tmp_path.iterdir())) == len(names), "it may be of another machine's process"
    remove_abandoned(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names[2:])


@pytest.mark.skipif(os.name == "nt", reason="as above")
def test_writing_removes_what_is_an_hour_old_and_looks_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_looked", set())
    old = tmp_path / f".m.{DEAD.pid}.part.onnx"
    for seen in (True, False):
        old.touch()
        os.utime(old, (0, 0))
        with whole_file(tmp_path / "m.onnx") as part:
            part.touch()
        assert old.exists() is not seen  # a folder of ten thousand frames is not listed for each


def hold(path: Path, order: Path, seconds: float) -> None:
    with alone(path):
        with order.open("a") as file:
            file.write(f"in {os.getpid()}\n")
        time.sleep(seconds)
        with order.open("a") as file:
            file.write(f"out {os.getpid()}\n")


def test_one_at_a_time_and_a_killed_one_lets_the_next_in(fault: Fault, tmp_path: Path, says: Path) -> None:
    path, order = tmp_path / "m.onnx", tmp_path / "order"
    path.touch()
    both = [start(hold, path, order, 0.3, says=says) for _ in range(2)]
    for process in both:
        well_ended(process, says)
    lines = order.read_text().split()
    assert lines[0::2] == ["in", "out", "in", "out"] and lines[1] == lines[3] != lines[5] == lines[7]
    killed = start(hold, path, order, 600.0, says=says)
    while order.read_text().count("in") < 3:
        time.sleep(0.01)
    killed.kill()
    well_ended(start(hold, path, order, 0.0, says=says), says)
    fault.tried()
    fault.survived()
    assert list(tmp_path.glob(".*")) == [], "no lock file is left"
