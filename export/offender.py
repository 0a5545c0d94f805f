"""Which layer of a half-precision graph is the first to leave the float32 one: every tensor of both, in the order they are computed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from .verify import Array, decibels

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "InstanceNormalization", "GroupNormalization", "LayerNormalization")
AT_ONCE = 16  # nodes whose tensors are fetched in one run: all of them at once are gigabytes in a large network
SHOWN = 5  # layers in the table, the last of them the offender


@dataclass(frozen=True)
class Layer:
    """One node of the float32 graph, and how far the half-precision graph is from it there."""

    name: str  # of the module that its weights are in; without weights, of the node
    kind: str  # ONNX operator
    reaches: float  # largest magnitude in float32
    psnr: float  # dB, against the larger of the tensor's span and that magnitude
    finite: bool  # in half precision

    def __str__(self) -> str:
        how = f"at {self.psnr:.1f} dB" if self.finite else "which overflows"
        return f"{self.name} ({self.kind}), {how}: it reaches {self.reaches:.3g} in float32"


def rounded(half: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph for a processor, with each float16 tensor computed in float32 and rounded, as a GPU does.

    ONNX Runtime's own way on a processor leaves out the rounding between two nodes, and what overflows there would not be seen.
    """
    typed = onnx.shape_inference.infer_shapes(half).graph
    halves = {v.name for v in typed.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16}
    model = copy.deepcopy(half)
    del model.graph.node[:], model.graph.value_info[:]
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT16:
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for node in half.graph.node:
        own = model.graph.node.add()
        own.CopyFrom(node)
        if node.op_type == "Cast" and node.output[0] in halves:
            own.attribute[0].i = onnx.TensorProto.FLOAT
        for i, name in enumerate(node.output):
            if name in halves:
                own.output[i] = f"{name}.full"
                model.graph.node.append(onnx.helper.make_node("Cast", [f"{name}.full"], [f"{name}.half"], to=onnx.TensorProto.FLOAT16))
                model.graph.node.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    return model


def compare_layers(full: onnx.ModelProto, half: onnx.ModelProto, image: Array, age: Array, bound: float) -> list[Layer]:
    """The layers of two graphs of one network on one input, up to the first below ``bound`` dB or not finite.

    Empty where the graphs have nothing in common.
    """
    pairs = _pairs(full, half)
    runs = [_session(model, [p[side].output[0] for p in pairs]) for side, model in enumerate((full, rounded(half)))]
    layers = []
    for start in range(0, len(pairs), AT_ONCE):
        part = pairs[start : start + AT_ONCE]
        wanted, got = (run.run([p[side].output[0] for p in part], {"image": image, "age": age}) for side, run in enumerate(runs))
        for (node, _), want, have in zip(part, wanted, got, strict=True):
            if want.dtype.kind != "f" or want.shape != have.shape:  # shapes and choices are no layers
                continue
            layers.append(_layer(node, want.astype(np.float64), have.astype(np.float64)))
            if not layers[-1].psnr >= bound:
                return layers
    return layers


def table(layers: list[Layer]) -> list[str]:
    """The last few layers, to print."""
    rows = [("layer", "kind", "reaches", "PSNR"), *((x.name, x.kind, f"{x.reaches:.3g}", f"{x.psnr:.1f} dB") for x in layers[-SHOWN:])]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return ["  ".join(["", *(cell.ljust(width) for cell, width in zip(row, widths, strict=True))]).rstrip() for row in rows]


def _session(model: onnx.ModelProto, tensors: list[str]):  # type: ignore[no-untyped-def]
    """Runs a graph with these tensors as outputs."""
    import onnxruntime as ort

    shown = copy.deepcopy(model)
    known = {o.name for o in model.graph.output}
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in known)
    options = ort.SessionOptions()
    options.log_severity_level, options.graph_optimization_level = 3, ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # nodes as they are
    return ort.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _pairs(full: onnx.ModelProto, half: onnx.ModelProto) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """The nodes of both in turn.

    Both come from one trace, so without casts they are the same in number and order; their names are not, as the exporter counts casts.
    Where something else stands between, those that have weights or statistics are what can be matched.
    """
    for usable in (lambda kind: kind != "Cast", LAYERS.__contains__):
        ours, theirs = ([n for n in model.graph.node if usable(n.op_type)] for model in (full, half))
        if [n.op_type for n in ours] == [n.op_type for n in theirs]:
            return list(zip(ours, theirs, strict=True))
    return []


def _layer(node: onnx.NodeProto, want: np.ndarray, got: np.ndarray) -> Layer:
    reaches, finite = float(np.abs(want).max(initial=0)), bool(np.isfinite(got).all())
    square = float(np.mean(np.square(got - want))) if finite else np.inf
    return Layer(_name(node), node.op_type, reaches, decibels(square, max(reaches, float(np.ptp(want)), 1e-30)), finite)


def _name(node: onnx.NodeProto) -> str:
    modules: Iterator[str] = (i.removesuffix(".weight").removeprefix("network.") for i in node.input if i.endswith(".weight"))
    return next(modules, node.name)
