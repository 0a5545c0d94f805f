"""Half precision: what stays float32, that every preset passes, and which layer is named where a network does not."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from portraits import portrait
from torch import nn

from reaging.card import ModelCard
from reaging.errors import ReagingError
from reaging.export.fp16 import export_fp16
from reaging.export.offender import compare_layers, rounded
from reaging.export.onnx import export_onnx, trace
from reaging.export.pictures import Picture, square_crops
from reaging.export.verify import FP16_PSNR, TestInputs, as_image, compare, full_inputs, onnx_runner
from reaging.presets import PRESETS, Preset
from reaging.runtime.backends.modelfile import read_model
from reaging.runtime.bundled import generator_path

SMALLER = {
    "ragan-256": {"size": 32, "widths": (8, 12, 16), "bottleneck_blocks": 1, "style": 16, "code_repeat": 3},
    "mobile-256": {"size": 64, "widths": (8, 16), "bottleneck_blocks": 1, "style": 16},
    "desktop-256": {"size": 64, "widths": (12, 16), "bottleneck_blocks": 2, "style": 16},
    "pix2pix-3": {"size": 32},
    "tiny": {},
}
FULL_SIZE = os.environ.get("FP16_PRESETS", "mobile-256,desktop-256,pix2pix-3").split(",")  # ragan-256 takes half a minute
NORMS = ("InstanceNormalization", "GroupNormalization", "LayerNormalization")
FITS = ModelCard("generator", "loud", (32, 32))


def assert_pinned(graph: onnx.GraphProto) -> None:
    """Convolutions in float16; norms, ages, inputs and outputs in float32."""
    kinds = {t.name: t.data_type for t in graph.initializer}
    kinds |= {v.name: v.type.tensor_type.elem_type for v in [*graph.value_info, *graph.input, *graph.output]}
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert convolutions and all(kinds[node.input[1]] == onnx.TensorProto.FLOAT16 for node in convolutions)
    for node in graph.node:
        if node.op_type in (*NORMS, "Gemm", "MatMul"):
            assert all(kinds[name] == onnx.TensorProto.FLOAT for name in [*node.input, *node.output]), node.name
    assert {v.type.tensor_type.elem_type for v in [*graph.input, *graph.output]} == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_passes_with_its_norms_in_float32(name: str, make_lively: Callable[[Preset], nn.Module], tmp_path: Path) -> None:
    preset = dataclasses.replace(PRESETS[name], **SMALLER[name])  # type: ignore[arg-type]
    path = tmp_path / "half.onnx"
    inputs = full_inputs(preset.size)
    result = export_fp16(make_lively(preset), ModelCard("generator", name, (preset.size, preset.size)), path, inputs=inputs)
    assert FP16_PSNR <= result.psnr < 110 and result.finite  # above: nothing was half
    assert read_model(path)[1].precision == "fp16"
    model = onnx.load(path)
    assert_pinned(onnx.shape_inference.infer_shapes(model).graph)
    if name == "ragan-256":
        assert "InstanceNormalization" in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("name", FULL_SIZE)
def test_presets_pass_at_their_full_size(name: str, make_lively: Callable[[Preset], nn.Module], tmp_path: Path) -> None:
    preset, ages = PRESETS[name], np.float32([5, 90])
    inputs = TestInputs(face(preset.size).repeat(len(ages), 0), ages, "a portrait")
    result = export_fp16(
        make_lively(preset), ModelCard("generator", name, (preset.size, preset.size)), tmp_path / "half.onnx", inputs=inputs
    )
    assert FP16_PSNR <= result.psnr < 110 and result.finite


def face(size: int) -> np.ndarray:
    """A portrait as networks take it."""
    return as_image(square_crops([Picture("portrait", np.ascontiguousarray(portrait()[:256, 22:278, ::-1]))], size))


def test_the_bundled_pair_agrees_at_all_ages_with_norms_in_float32() -> None:
    """As float16 rounds it between any two nodes, which a processor alone would not do."""
    half = onnx.load(generator_path("mobile-fp16"))
    assert_pinned(onnx.shape_inference.infer_shapes(half).graph)
    ages = np.arange(0, 101, 20, dtype=np.float32)
    inputs = TestInputs(face(256).repeat(len(ages), 0), ages, "a portrait")
    result = compare(onnx_runner(generator_path("mobile"), 1), onnx_runner(rounded(half).SerializeToString(), 1), inputs)
    assert result.finite and FP16_PSNR <= result.psnr < 110
    assert abs(result.differences[1].largest_shift) < 1e-3


class _Loud(nn.Module):
    """A generator whose second convolution gives more than float16 holds, which its third takes back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.loud, self.third = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 3, 1)
        nn.init.constant_(self.first.weight, 1)
        nn.init.constant_(self.loud.weight, 4e4)  # float16 holds it, but not four of it
        nn.init.constant_(self.third.weight, 1e-6)
        for conv in (self.first, self.loud, self.third):
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def forward(self, image: torch.Tensor, age: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.relu(self.loud(torch.relu(self.first(image))))
        return torch.tanh(self.third(x)) + 0 * age[:, None, None, None], torch.ones_like(image[:, :1])


class _Coarse(nn.Module):
    """Float16 has steps of 2 at 4000: what is small beside that is lost in the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.lifts = nn.Conv2d(3, 3, 1)
        assert self.lifts.bias is not None
        nn.init.constant_(self.lifts.bias, 4000)

    def forward(self, image: torch.Tensor, age: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tanh(self.lifts(image) - 4000) + 0 * age[:, None, None, None], torch.ones_like(image[:, :1])


def test_the_layer_that_overflows_is_named_and_no_file_is_left(tmp_path: Path) -> None:
    said: list[str] = []
    export_onnx(_Loud().eval(), FITS, tmp_path / "full.onnx")
    with pytest.raises(ReagingError, match=r"the FP16 file .* first at loud \(Conv\), which overflows") as caught:
        export_fp16(_Loud().eval(), FITS, tmp_path / "half.onnx", says=said.append)
    assert str(caught.value).count("\n") == 0
    rows = said[-1].splitlines()
    assert rows[0].startswith("input ") and rows[1].split() == ["layer", "kind", "reaches", "PSNR"]
    assert [row.split()[0] for row in rows[2:]][-3:] == ["first", "node_relu", "loud"]
    assert [p.name for p in tmp_path.iterdir()] == ["full.onnx"]


def test_the_layer_that_loses_too_much_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReagingError, match=r"is at \S+ dB .* first at \S+ \(Sub\), at \S+ dB"):
        export_fp16(_Coarse().eval(), FITS, tmp_path / "half.onnx", says=lambda text: None)


def test_graphs_that_differ_in_more_than_casts_are_matched_by_their_layers() -> None:
    """And graphs of two networks not at all."""
    from reaging.export.fp16 import to_half

    full, half = trace(_Loud().eval(), 32), trace(to_half(_Loud()).eval(), 32)
    first = next(node for node in half.graph.node if node.op_type == "Relu")
    half.graph.node.insert(list(half.graph.node).index(first) + 1, onnx.helper.make_node("Identity", [first.output[0]], ["between"]))
    image, age = np.ones((1, 3, 32, 32), np.float32), np.float32([30])
    assert [layer.name for layer in compare_layers(full, half, image, age, FP16_PSNR)] == ["first", "loud"]
    assert compare_layers(full, trace(to_half(_Coarse()).eval(), 32), image, age, FP16_PSNR) == []
