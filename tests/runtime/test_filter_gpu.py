"""FaceFilter with its pixels on the GPU: held against the same filter without, on stand-ins for TensorRT and pycuda."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from gpu_fakes import CUBIN, FakeCuda, fake_gpu
from script import Script, face_at

from reaging.errors import ReagingError
from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.backends.tensorrt import TensorRT
from reaging.runtime.bundled import generator_path
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.frames import gpu_frames
from reaging.runtime.faces.face import Face
from reaging.runtime.filter import FaceFilter, filter_with
from reaging.runtime.live import play
from reaging.runtime.sinks.base import Null
from reaging.runtime.sources import Shot, open_source


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeCuda]:
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: CUBIN)
    with fake_gpu(monkeypatch, tmp_path) as (cuda, _):
        yield cuda


def pair(model: Path, *faces: Face) -> tuple[FaceFilter, FaceFilter, Script]:
    """On the GPU and without, and the tracker of both."""
    backend, script = TensorRT(model), Script(*faces)
    return (
        FaceFilter(Ager(backend), script, 80, gpu=gpu_frames(backend)),
        FaceFilter(Ager(open_backend(model, "cpu", 1)), script, 80),
        script,
    )


def noisy(seed: int) -> np.ndarray:
    """The same scene with other noise, both soft: OpenCV places samples to 1/32 of a pixel."""
    scene, noise = (np.random.default_rng(n).normal(0, 1, (240, 320, 3)) for n in (0, 1 + seed))
    return np.clip(120 + 500 * cv2.GaussianBlur(scene, (0, 0), 5) + 60 * cv2.GaussianBlur(noise, (0, 0), 3), 0, 255).astype(np.uint8)


def apart(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.abs(first.astype(int) - second).max())


@pytest.mark.parametrize("steady", [True, False])
def test_a_clip_is_the_same_with_and_without(gpu: FakeCuda, inverting: Path, steady: bool) -> None:
    """Faces that move, come and go; ages and strength that glide: within two gray levels, from the first frame to the last."""
    on_gpu, without, script = pair(inverting, face_at(100, 100), face_at(200, 120, 1))
    _, other, _ = pair(inverting)
    other.tracker = script
    on_gpu.steady = without.steady = steady
    other.steady = not steady
    calmed = 0
    for i in range(16):
        frame = noisy(i)
        for one in (on_gpu, without, other):
            one.age = 80 if i < 6 else 20
            one.strength = 1.0 if i < 12 else 0.6
        script.faces = [face_at(100 + 2 * i, 100 + i)]
        script.faces += [face_at(200, 120, 1)] if not 4 <= i < 7 else []  # lost for a moment: fading, then back
        script.faces += [face_at(60, 180, 2)] if i >= 8 else []
        got, expected = on_gpu(frame, i / 15), without(frame, i / 15)
        calmed = max(calmed, apart(other(frame, i / 15), expected))
        assert apart(got, expected) <= 2, i
        assert apart(frame, expected) > 5
    assert calmed > 3  # a path that did not calm would be further off than is let pass
    script.faces = []
    last = noisy(99)
    got, expected = on_gpu(last, 1.1), without(last, 1.1)
    assert apart(got, expected) <= 2 and apart(last, expected) > 5  # they fade, carried
    assert on_gpu(last, 5.0) is last


def test_real_faces_are_the_same_with_and_without(gpu: FakeCuda) -> None:
    """The bundled clip through finder, aligner and generator."""
    backend = TensorRT(generator_path("mobile"))
    on_gpu, without = filter_with(backend, 75), filter_with(open_backend(generator_path("mobile"), "cpu", 1), 75)
    assert on_gpu.gpu is not None and without.gpu is None
    for frame, time, _ in islice(open_source("demo"), 4):
        got, expected = on_gpu(frame, time), without(frame, time)
        assert apart(got, expected) <= 2 and np.abs(got.astype(int) - expected).mean() < 0.1
        assert apart(frame, expected) > 30


def test_pictures_at_several_ages_are_the_same_with_and_without(gpu: FakeCuda, inverting: Path) -> None:
    on_gpu, without, _ = pair(inverting, face_at(100, 100), face_at(130, 110, 1))
    for i in range(3):
        for got, expected in zip(
            on_gpu.at_ages(noisy(i), i / 30, [20, 50, 80]), without.at_ages(noisy(i), i / 30, [20, 50, 80]), strict=True
        ):
            assert apart(got, expected) <= 2
    on_gpu.reset()
    without.reset()
    assert apart(on_gpu(noisy(9), 9.0), without(noisy(9), 9.0)) <= 2  # alone: nothing of before is in it


def test_nothing_is_downloaded_but_the_frame(gpu: FakeCuda, inverting: Path) -> None:
    on_gpu, _, _ = pair(inverting, face_at(100, 100))
    before = gpu.log.count("dtoh")
    for i in range(2):  # as it is, and recorded
        on_gpu(noisy(i), i / 10)
    assert gpu.log.count("dtoh") == before + 2
    queued = len(gpu.log)
    on_gpu(noisy(2), 0.2)
    on_gpu.steady = False
    on_gpu(noisy(3), 0.3)
    assert not gpu.log[queued:]  # replayed, calmed or not


def test_switched_off_and_on_again(gpu: FakeCuda, inverting: Path) -> None:
    on_gpu, without, _ = pair(inverting, face_at(100, 100))
    for i in range(12):
        on_gpu.on = without.on = not 2 <= i < 8
        frame = noisy(i)
        got, expected = on_gpu(frame, i / 10), without(frame, i / 10)
        assert apart(got, expected) <= 2 and (got is frame) == (expected is frame) == (4 <= i <= 7), i


def test_an_error_on_the_gpu_leaves_the_frame_as_it_is_and_is_told_once(
    gpu: FakeCuda, inverting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gpu, without, _ = pair(inverting, face_at(100, 100))
    told: list[str] = []
    on_gpu.ager.failed = told.append
    on_gpu.fade_s = without.fade_s = 0.0
    assert apart(on_gpu(noisy(0), 0.0), without(noisy(0), 0.0)) <= 2
    frame, real = noisy(1), on_gpu.gpu

    def lost(*args: object) -> np.ndarray:
        raise gpu.Error("cuLaunchKernel failed: unknown error")

    for broken in (lost, lost):
        monkeypatch.setattr(on_gpu, "gpu", type("Lost", (), {"keep": real.keep, "__call__": staticmethod(broken)})())  # type: ignore[union-attr]
        assert on_gpu(frame, 0.1) is frame
    assert len(told) == 1 and "unknown error" in told[0] and on_gpu.ager.failures == 2 and on_gpu.ager.note == told[0]
    monkeypatch.setattr(on_gpu, "gpu", real)
    without.reset()
    assert apart(on_gpu(frame, 0.2), without(frame, 0.2)) <= 2 and not on_gpu.ager.note
    on_gpu.ager.failed = None
    monkeypatch.setattr(on_gpu, "gpu", type("Lost", (), {"keep": real.keep, "__call__": staticmethod(lost)})())  # type: ignore[union-attr]
    with pytest.raises(gpu.Error, match="unknown error"):
        on_gpu(frame, 0.3)


class Camera:
    """Ten noisy frames."""

    fps, size, note, live, still, total = 30.0, (320, 240), "", True, False, None

    def __init__(self) -> None:
        self.shown = threading.Semaphore(1)

    def __iter__(self) -> Iterator[Shot]:
        for i in range(10):
            assert self.shown.acquire(timeout=5)
            yield Shot(noisy(i), i / 30, str(i))

    def close(self) -> None:
        pass


def test_a_cameras_frames_have_their_own_changes_and_the_finder_looks_beside_them(gpu: FakeCuda, inverting: Path) -> None:
    class Looking(Script):
        threads: set[int] = set()  # noqa: RUF012
        taken = 0

        def search(self, frame: np.ndarray) -> list[Face]:
            self.threads.add(threading.get_ident())
            return [face_at(100, 100)]

        def take(self, found: list[Face]) -> None:
            self.faces, self.taken = found, self.taken + 1

    class Keep(Null):
        def write(self, frame: np.ndarray, time: float, name: str) -> None:
            written.append((int(name), frame))
            threading.Event().wait(0.02)  # until the finder has looked
            camera.shown.release()

    on_gpu, without, _ = pair(inverting, face_at(100, 100))
    on_gpu.tracker, camera, written = Looking(due=True), Camera(), list[tuple[int, np.ndarray]]()
    on_gpu.fade_s = 0.0
    on_gpu.steady = without.steady = False
    assert play(camera, on_gpu, on_gpu, Keep()) == 10
    assert len(on_gpu.tracker.threads) == 1 and threading.get_ident() not in on_gpu.tracker.threads
    changed = [(i, frame) for i, frame in written if apart(frame, noisy(i))]
    assert changed and on_gpu.tracker.taken
    for i, frame in changed:
        without.reset()
        assert apart(frame, without(noisy(i), i / 30)) <= 2


@pytest.mark.parametrize("follows", [True, False])
def test_in_a_clip_the_finder_looks_while_the_gpu_works(gpu: FakeCuda, inverting: Path, follows: bool) -> None:
    """Where nobody is known yet, or known faces are not followed without it, the frame waits for the finder."""

    class Looking(Script):
        def search(self, frame: np.ndarray) -> list[Face]:
            queued.append(len(stream.queue) > 0)
            return [face_at(100, 100)]

        def take(self, found: list[Face]) -> None:
            self.faces = found

    on_gpu, without, _ = pair(inverting, face_at(100, 100))
    on_gpu.tracker, stream, queued = Looking(due=True), on_gpu.ager.backend.stream, list[bool]()  # type: ignore[attr-defined]
    on_gpu.tracker.follows = follows
    for i in range(3):
        assert apart(on_gpu(noisy(i), i / 30), without(noisy(i), i / 30)) <= 2
    assert queued == [False, follows, follows]


def test_where_the_kernels_cannot_be_had_it_says_so(gpu: FakeCuda, inverting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(arch: str) -> bytes:
        raise ReagingError("nothing here compiles CUDA", "NVRTC", "install it")

    monkeypatch.setattr(compiling, "compile_kernels", none)
    said: list[str] = []
    assert filter_with(TensorRT(inverting), says=said.append).gpu is None
    assert said == ["the network runs on the GPU, the rest of a frame on the CPU: nothing here compiles CUDA"]
    assert filter_with(open_backend(inverting, "cpu", 1), says=said.append).gpu is None and len(said) == 1
