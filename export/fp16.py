"""Half precision: convolutions in float16, everything with statistics or ages in float32, inputs and outputs float32."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import click
import onnx
from torch import Tensor, nn

from ..card import ModelCard
from ..errors import ReagingError
from .offender import compare_layers, rounded, table
from .onnx import OPSET, FixedScale, complete_card, fold_batch_norms, save, torch_runner, trace, write_card
from .verify import FP16_PSNR, Comparison, TestInputs, compare, onnx_runner, random_inputs, require

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
PINNED = (nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm, FixedScale)  # sums over many values: beyond what float16 adds up


class HalfConv(nn.Module):
    """A convolution with float16 weights; whatever comes in is cast, float16 goes out."""

    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv.half()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.half())


class Float32(nn.Module):
    """A layer that computes in float32 between float16 neighbors."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer.float()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.float()).half()


def to_half(network: nn.Module) -> nn.Module:
    """Changes ``network`` in place: convolutions to HalfConv, norms and linear layers (the age's path) to Float32."""
    for name, module in list(network.named_children()):
        if isinstance(module, CONVOLUTIONS):
            setattr(network, name, HalfConv(module))
        elif isinstance(module, (*PINNED, nn.Linear)):
            setattr(network, name, Float32(module))
        else:
            to_half(module)
    return network


def export_fp16(
    generator: nn.Module,
    card: ModelCard,
    path: str | Path,
    size: int | None = None,
    opset: int = OPSET,
    inputs: TestInputs | None = None,
    says: Callable[[str], None] = lambda text: click.echo(text, err=True),
) -> Comparison:
    """Like export_onnx, in half precision.

    Raises ReagingError, and leaves no file, where an output is below FP16_PSNR dB of the float32 network or not finite; it names the
    first layer that is, and ``says`` hears of that layer and those before it.
    """
    side = size or card.size[0]
    full_card = complete_card(generator, card, side, "fp16")
    network, given = fold_batch_norms(copy.deepcopy(generator).cpu().eval()), inputs or random_inputs(side)
    model = trace(to_half(copy.deepcopy(network)), side, opset)
    comparison = compare(torch_runner(generator), onnx_runner(rounded(model).SerializeToString()), given)
    try:
        require(comparison, psnr=FP16_PSNR, file="the FP16 file")
    except ReagingError as error:
        says("\n".join([*comparison.lines(), "searching for the first layer that is off"]))
        where = _first_offender(trace(network, side, opset), model, given, comparison.worst, says)
        raise ReagingError(error.what + where, error.expected, "no file was left; export without --fp16") from None
    write_card(model, full_card)
    save(model, path)
    return comparison


def _first_offender(full: onnx.ModelProto, half: onnx.ModelProto, inputs: TestInputs, index: int, says: Callable[[str], None]) -> str:
    """The end of an error's sentence."""
    one = slice(index, index + 1)
    layers = compare_layers(full, half, inputs.image[one], inputs.age[one], FP16_PSNR)
    says("\n".join([f"input {index + 1}, age {inputs.age[index]:g}:", *table(layers)]))
    return f", first at {layers[-1]}" if layers and not layers[-1].psnr >= FP16_PSNR else ", though each layer alone is within the bound"
