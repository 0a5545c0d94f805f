"""Whole frames on the GPU's path, held against the CPU's: real classes and kernels, stand-ins for driver and TensorRT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from gpu_fakes import FakeCuda, FakeTensorRT, fake_gpu

from reaging.card import CARD_KEY, ModelCard
from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.backends.tensorrt import TensorRT
from reaging.runtime.cuda import compile as compiling
from reaging.runtime.cuda.frames import GpuFrames
from reaging.runtime.faces.template import cut, frame_to_crop
from reaging.runtime.paste import paste_patches, patch

Fakes = tuple[FakeCuda, FakeTensorRT]
FACE = np.float32([[204, 104], [242, 102], [224, 126], [210, 146], [240, 145]])  # the astronaut's


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fakes]:
    # what the kernels are compiled to is not run here: the fake launches the host's build of the same source
    monkeypatch.setattr(compiling, "compile_kernels", lambda arch: b"\x7fELF faces_to_input changes_to_frame " + arch.encode())
    with fake_gpu(monkeypatch, tmp_path) as fakes:
        yield fakes


@pytest.fixture(scope="module")
def photo(astronaut: Path) -> np.ndarray:
    return cv2.GaussianBlur(cv2.imread(str(astronaut)), (0, 0), 2.5)[:300]


@pytest.fixture(scope="module")
def inverting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator whose change depends on the picture, unlike the tinting one's: to a grey at 100 years."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    at = (np.arange(64) - 31.5) / 32
    ellipse = np.clip((1 - np.hypot(at[None] / 0.7, at[:, None] / 0.9)) * 3, 0, 1).astype(np.float32)[None, None]
    constants = {"ellipse": ellipse, "most": np.float32(-100), "column": np.int64([-1, 1, 1, 1]), "zero": np.float32(0)}
    nodes = [("Div", ["age", "most"], "share"), ("Reshape", ["share", "column"], "shares"), ("Mul", ["image", "shares"], "less"),
             ("Mul", ["less", "ellipse"], "change"), ("Add", ["image", "change"], "aged"), ("Mul", ["shares", "zero"], "zeros"),
             ("Add", ["zeros", "ellipse"], "mask")]  # fmt: skip
    shapes = {"image": ["N", 3, 64, 64], "age": ["N"], "aged": ["N", 3, 64, 64], "mask": ["N", 1, 64, 64]}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [output]) for op, inputs, output in nodes], "inverting", [values["image"], values["age"]],
        [values["aged"], values["mask"]], [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {CARD_KEY: ModelCard("generator", "inverting", (64, 64)).to_json()})
    path = tmp_path_factory.mktemp("model") / "inverting.onnx"
    onnx.save(model, path)
    return path


def several(count: int) -> list[np.ndarray]:
    """Faces that overlap, differ in size, and stick out of the frame."""
    shifts = [(0, 0), (40, 10), (-150, 30), (130, -60), (20, 130), (-60, -50), (200, 90)]
    return [frame_to_crop((FACE - FACE.mean(0)) * (1 + 0.3 * (i % 3)) + FACE.mean(0) + shifts[i], 64) for i in range(count)]


def on_the_cpu(model: Path, frame: np.ndarray, matrices: list[np.ndarray], ages: list[float], gains: list[float]) -> np.ndarray:
    ager = Ager(open_backend(model, "cpu", 1))
    change = ager(np.stack([cut(frame, m, 64) for m in matrices]), ages)
    return paste_patches(frame, [patch(d, m) for d, m in zip(change.delta, change.mask, strict=True)], matrices, gains)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize(("name", "apart"), [("tinting", 1), ("inverting", 2)])  # the latter hands on what its input is apart
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
        got = frames(photo, matrices, ages, gains)
        wrong = np.abs(got.astype(int) - expected)
        assert wrong.max() <= apart and wrong[expected != photo].mean() < 0.25


def test_outside_the_masks_it_is_the_frame_bit_for_bit(gpu: Fakes, tinting: Path, astronaut: Path) -> None:
    frame = cv2.imread(str(astronaut))
    matrices = several(2)
    got = GpuFrames(TensorRT(tinting))(frame, matrices, [90.0, 10.0], [1.0, 1.0])
    reach = np.zeros(frame.shape[:2], bool)
    for m in matrices:
        corners = cv2.transform(np.float32([[[0, 0], [64, 0], [64, 64], [0, 64]]]), cv2.invertAffineTransform(m)).astype(np.int32)
        reach |= cv2.fillPoly(np.zeros(frame.shape[:2], np.uint8), corners, 1).astype(bool)
    assert np.array_equal(got[~reach], frame[~reach]) and not np.array_equal(got, frame)


def test_one_copy_each_way_and_one_launch_each(gpu: Fakes, tinting: Path, photo: np.ndarray) -> None:
    frames, log = GpuFrames(TensorRT(tinting)), gpu[0].log
    before = len(log)
    frames(photo, several(3), [80.0] * 3, [1.0] * 3)
    # frame, then where the faces are; cut all, paste all; the frame back
    assert [c for c in log[before:] if c not in ("mem_alloc", "pagelocked_empty")] == [
        "htod", "htod", "faces_to_input", "changes_to_frame", "dtoh",
    ]  # fmt: skip
    frames(photo, several(3), [80.0] * 3, [1.0] * 3)
    before = len(log)
    frames(photo, several(3), [20.0] * 3, [1.0] * 3)
    assert not log[before:]  # replayed: nothing is queued one by one


def test_nothing_to_change_gives_back_the_frame_itself(gpu: Fakes, tinting: Path, photo: np.ndarray) -> None:
    frames = GpuFrames(TensorRT(tinting))
    far = frame_to_crop(FACE + 5000, 64)
    assert frames(photo, [], [], []) is photo
    assert frames(photo, several(1), [80.0], [0.0]) is photo
    assert frames(photo, [far], [80.0], [1.0]) is photo
    with pytest.raises(ValueError, match="zip"):
        frames(photo, several(2), [80.0], [1.0, 1.0])


def test_another_size_of_frame_is_taken_and_the_last_result_stays(gpu: Fakes, tinting: Path, photo: np.ndarray) -> None:
    frames, matrices = GpuFrames(TensorRT(tinting)), several(1)
    small = np.ascontiguousarray(photo[:200, :320])
    first = frames(photo, matrices, [90.0], [1.0])
    kept = first.copy()
    for frame in (photo, photo, small, small, small, photo, photo):  # what was recorded for the first photos has other addresses
        got = frames(frame, matrices, [10.0], [1.0])
        expected = on_the_cpu(tinting, frame, matrices, [10.0], [1.0])
        assert got.shape == frame.shape and np.abs(got.astype(int) - expected).max() <= 1
    assert np.array_equal(first, kept)
