"""Faults that the program lives through: a camera goes, a disk fills, a model fails, a sink is slow, another process does the same."""

from __future__ import annotations

import itertools
import re
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from faults import children
from faults.conftest import Fault
from faults.killing import LONGEST_S, start
from faults.killing import end as well_ended
from playing import FakeCamera
from script import Script, face_at

from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.backends.engines import read_facts
from reaging.runtime.cli import main as cam
from reaging.runtime.filter import FaceFilter
from reaging.runtime.live import play
from reaging.runtime.sinks.base import Null
from reaging.runtime.sources import Shot, capture, open_source

FACE = face_at(100, 115)


class Frames:
    """A source of gray frames; ``wait`` seconds between two; counts those that are still held by anybody."""

    fps, size, note, still = 100.0, (200, 200), "", False

    def __init__(self, count: int, wait: float = 0.0, live: bool = False):
        self.total, self.wait, self.live, self.made = count, wait, live, 0
        self.held: weakref.WeakSet[Held] = weakref.WeakSet()

    def __iter__(self) -> Iterator[Shot]:
        for number in range(self.total):
            time.sleep(self.wait)
            frame = np.full((200, 200, 3), 120, np.uint8).view(Held)
            self.held.add(frame)
            self.made = number + 1
            yield Shot(frame, number / self.fps, str(number))

    def close(self) -> None:
        pass


class Held(np.ndarray):
    """An array that can be in a set of weak references."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return self is other


class Failing:
    """A generator that raises in some of its runs."""

    def __init__(self, ager: Ager, fails: range):
        self._run, self.card, self.device, self.fails, self.runs = ager.backend.run, ager.backend.card, "cpu", fails, 0

    def run(self, image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.runs += 1
        if self.runs in self.fails:
            raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : out of memory\nand a second line")
        return self._run(image, age)


@pytest.fixture
def ager(tinting: Path) -> Ager:
    return Ager(open_backend(tinting, "cpu", 1))


@pytest.mark.parametrize("live", [False, True], ids=["file", "camera"])
def test_model_that_raises(fault: Fault, rng: np.random.Generator, tries: int, ager: Ager, live: bool) -> None:
    """In frame 500 of 520, for one frame or for the rest: faces stay as they are, and one line says so."""
    for number in range(tries):
        said: list[str] = []
        last = 520 if number % 2 else int(rng.integers(500, 521))
        backend = Failing(ager, range(500, last + 1))
        face_filter = FaceFilter(Ager(backend, said.append), Script(FACE), 90)  # type: ignore[arg-type]
        aged: dict[int, bool] = {}

        class Sink(Null):
            def write(self, frame: np.ndarray, time: float, name: str, aged: dict[int, bool] = aged) -> None:
                aged[int(name)] = bool((frame != 120).any())

        if live:  # every frame waits until the generator has had the last one, so that it has 520 runs too
            source = Frames(10**6, 0.001, live=True)
            stop = threading.Event()
            play(source, face_filter, face_filter, Sink(), None, stop, lambda b=backend, s=stop: b.runs < 520 or s.set())
            assert backend.runs >= 520 and sum(aged.values()) > len(aged) / 2
        else:
            play(Frames(520), face_filter, face_filter, Sink())
            assert all(aged[n] for n in range(499)) and not any(aged[n] for n in range(499, last))
            assert all(aged[n] for n in range(last, 520))
        fault.tried()
        assert said == ["the model failed ([ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : out of memory): faces stay as they are"]
        assert face_filter.ager.failures == last - 499
        assert live or bool(face_filter.ager.note) == (last == 520)
        fault.survived()


def test_the_command_says_that_the_model_failed(tinting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line when it happens, one at the end, exit code 2; the video is whole, and its last frames are the source's."""
    from reaging.runtime.backends.ort import OnnxRuntime

    run, calls = OnnxRuntime.run, itertools.count()

    def failing(self: OnnxRuntime, image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if next(calls) > 8:
            raise RuntimeError("the device is gone")
        return run(self, image, age)

    monkeypatch.setattr(OnnxRuntime, "run", failing)
    (tmp_path / "out").mkdir()
    line = ["--source", "demo", "--sink", str(tmp_path / "out"), "--model", str(tinting), "--device", "cpu", "--max-frames", "14"]
    done = CliRunner().invoke(cam, line)
    assert done.exit_code == 2 and done.stderr.count("the device is gone") == 1 and "Traceback" not in done.stderr
    assert "the model failed 6 times in 14 frames" in done.stderr.splitlines()[-1]
    same = [
        np.array_equal(cv2.imread(str(tmp_path / "out" / shot.name)), shot.frame)
        for shot, _ in zip(open_source("demo"), range(14), strict=False)
    ]
    assert same == [False] * 8 + [True] * 6


def test_without_somebody_to_tell_the_error_is_the_callers(ager: Ager) -> None:
    face_filter = FaceFilter(Ager(Failing(ager, range(1, 2))), Script(FACE), 90)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="out of memory"):
        play(Frames(3), face_filter, face_filter, Null())


def test_slow_sink(fault: Fault, rng: np.random.Generator, tries: int, ager: Ager) -> None:
    """A camera of 200 frames a second before a sink that takes 10 to 60 ms: few frames are held, and what is shown is new."""
    for _ in range(tries):
        source, held, behind = Frames(240, 0.005, live=True), [], []
        waits = rng.uniform(0.01, 0.06, 240)

        class Sink(Null):
            def write(self, frame: np.ndarray, time_s: float, name: str, source=source, held=held, behind=behind, waits=waits) -> None:
                behind.append(source.made - int(name))
                held.append(len(source.held))
                time.sleep(waits[len(held) % len(waits)])

        threads = set(threading.enumerate())
        face_filter = FaceFilter(ager, Script(FACE), 90)  # type: ignore[arg-type]
        count = play(source, face_filter, face_filter, Sink())
        fault.tried()
        assert 3 < count < 240 and max(held) < 16  # a queue would hold most of the 240
        assert np.median(behind[-len(behind) // 3 :]) < 60  # and be as far behind
        assert set(threading.enumerate()) <= threads
        fault.survived()


def test_camera_vanishes_and_returns(
    fault: Fault, rng: np.random.Generator, tries: int, ager: Ager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "RETRY_S", 0.02)
    monkeypatch.setattr(capture, "STILL_S", 0.005)
    kind = type("Camera", (Ticking,), {})
    monkeypatch.setattr(cv2, "VideoCapture", kind)
    said: list[str] = []
    source = open_source("camera:0", say=said.append)
    face_filter, stop, threads = FaceFilter(ager, Script(FACE), 90), threading.Event(), set(threading.enumerate())  # type: ignore[arg-type]
    ended: list[int] = []
    loop = threading.Thread(target=lambda: ended.append(play(source, face_filter, face_filter, Null(), None, stop)))
    loop.start()
    for number in range(1, tries + 1):
        time.sleep(rng.uniform(0, 0.1))
        kind.gone = True
        fault.tried()
        until(lambda n=number: len(said) >= 2 * n - 1)
        time.sleep(rng.uniform(0, 0.1))
        kind.gone = False
        until(lambda n=number: len(said) >= 2 * n)
        shown = face_filter.stages.count("frame")
        until(lambda n=shown: face_filter.stages.count("frame") > n)
        assert not source.note and loop.is_alive()
        fault.survived()
    stop.set()
    loop.join(20)
    source.close()
    assert ended and ended[0] > tries and said == ["camera 0 is gone: waiting for it", "camera 0 is back"] * tries
    assert set(threading.enumerate()) <= threads


class Ticking(FakeCamera):
    """A camera at about 200 frames a second."""

    def read(self) -> tuple[bool, object]:
        time.sleep(0.005)
        return super().read()


def until(true) -> None:  # type: ignore[no-untyped-def]
    for _ in range(15_000):  # by looks, not by the clock: the whole test may be stopped for a while
        if true():
            return
        time.sleep(0.002)
    raise AssertionError("it does not happen")


def test_disk_fills_while_recording(fault: Fault, rng: np.random.Generator, tries: int, tmp_path: Path, says: Path, tinting: Path) -> None:
    """A largest size of file stands for the full disk: what was recorded until then is kept and named, or all of it fits."""
    pytest.importorskip("av")
    fixed = ["--source", "demo", "--model", str(tinting), "--device", "cpu", "--threads", "1", "--sink"]
    whole = tmp_path / "whole.mp4"
    well_ended(start(children.cam_command, [*fixed, str(whole)], says=says), says)
    for number in range(tries):
        out, words = tmp_path / f"run{number}" / "out.mp4", says.with_name(f"{number}.txt")
        out.parent.mkdir()
        limit = int(rng.integers(10_000, int(1.1 * whole.stat().st_size)))
        process = start(children.cam_command, [*fixed, str(out)], limit, says=words)
        process.join(LONGEST_S)
        text, left = words.read_text(), list(out.parent.iterdir())
        fault.tried(process.exitcode != 0)
        assert process.exitcode in (0, 2) and "Traceback" not in text, text
        if process.exitcode == 0:
            assert left == [out]
        else:
            assert not out.exists() and ": cannot write" in text.splitlines()[-1] and len(left) <= 1, text
            assert all(path.name in text and path.name.startswith("out.recording-") for path in left)
        for path in left:
            times = [shot.time for shot in open_source(str(path))]
            said = re.search(r"([0-9]+) s are kept", text)
            assert times and (process.exitcode == 0 or (said and times[-1] > int(said[1]) - 1.5)), text  # rounded, and a second may be lost
        fault.survived()


def test_two_build_the_same_engine(fault: Fault, rng: np.random.Generator, tries: int, tmp_path: Path, says: Path, make_generator) -> None:
    """One builds, the other waits and takes it; with a stand-in for TensorRT's builder."""
    for number in range(tries):
        folder, builds = tmp_path / f"run{number}", tmp_path / f"builds{number}"
        folder.mkdir()
        builds.mkdir()
        model = make_generator(folder / "m.onnx")
        first = start(children.build, model, folder / "m.engine", builds, 0.2, says=says)
        time.sleep(rng.uniform(0, 0.3))
        second = start(children.build, model, folder / "m.engine", builds, 0.2, says=says)
        well_ended(first, says)
        well_ended(second, says)
        fault.tried()
        assert len(list(builds.iterdir())) == 1
        assert (folder / "m.engine").read_bytes() == b"plan of " + model.read_bytes() and read_facts(
            folder / "m.engine"
        ).flavor == "tensorrt-rtx"
        assert sorted(p.name for p in folder.iterdir()) == ["m.engine", "m.engine.json", "m.onnx"]
        fault.survived()
