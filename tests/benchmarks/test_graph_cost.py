"""What a graph costs, against counts made by hand and by torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reaging.benchmarks.graph_cost import graph_cost
from reaging.errors import ReagingError
from reaging.runtime.backends.modelfile import read_model
from reaging.runtime.bundled import GENERATOR, bundled


def write_graph(path: Path, nodes: list[onnx.NodeProto], output: list[int | str], constants: dict[str, np.ndarray]) -> Path:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_each_kind_of_product_counts_what_it_multiplies(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),  # 4 x 4 x 6 results of 3 x 3 x 3
        helper.make_node("Conv", ["a", "w2"], ["b"], group=6, pads=[1, 1, 1, 1]),  # 4 x 4 x 6 results of 3 x 3
        helper.make_node("ConvTranspose", ["b", "w3"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),  # 4 x 4 x 6 inputs meet 4 x 4 x 5
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "w4"], ["e"], transB=1),  # 10 results of 320
        helper.make_node("MatMul", ["e", "w5"], ["y"]),  # 7 results of 10
    ]
    constants = {
        "w1": ones(6, 3, 3, 3),
        "b1": ones(6),
        "w2": ones(6, 1, 3, 3),
        "w3": ones(6, 5, 4, 4),
        "w4": ones(10, 320),
        "w5": ones(10, 7),
    }
    cost = graph_cost(write_graph(tmp_path / "g.onnx", nodes, ["n", 7], constants))
    assert cost.macs == 16 * 6 * 27 + 16 * 6 * 9 + 16 * 6 * 80 + 10 * 320 + 7 * 10
    assert cost.parameters == 162 + 6 + 54 + 480 + 3200 + 70
    moved = (192 + 162 + 96) + (96 + 54 + 96) + (96 + 480 + 320) + (320 + 3200 + 10) + (10 + 70 + 7)
    assert cost.traffic == 4 * moved
    assert cost.int8_macs == 0


def test_eight_bit_weights_behind_their_scale_are_told_from_float_ones(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w1", "scale", "zero"], ["w"], axis=0),
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "w2"], ["y"]),
    ]
    constants = {"w1": np.ones((6, 3, 3, 3), np.int8), "scale": ones(6), "zero": np.zeros(6, np.int8), "w2": ones(2, 6, 1, 1)}
    cost = graph_cost(write_graph(tmp_path / "q.onnx", nodes, ["n", 2, 8, 8], constants))
    assert (cost.int8_macs, cost.macs) == (64 * 6 * 27, 64 * 6 * 27 + 64 * 2 * 6)
    assert cost.parameters == 162 + 12  # neither scales nor zero points


def test_the_bundled_generator_costs_what_torch_counted_when_it_was_exported() -> None:
    path = bundled(GENERATOR)
    card, cost = read_model(path)[1], graph_cost(path)
    assert cost.macs == pytest.approx(card.macs, rel=0.001)
    assert cost.parameters == pytest.approx(card.parameters, rel=0.01)  # its norms are folded into the convolutions
    assert 4 * cost.parameters < path.stat().st_size < 4.2 * cost.parameters


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(ReagingError, match="no readable ONNX"):
        graph_cost(tmp_path / "text.onnx")
