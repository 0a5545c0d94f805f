"""A small generator rewritten for processors: the same function in fewer and cheaper nodes (docs/performance.md has each one's time).

Runtimes spend on a node what its memory costs, not what it computes.  So the pixel blocks of the stem join its convolution, the age's
path is three matrix products, the mask is cut before it grows, and nothing is transposed element by element.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nets.blocks import AgeCode, ModulatedBlock
from ..nets.mobile import MASK_TAIL, MobileGenerator

BLOCK = 4  # pixels: side of the squares that the network works on
TAPS = 9  # of a 3 x 3 kernel


def fast_form(network: nn.Module, eight_bit: bool = False) -> nn.Module:
    """What to trace in place of ``network``, whose BatchNorms are folded: the same outputs; other families come back as they are.

    ``eight_bit`` chooses the stem that is fastest once its input has 8 bits.
    """
    if not isinstance(network, MobileGenerator):
        return network
    return FastMobile(network, BlockStem(network) if eight_bit else StridedStem(network))


class FastMobile(nn.Module):
    """MobileGenerator at inference: image [N, 3, S, S], age [N] -> aged, mask."""

    def __init__(self, network: MobileGenerator, stem: nn.Module):
        super().__init__()
        self.stem, self.down, self.up = stem, network.down, network.up
        self.to_change, self.to_mask = network.to_change, TapsFirst(network.to_mask)
        self.blocks = nn.ModuleList([*network.bottleneck, *network.dec])
        self.style = FoldedAge(network.age_code, network.style, [b.affine for b in self.blocks])  # type: ignore[misc]

    def forward(self, image: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        style = iter(self.style(age))
        blocks = iter(self.blocks)
        x = F.relu(self.stem(image))
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.relu(down(x))
        for _ in range(len(self.blocks) - len(self.up)):
            x = _modulated(next(blocks), x, next(style), next(style))
        for up in self.up:
            x = F.relu(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + skips.pop())
            x = _modulated(next(blocks), x, next(style), next(style))
        # the cut at the mask's tail is a line up to its kink, so the line can come before the mask grows to 16 times the pixels
        mask = (torch.sigmoid(self.to_mask(x)) - MASK_TAIL) * (1 / (1 - MASK_TAIL))
        mask = F.interpolate(mask, scale_factor=float(BLOCK), mode="bilinear", align_corners=False).clamp(min=0)
        return (image + mask * pixels_from_blocks(self.to_change(x))).clamp(-1, 1), mask


def _modulated(block: nn.Module, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """ModulatedBlock with the 1 of ``1 + scale`` already in ``scale``."""
    assert isinstance(block, ModulatedBlock)
    return F.relu(x + (scale * block.conv2(F.relu(block.conv1(x))) + shift))


def pixels_from_blocks(x: Tensor) -> Tensor:
    """pixel_shuffle by 4, [N, 48, H, W] -> [N, 3, 4 H, 4 W], as two transpositions of one axis each: runtimes copy rows for those."""
    height, width = x.shape[-2:]
    x = x.reshape(-1, 3 * BLOCK, BLOCK, height * width).transpose(2, 3)  # [N, (color, row), (y, x), column]
    x = x.reshape(-1, 3, BLOCK, height, BLOCK * width).transpose(2, 3)  # [N, color, y, row, (x, column)]
    return x.reshape(-1, 3, BLOCK * height, BLOCK * width)


class StridedStem(nn.Module):
    """A 3 x 3 convolution on blocks of 4 x 4 pixels is a 12 x 12 convolution on pixels with stride 4: no block is ever formed."""

    def __init__(self, network: MobileGenerator):
        super().__init__()
        conv: nn.Conv2d = network.stem[0]  # type: ignore[assignment]
        out = conv.out_channels
        kernel = conv.weight.detach().view(out, 3, BLOCK, BLOCK, 3, 3).permute(0, 1, 4, 2, 5, 3)  # block before the pixel in it
        self.conv = nn.Conv2d(3, out, 3 * BLOCK, BLOCK, BLOCK)
        self.conv.weight.data = kernel.reshape(out, 3, 3 * BLOCK, 3 * BLOCK).clone()
        self.conv.bias = conv.bias

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image)


class BlockStem(nn.Module):
    """The stem on blocks, formed channels last, as the quantized convolution wants them, again by moving one axis at a time."""

    def __init__(self, network: MobileGenerator):
        super().__init__()
        self.conv = network.stem[0]

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2] // BLOCK, image.shape[-1] // BLOCK
        x = image.reshape(-1, 3, height, BLOCK * BLOCK * width).transpose(1, 2)  # [N, y, color, (row, x, column)]
        x = x.reshape(-1, height, 3 * BLOCK, width, BLOCK).transpose(2, 3)  # [N, y, x, (color, row), column]
        return self.conv(x.reshape(-1, height, width, 3 * BLOCK * BLOCK).permute(0, 3, 1, 2))


class TapsFirst(nn.Module):
    """A 3 x 3 convolution to one channel: nine products for each pixel, added up at their places.

    Runtimes pad one output channel to their vector's width; this way that happens once for all nine taps.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        channels = conv.in_channels
        self.taps = nn.Conv2d(channels, TAPS, 1, bias=False)
        self.taps.weight.data = conv.weight.detach()[0].permute(1, 2, 0).reshape(TAPS, channels, 1, 1).clone()
        self.places = nn.Conv2d(TAPS, 1, 3, padding=1)
        self.places.weight.data = torch.eye(TAPS).view(1, TAPS, 3, 3)
        self.places.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.places(self.taps(x))


class FoldedAge(nn.Module):
    """Ages [N] -> scale and shift [N, C, 1, 1] of each block in turn, in three matrix products.

    The age code is linear between class centers, so a layer behind it is a sum of ramps: ``f(c0) + sum (f(c[k+1]) - f(c[k])) * ramp[k]``
    with ``ramp[k] = clip((age - c[k]) / (c[k+1] - c[k]), 0, 1)``.  The style's last layer and the blocks' own are one.
    """

    def __init__(self, code: AgeCode, style: nn.Sequential, affines: list[nn.Linear]):
        super().__init__()
        first, last = style[0], style[2]
        assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
        centers = code.centers.double()
        steps = torch.diff(centers)
        self.ramps = _linear(1 / steps[:, None], -centers[:-1] / steps)
        with torch.no_grad():
            at_centers = first(code(code.centers)).double()  # [classes, style]
            self.first = _linear(torch.diff(at_centers, dim=0).T, at_centers[0])
            weight, bias = torch.cat([a.weight for a in affines]).double(), torch.cat([a.bias for a in affines]).double()
            self.widths = [w for a in affines for w in (a.out_features // 2,) * 2]
            ones = torch.cat([torch.ones(w) if i % 2 == 0 else torch.zeros(w) for i, w in enumerate(self.widths)])
            self.last = _linear(weight @ last.weight.double(), weight @ last.bias.double() + bias + ones)

    def forward(self, age: Tensor) -> tuple[Tensor, ...]:
        ramps = self.ramps(age[:, None]).clamp(0, 1)
        return self.last(F.silu(self.first(ramps)))[:, :, None, None].split(self.widths, 1)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A float32 layer of these values."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = weight.detach().float().contiguous(), bias.detach().float()
    return layer
