"""A frozen ONNX net as a differentiable torch module: the age, identity and perceptual nets that losses look through."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..card import CROP_KEY, parse_crop
from ..errors import ReagingError


class FrozenNet(nn.Module):
    """Runs the graph of a feed-forward ONNX file with torch.

    Input ``x``: RGB [N, 3, h, w] in 0..255.  The metadata ``crop`` = cx, cy, side, size (pixels of a 256 px FFHQ crop) names the square
    that the net wants to see.  Raises ReagingError where the file is missing, no ONNX, or has an operator not known here.
    """

    def __init__(self, path: str | Path):
        super().__init__()
        import onnx

        try:
            model = onnx.load(str(path), load_external_data=False)
        except Exception:
            raise ReagingError(
                f"{path} is not a readable ONNX file", "a frozen age, identity or perceptual net", "check the path"
            ) from None
        if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
            raise ReagingError(f"{path} keeps its weights in another file", "one self-contained ONNX file", "save it as one")
        crop = {p.key: p.value for p in model.metadata_props}.get(CROP_KEY)
        try:
            self.crop = parse_crop(crop) if crop else None
            self._read(model.graph, path)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ReagingError(
                f"{path} is not a usable ONNX file ({error})", "a frozen age, identity or perceptual net", "get it again"
            ) from None
        self.eval().requires_grad_(False)

    def _read(self, graph: Any, path: str | Path) -> None:
        from onnx import helper, numpy_helper

        self.outputs = [o.name for o in graph.output]
        self.constants: dict[str, Any] = {}
        self.nodes: list[tuple[str, list[str], str, dict[str, Any]]] = []
        for tensor in graph.initializer:
            self._constant(tensor.name, numpy_helper.to_array(tensor))
        for node in graph.node:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                self._constant(node.output[0], numpy_helper.to_array(attributes["value"]))
            elif node.op_type == "Cast" and node.input[0] in self.constants:  # weights stored as float16
                self.constants[node.output[0]] = self.constants[node.input[0]]
            elif node.op_type in OPERATORS:
                self.nodes.append((node.op_type, list(node.input), node.output[0], attributes))
            else:
                raise ReagingError(f"{path} uses the operator {node.op_type}", f"only {', '.join(OPERATORS)}", "bring another net")

    def _constant(self, name: str, array: np.ndarray) -> None:
        if array.dtype.kind in "iu":
            self.constants[name] = array
        else:
            key = f"constant{len(self.constants)}"
            self.register_buffer(key, torch.from_numpy(np.array(array, np.float32)), persistent=False)
            self.constants[name] = key

    def _value(self, name: str, values: dict[str, Tensor]) -> Any:
        if not name:
            return None
        if name in values:
            return values[name]
        constant = self.constants[name]
        return getattr(self, constant) if isinstance(constant, str) else constant

    def forward(self, x: Tensor) -> list[Tensor]:
        values = {"x": x}
        for op, inputs, output, attributes in self.nodes:
            values[output] = OPERATORS[op](attributes, *(self._value(i, values) for i in inputs))
        return [values[o] for o in self.outputs]

    def look(self, image: Tensor, shake: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Tensor:
        """The net's first output for FFHQ crops [N, 3, S, S] in -1..1, differentiable.

        ``shake``: the net's crop is moved right and down by these shares of the picture's side and its logarithm of scale by the third.  A
        net that never looks twice from the same place is harder to please with a texture that no person would see.
        """
        crop = self.crop
        if crop is not None:
            crop = (crop[0] + 256 * shake[0], crop[1] + 256 * shake[1], crop[2] * math.exp(shake[2]), crop[3])
        return self(crop_square((image + 1) * 127.5, crop))[0]


def crop_square(image: Tensor, crop: tuple[float, ...] | None) -> Tensor:
    """Cuts ``crop`` = (cx, cy, side, size), in pixels of a 256 px picture, out of [N, C, S, S]; the edge is repeated outside."""
    if crop is None:
        return image
    s = image.shape[-1]
    scale = s / 256
    cx, cy, side, size = (crop[0] + 0.5) * scale, (crop[1] + 0.5) * scale, crop[2] * scale, int(crop[3])
    theta = image.new_tensor([[side / s, 0, 2 * cx / s - 1], [0, side / s, 2 * cy / s - 1]]).expand(len(image), 2, 3)
    fine = size * max(1, round(side / size))  # sampled finer and averaged where the crop shrinks
    grid = F.affine_grid(theta, [len(image), 3, fine, fine], align_corners=False)
    out = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    return out if fine == size else F.avg_pool2d(out, fine // size)


def _spatial(x: Tensor, pads: list[int], value: float = 0.0) -> Tensor:
    return F.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=value) if any(pads) else x


def _conv(a: dict[str, Any], x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    x = _spatial(x, list(a.get("pads", [0] * 4)))
    return F.conv2d(x, w, b, list(a.get("strides", [1, 1])), 0, list(a.get("dilations", [1, 1])), a.get("group", 1))


def _gemm(a: dict[str, Any], x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    y = (x.T if a.get("transA") else x) @ (w.T if a.get("transB") else w)
    return y if b is None else y + b


def _pad(a: dict[str, Any], x: Tensor, pads: Any = None, *_: Any) -> Tensor:
    amounts = list(a["pads"]) if pads is None else [int(p) for p in pads]
    half = len(amounts) // 2
    return F.pad(x, [p for i in reversed(range(half)) for p in (amounts[i], amounts[i + half])])


OPERATORS: dict[str, Any] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "Pad": _pad,
    "MaxPool": lambda a, x: F.max_pool2d(
        _spatial(x, list(a.get("pads", [0] * 4)), float("-inf")), list(a["kernel_shape"]), list(a.get("strides", [1, 1]))
    ),
    "AveragePool": lambda a, x: F.avg_pool2d(x, list(a["kernel_shape"]), list(a.get("strides", [1, 1]))),
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "BatchNormalization": lambda a, x, w, b, m, v: F.batch_norm(x, m, v, w, b, False, 0.0, a.get("epsilon", 1e-5)),
    "PRelu": lambda a, x, slope: torch.where(x >= 0, x, x * slope),
    "Relu": lambda a, x: F.relu(x),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Clip": lambda a, x, low, high: x.clamp(float(low), float(high)),
    "Softmax": lambda a, x: x.softmax(a.get("axis", -1)),
    "Flatten": lambda a, x: x.flatten(a.get("axis", 1)),
    "Reshape": lambda a, x, shape: x.reshape([x.shape[i] if d == 0 else int(d) for i, d in enumerate(shape)]),
    "Concat": lambda a, *xs: torch.cat(xs, a["axis"]),
    "Identity": lambda a, x: x,
    "Add": lambda a, x, y: x + y,
    "Sub": lambda a, x, y: x - y,
    "Mul": lambda a, x, y: x * y,
    "Div": lambda a, x, y: x / y,
    "MatMul": lambda a, x, y: x @ y,
}
