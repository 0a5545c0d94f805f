"""A generator whose change depends on the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reaging.card import CARD_KEY, ModelCard


@pytest.fixture(scope="session")
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
