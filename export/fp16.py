"""Half precision: convolutions in float16, everything with statistics or ages in float32, inputs and outputs float32."""

from __future__ import annotations

import copy
from pathlib import Path

from torch import Tensor, nn

from ..card import ModelCard
from .onnx import OPSET, FixedScale, complete_card, fold_batch_norms, save_compared, trace
from .verify import FP16_PSNR, Comparison, TestInputs

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
) -> Comparison:
    """Like export_onnx, in half precision.

    Raises ReagingError, and leaves no file, where an output is below FP16_PSNR dB of the float32 network or not finite.
    """
    side = size or card.size[0]
    full_card = complete_card(generator, card, side, "fp16")
    model = trace(to_half(fold_batch_norms(copy.deepcopy(generator).cpu().eval())), side, opset)
    return save_compared(model, generator, full_card, path, inputs, psnr=FP16_PSNR)
