"""Whole frames on the GPU's path, held against the CPU's: real classes and kernels, stand-ins for driver and TensorRT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from gpu_fakes import CUBIN, FakeCuda, FakeTensorRT, fake_gpu
from warps import LEVEL

from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.backends.tensorrt import TensorRT
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.frames import GpuFrames
from reaging.runtime.cuda.rows import GpuFace
from reaging.runtime.faces.template import cut, frame_to_crop
from reaging.runtime.paste import paste_patches, patch

Fakes = tuple[FakeCuda, FakeTensorRT]
FACE = np.float32([[204, 104], [242, 102], [224, 126], [210, 146], [240, 145]])  # the astronaut's


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fakes]:
    # what the kernels are compiled to is not run here: the fake launches the host's build of the same source
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: CUBIN + arch.encode())
    with fake_gpu(monkeypatch, tmp_path) as fakes:
        yield fakes


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> np.ndarray:
    return cv2.GaussianBlur(cv2.imread(str(astronaut)), (0, 0), 2.5)[:300]


def several(count: int) -> list[np.ndarray]:
    """Faces that overlap, differ in size, and stick out of the frame."""
    shifts = [(0, 0), (40, 10), (-150, 30), (130, -60), (20, 130), (-60, -50), (200, 90)]
    return [frame_to_crop((FACE - FACE.mean(0)) * (1 + 0.3 * (i % 3)) + FACE.mean(0) + shifts[i], 64) for i in range(count)]


def faces(frames: GpuFrames, matrices: list[np.ndarray], ages: list[float], gains: list[float]) -> list[GpuFace]:
    """Each by itself: nothing of it is kept from before."""
    return [GpuFace(m, frames.keep(), age, gain) for m, age, gain in zip(matrices, ages, gains, strict=True)]


def on_the_cpu(model: Path, frame: np.ndarray, matrices: list[np.ndarray], ages: list[float], gains: list[float]) -> np.ndarray:
    ager = Ager(open_backend(model, "cpu", 1))
    change = ager(np.stack([cut(frame, m, 64) for m in matrices]), ages)
    return paste_patches(frame, [patch(d, m) for d, m in zip(change.delta, change.mask, strict=True)], matrices, gains)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize(("name", "apart"), [("tinting", LEVEL), ("inverting", LEVEL + 1)])  # the latter hands on what its input is apart
def test_frames_are_those_of_the_cpu_within_a_gray_level(
    gpu: Fakes, request: pytest.FixtureRequest, photo: np.ndarray, name: str, apart: int, count: int, half: bool
) -> None:
    gpu[1].half, model = half, request.getfixturevalue(name)
    frames = GpuFrames(TensorRT(model))  # 4 faces at once: 7 are two batches
    matrices, ages = several(count), [90.0, 15.0, 70.0, 100.0, 5.0, 80.0, 20.0][:count]
    gains = [1.0, 0.6, 1.0, 1.0, 0.3, 1.0, 1.0][:count]
    expected = on_the_cpu(model, photo, matrices, ages, gains)
    assert np.abs(expected.astype(int) - photo).max() > 30
    for _ in range(3):  # as it is, recorded, replayed
        got = frames(photo, faces(frames, matrices, ages, gains))
        wrong = np.abs(got.astype(int) - expected)
        assert wrong.max() <= apart and wrong[expected != photo].mean() < 0.25


def test_outside_the_masks_it_is_the_frame_bit_for_bit(gpu: Fakes, tinting: Path, astronaut: Path) -> None:
    frame = cv2.imread(str(astronaut))
    matrices = several(2)
    frames = GpuFrames(TensorRT(tinting))
    got = frames(frame, faces(frames, matrices, [90.0, 10.0], [1.0, 1.0]))
    reach = np.zeros(frame.shape[:2], bool)
    for m in matrices:
        corners = cv2.transform(np.float32([[[0, 0], [64, 0], [64, 64], [0, 64]]]), cv2.invertAffineTransform(m)).astype(np.int32)
        reach |= cv2.fillPoly(np.zeros(frame.shape[:2], np.uint8), corners, 1).astype(bool)
    assert np.array_equal(got[~reach], frame[~reach]) and not np.array_equal(got, frame)


def test_one_copy_each_way_and_one_launch_each(gpu: Fakes, tinting: Path, photo: np.ndarray) -> None:
    frames, log = GpuFrames(TensorRT(tinting)), gpu[0].log
    three = faces(frames, several(3), [80.0] * 3, [1.0] * 3)
    before = len(log)
    frames(photo, three)
    # frame, and the faces to be cut; cut, average and keep all; the faces to be shown, show all; the frame back
    assert [c for c in log[before:] if c not in ("mem_alloc", "pagelocked_empty")] == [
        "htod", "htod", "faces_to_input", "changes_to_average", "changes_to_worn", "htod", "worn_to_frame", "dtoh",
    ]  # fmt: skip
    frames(photo, three)
    before = len(log)
    frames(photo, [replace(face, age=20.0) for face in three])
    assert not log[before:]  # replayed: nothing is queued one by one


def test_nothing_to_change_gives_back_the_frame_itself(gpu: Fakes, tinting: Path, photo: np.ndarray) -> None:
    frames = GpuFrames(TensorRT(tinting))
    far = frame_to_crop(FACE + 5000, 64)
    assert frames(photo, []) is photo
    assert frames(photo, faces(frames, several(1), [80.0], [0.0])) is photo
    assert frames(photo, faces(frames, [far], [80.0], [1.0])) is photo


def test_another_size_of_frame_is_taken_and_the_last_result_stays(gpu: Fakes, tinting: Path, photo: np.ndarray) -> None:
    frames, matrices = GpuFrames(TensorRT(tinting)), several(1)
    small = np.ascontiguousarray(photo[:200, :320])
    first = frames(photo, faces(frames, matrices, [90.0], [1.0]))
    kept = first.copy()
    for frame in (photo, photo, small, small, small, photo, photo):  # what was recorded for the first photos has other addresses
        got = frames(frame, faces(frames, matrices, [10.0], [1.0]))
        expected = on_the_cpu(tinting, frame, matrices, [10.0], [1.0])
        assert got.shape == frame.shape and np.abs(got.astype(int) - expected).max() <= 1
    assert np.array_equal(first, kept)


def test_a_kept_change_is_shown_again_elsewhere_and_its_memory_is_used_again(gpu: Fakes, tinting: Path, photo: np.ndarray) -> None:
    frames, (here, there) = GpuFrames(TensorRT(tinting)), several(2)
    kept = frames.keep()
    frames(photo, [GpuFace(here, kept, 90.0)])
    others = faces(frames, several(7), [20.0] * 7, [1.0] * 7)  # more memory than there was: what is kept moves
    assert len({face.kept.slot for face in others} | {kept.slot}) == 8
    frames(photo, others)
    for share in (None, np.full((64, 64), 0.5, np.float32)):
        got = frames(photo, [GpuFace(there, kept, None, 0.8, share=share)])
        expected = on_the_cpu(tinting, photo, [there], [90.0], [0.8 if share is None else 0.4])
        assert np.abs(got.astype(int) - expected).max() <= 1 and not np.array_equal(expected, photo)
    alive = len(gpu[0].allocations)
    del others
    for _ in range(30):
        frames(photo, faces(frames, several(1), [20.0], [1.0]))
    assert len(gpu[0].allocations) == alive


def test_only_a_face_with_an_age_goes_through_the_network(gpu: Fakes, tinting: Path, photo: np.ndarray) -> None:
    frames, log = GpuFrames(TensorRT(tinting)), gpu[0].log
    first, second = faces(frames, several(2), [90.0, 90.0], [1.0, 1.0])
    both = frames(photo, [first, second])
    before = len(log)
    again = frames(photo, [GpuFace(first.matrix, first.kept), GpuFace(second.matrix, second.kept)])
    assert np.array_equal(again, both) and log[before:] == ["htod", "htod", "worn_to_frame", "dtoh"]
    before = len(log)
    assert frames(photo, [GpuFace(first.matrix, first.kept, 20.0, gain=0.0)]) is photo  # it is not shown, but its change is new
    assert log[before:] == ["htod", "htod", "faces_to_input", "changes_to_average", "changes_to_worn"]
    got = frames(photo, [GpuFace(first.matrix, first.kept)])
    assert np.abs(got.astype(int) - on_the_cpu(tinting, photo, [first.matrix], [20.0], [1.0])).max() <= 1
