"""What an ONNX file costs to run, counted from the shapes in its graph: parameters, multiply-accumulates, bytes moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, helper, shape_inference

from ..errors import ReagingError

Shapes = dict[str, tuple[int, ...]]
CONVOLUTIONS = ("Conv", "ConvInteger", "QLinearConv")
PRODUCTS = (*CONVOLUTIONS, "ConvTranspose", "Gemm", "MatMul", "MatMulInteger", "QLinearMatMul")
SETTINGS = {"Resize": (1, 2), "QuantizeLinear": (1, 2), "DequantizeLinear": (1, 2)}  # inputs that say how, not what: not learned
EIGHT_BIT = (TensorProto.INT8, TensorProto.UINT8)
LEARNED = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, *EIGHT_BIT)  # int32: biases of quantized layers


@dataclass(frozen=True)
class GraphCost:
    """Of one face."""

    parameters: int  # stored values but scalars, shapes and quantization scales; tables that are not learned count too
    macs: int  # of convolutions and matrix products
    int8_macs: int  # those of them whose weights have 8 bits
    traffic: int  # bytes that these layers read and write if each result goes to memory once: inputs, weights, outputs


def graph_macs(path: str | Path) -> int:
    """Multiply-accumulates of convolutions and matrix products for one face; raises what graph_cost raises."""
    return graph_cost(path).macs


def graph_cost(path: str | Path) -> GraphCost:
    """What one face (batch 1) costs.

    Raises ReagingError where the file is no ONNX or its shapes are not all known.
    """
    graph = _one_face(path)
    kinds: dict[str, int] = {t.name: t.data_type for t in graph.initializer}
    shapes: Shapes = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in [*graph.input, *graph.output, *graph.value_info]:
        shapes.setdefault(value.name, tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim))
    for node in graph.node:
        if node.op_type in ("DequantizeLinear", "Cast") and node.input[0] in kinds:
            kinds[node.output[0]] = kinds[node.input[0]]  # 8-bit weights behind their scale are 8-bit weights
    macs = int8_macs = traffic = 0
    for node in graph.node:
        if node.op_type not in PRODUCTS:
            continue
        count = _node_macs(node, shapes, str(path))
        weights = kinds.get(_operands(node)[1], TensorProto.FLOAT)
        macs += count
        int8_macs += count if weights in EIGHT_BIT else 0
        width = helper.tensor_dtype_to_np_dtype(weights).itemsize
        traffic += width * sum(math.prod(shapes[name]) for name in (*_operands(node), node.output[0]))
    return GraphCost(_parameters(graph), macs, int8_macs, traffic)


def _one_face(path: str | Path) -> onnx.GraphProto:
    """The graph for batch 1, with every shape that can be inferred."""
    try:
        model = onnx.load(str(path), load_external_data=False)
        for value in model.graph.input:
            value.type.tensor_type.shape.dim[0].dim_value = 1
        # shapes that were inferred for a symbolic batch would win over the fixed one
        del model.graph.value_info[:]
        return shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception as error:  # onnx and protobuf raise classes of their own
        raise ReagingError(f"{path} is no readable ONNX file ({error})", "a model written by reaging-export", "check the path") from None


def _parameters(graph: onnx.GraphProto) -> int:
    settings = {node.input[i] for node in graph.node for i in SETTINGS.get(node.op_type, ()) if i < len(node.input)}
    settings |= {value.name for value in graph.input}  # an optional input's default
    stored = [t for t in graph.initializer if t.data_type in LEARNED and t.name not in settings]
    return sum(math.prod(t.dims) for t in stored if math.prod(t.dims) > 1)


def _operands(node: onnx.NodeProto) -> tuple[str, str]:
    """Names of what is multiplied: the QLinear forms have scale and zero point between the two."""
    return node.input[0], node.input[3 if node.op_type.startswith("QLinear") else 1]


def _node_macs(node: onnx.NodeProto, shapes: Shapes, where: str) -> int:
    first_name, second_name = _operands(node)
    try:
        first, second, out = shapes[first_name], shapes[second_name], shapes[node.output[0]]
    except KeyError as error:
        raise ReagingError(
            f"{where}: the shape of {error} is not known", "a graph with fixed sizes but for the batch", "export it again"
        ) from None
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(second[1:])  # every input value meets the kernel once
    if node.op_type in CONVOLUTIONS:
        return math.prod(out) * math.prod(second[1:])
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(out) * first[0 if transposed else 1]
    return math.prod(out) * first[-1]
