"""Multiply-accumulates of an ONNX file, counted from the shapes in its graph."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from onnx import shape_inference

from ..errors import ReagingError

Shapes = dict[str, tuple[int, ...]]


def graph_macs(path: str | Path) -> int:
    """Multiply-accumulates of convolutions and matrix products for one face (batch 1).

    Raises ReagingError where the file is no ONNX or its shapes are not all known.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
        for value in model.graph.input:
            value.type.tensor_type.shape.dim[0].dim_value = 1
        # shapes that were inferred for a symbolic batch would win over the fixed one
        del model.graph.value_info[:]
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # onnx and protobuf raise classes of their own
        raise ReagingError(f"{path} is no readable ONNX file ({error})", "a model written by reaging-export", "check the path") from None
    shapes: Shapes = {t.name: tuple(t.dims) for t in inferred.graph.initializer}
    for value in [*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info]:
        shapes.setdefault(value.name, tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim))
    return sum(_node_macs(node, shapes, str(path)) for node in inferred.graph.node)


def _node_macs(node: onnx.NodeProto, shapes: Shapes, where: str) -> int:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul", "ConvInteger", "MatMulInteger"):
        return 0
    try:
        first, second, out = shapes[node.input[0]], shapes[node.input[1]], shapes[node.output[0]]
    except KeyError as error:
        raise ReagingError(
            f"{where}: the shape of {error} is not known", "a graph with fixed sizes but for the batch", "export it again"
        ) from None
    if node.op_type.startswith("ConvTranspose"):
        return math.prod(first) * math.prod(second[1:])  # every input value meets the kernel once
    if node.op_type.startswith("Conv"):
        return math.prod(out) * math.prod(second[1:])
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(out) * first[0 if transposed else 1]
    return math.prod(out) * first[-1]
