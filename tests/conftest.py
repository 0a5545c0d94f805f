"""What several test files need: material from beside the repository, and a small stand-in generator."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reaging.card import CARD_KEY, ModelCard

# Where the tests run in the background of a shell, Ctrl-C is ignored, and so it would be in every program that they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared_file(name: str) -> Path:
    """A file of ../shared; skips the test where it is not there."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is not here")
    return path


def tinting_generator(path: Path, size: int = 64, card: ModelCard | None = None, external: bool = False) -> Path:
    """Writes a generator that reddens (old) or blues (young) the inside of a soft ellipse by (age - 50) / 100.

    It has the inputs, outputs and card of a real one, so that everything around a generator can be tested without trained weights:
    aged = image + mask * tint * (age - 50) / 100.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    at = (np.arange(size) - (size - 1) / 2) / (size / 2)
    distance = np.hypot(at[None] / 0.55, at[:, None] / 0.75)
    ellipse = np.clip((1 - distance) * 4, 0, 1).astype(np.float32)[None, None]
    constants = {
        "ellipse": ellipse,
        "tint": np.float32([0.8, 0.1, -0.8]).reshape(1, 3, 1, 1) * ellipse,
        "middle": np.float32(50),
        "range": np.float32(100),
        "column": np.int64([-1, 1, 1, 1]),
        "zero": np.float32(0),
    }
    steps = [
        ("Sub", ["age", "middle"], "years"),
        ("Div", ["years", "range"], "share"),
        ("Reshape", ["share", "column"], "shares"),
        ("Mul", ["tint", "shares"], "change"),
        ("Add", ["image", "change"], "aged"),
        ("Mul", ["shares", "zero"], "zeros"),
        ("Add", ["zeros", "ellipse"], "mask"),
    ]
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [output]) for op, inputs, output in steps],
        "tinting",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, size, size]),
            helper.make_tensor_value_info("age", TensorProto.FLOAT, ["N"]),
        ],
        [
            helper.make_tensor_value_info("aged", TensorProto.FLOAT, ["N", 3, size, size]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 1, size, size]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = card or ModelCard(kind="generator", preset="tinting", size=(size, size))
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    if external:
        onnx.save(model, path, save_as_external_data=True, location=f"{path.stem}.data", size_threshold=0)
    else:
        onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def make_generator() -> Callable[..., Path]:
    """``tinting_generator``, for tests that need one of another kind."""
    return tinting_generator


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """``shared_file``."""
    return shared_file


@pytest.fixture(scope="session")
def tinting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in generator at 64 pixels."""
    return tinting_generator(tmp_path_factory.mktemp("model") / "tinting.onnx")


@pytest.fixture(scope="session")
def yunet() -> Path:
    """YuNet's weights."""
    return shared_file("models/yunet.onnx")


@pytest.fixture(scope="session")
def astronaut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real portrait (NASA, public domain) as a file: scikit-image's astronaut."""
    data = pytest.importorskip("skimage.data")
    import cv2

    path = tmp_path_factory.mktemp("photo") / "astronaut.png"
    cv2.imwrite(str(path), np.ascontiguousarray(data.astronaut()[..., ::-1]))
    return path
