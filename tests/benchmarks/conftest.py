"""Judges and faces that can be reasoned about: brightness is age, the coarse picture is identity."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reaging.benchmarks.judges import Judge
from reaging.card import CARD_KEY, ModelCard

SIZE = 32  # input of the judges
MODEL_SIZE = 64


def write_judge(path: Path, nodes: list[onnx.NodeProto], output: list[int | str], constants: dict[str, np.ndarray], crop: str) -> Path:
    graph = helper.make_graph(
        nodes,
        "judge",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if crop:
        helper.set_model_props(model, {"crop": crop})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def age_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Years = mean of the middle of the crop (0..255) * 0.4."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("ReduceMean", ["mean"], ["gray"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["gray", "column"], ["grays"]),
        helper.make_node("Mul", ["grays", "scale"], ["out"]),
    ]
    constants = {"column": np.int64([-1, 1]), "scale": np.float32(0.4)}
    path = tmp_path_factory.mktemp("judges") / "age.onnx"
    return write_judge(path, nodes, ["n", 1], constants, f"127.5,127.5,128,{SIZE}")


@pytest.fixture(scope="session")
def id_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The picture in 4 x 4 tiles, less its mean: what is left of a face when its brightness does not count."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["tiles"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("ReduceMean", ["tiles"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Sub", ["tiles", "mean"], ["relief"]),
        helper.make_node("Flatten", ["relief"], ["out"]),
    ]
    path = tmp_path_factory.mktemp("judges") / "identity.onnx"
    return write_judge(path, nodes, ["n", 48], {}, f"127.5,127.5,200,{SIZE}")


@pytest.fixture(scope="session")
def judges(age_model: Path, id_model: Path) -> tuple[Judge, Judge]:
    return Judge(age_model), Judge(id_model)


def write_generator(path: Path, strength: float) -> Path:
    """aged = image + mask * strength * (age - 50) / 100, the mask 1 in the middle and 0 at the border."""
    mask = np.zeros((1, 1, MODEL_SIZE, MODEL_SIZE), np.float32)
    mask[..., 12:52, 12:52] = 1
    nodes = [
        helper.make_node("Sub", ["age", "middle"], ["years"]),
        helper.make_node("Mul", ["years", "gain"], ["gains"]),
        helper.make_node("Reshape", ["gains", "column"], ["column_gains"]),
        helper.make_node("Mul", ["column_gains", "where"], ["change"]),
        helper.make_node("Add", ["image", "change"], ["raw"]),
        helper.make_node("Clip", ["raw", "low", "high"], ["aged"]),
        helper.make_node("Mul", ["column_gains", "zero"], ["zeros"]),
        helper.make_node("Add", ["zeros", "where"], ["mask"]),
    ]
    constants = {
        "middle": np.float32(50),
        "gain": np.float32(strength / 100),
        "column": np.int64([-1, 1, 1, 1]),
        "where": mask,
        "zero": np.float32(0),
        "low": np.float32(-1),
        "high": np.float32(1),
    }
    side = MODEL_SIZE
    graph = helper.make_graph(
        nodes,
        "generator",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, side, side]),
            helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n"]),
        ],
        [
            helper.make_tensor_value_info("aged", TensorProto.FLOAT, ["n", 3, side, side]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 1, side, side]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {CARD_KEY: ModelCard("generator", "toy", (side, side)).to_json()})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def returning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator that returns its input."""
    return write_generator(tmp_path_factory.mktemp("models") / "returning.onnx", 0.0)


@pytest.fixture(scope="session")
def brightening(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator that brightens the face with age: what the toy age judge takes for aging."""
    return write_generator(tmp_path_factory.mktemp("models") / "brightening.onnx", 1.0)


@pytest.fixture(scope="session")
def face_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six gray "people" with a relief of their own: four in test, two in train; person 0 also as an edited picture (step 1)."""
    folder = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "identity", "step", "split", "age"])
        for person in range(6):
            small = random.uniform(-20, 20, (8, 8, 3)) + 110 + 8 * person
            picture = cv2.resize(small, (256, 256), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
            for step in range(2 if person == 0 else 1):
                name = f"{person}_{step}.png"
                cv2.imwrite(str(folder / name), picture)
                table.writerow([name, person, step, "test" if person < 4 else "train", 45 + 3 * person])
    return folder
