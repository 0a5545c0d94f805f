"""The blocks that the networks share: the age code, residual blocks, and the ways an age gets into features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ages import CLASS_CENTERS


class AgeCode(nn.Module):
    """Ages in years [N] -> code [N, repeat * classes] (equation 1 of the paper: ``z_i = 1_i + v``).

    An age between two class centers is the linear mix of their codes; beyond the first and last center it is constant.
    ``noise`` [N, repeat * classes] is the paper's v, already scaled; none at inference.
    """

    centers: Tensor
    left: Tensor
    right: Tensor

    def __init__(self, repeat: int = 50, centers: tuple[float, ...] = CLASS_CENTERS):
        super().__init__()
        for name in ("centers", "left", "right"):
            self.register_buffer(name, torch.empty(len(centers)), persistent=False)
        self.place(centers)
        self.repeat = repeat
        self.length = repeat * len(centers)

    def place(self, centers: Sequence[float]) -> None:
        """Moves the centers, in rising years: a generator whose faces look younger than asked is asked for more (training/calibrate.py)."""
        c = torch.tensor(centers)
        far = 1e4  # stands for "no neighbor on this side"
        self.centers.copy_(c)
        self.left.copy_(1 / torch.diff(c, prepend=c[:1] - far))
        self.right.copy_(1 / torch.diff(c, append=c[-1:] + far))

    def weights(self, age: Tensor) -> Tensor:
        """Ages [N] -> weights of the classes [N, classes], each row summing to 1."""
        # outside the centers the nearest class takes all: clamp to them first
        age = torch.clamp(age, float(CLASS_CENTERS[0]), float(CLASS_CENTERS[-1]))[:, None]
        rise = (age - self.centers) * self.left + 1
        fall = (self.centers - age) * self.right + 1
        return torch.clamp(torch.minimum(rise, fall), 0, 1)

    def forward(self, age: Tensor, noise: Tensor | None = None) -> Tensor:
        code = self.weights(age)
        if self.repeat > 1:
            code = code[:, :, None].expand(-1, -1, self.repeat).flatten(1)
        return code if noise is None else code + noise


class ResBlock(nn.Module):
    """Pre-activation residual block, optionally with InstanceNorm and 2x average pooling."""

    def __init__(self, c_in: int, c_out: int, norm: bool = False, down: bool = False):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_in, 3, padding=1)
        self.conv2 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm1 = nn.InstanceNorm2d(c_in, affine=True) if norm else nn.Identity()
        self.norm2 = nn.InstanceNorm2d(c_in, affine=True) if norm else nn.Identity()
        self.skip = nn.Conv2d(c_in, c_out, 1, bias=False) if c_in != c_out else nn.Identity()
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        skip, y = self.skip(x), self.conv1(F.leaky_relu(self.norm1(x), 0.2))
        if self.down:
            skip, y = F.avg_pool2d(skip, 2), F.avg_pool2d(y, 2)
        y = self.conv2(F.leaky_relu(self.norm2(y), 0.2))
        return (skip + y) / math.sqrt(2)  # keeps unit variance


class AdaIN(nn.Module):
    """InstanceNorm whose scale and shift are linear in a style vector [N, style]."""

    def __init__(self, channels: int, style: int):
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.affine = nn.Linear(style, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.affine(style)[:, :, None, None].chunk(2, 1)
        return (1 + scale) * self.norm(x) + shift


class AdaINBlock(nn.Module):
    """Residual block with AdaIN, optionally with 2x nearest upsampling."""

    def __init__(self, c_in: int, c_out: int, style: int, up: bool = False):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.norm1, self.norm2 = AdaIN(c_in, style), AdaIN(c_out, style)
        self.skip = nn.Conv2d(c_in, c_out, 1, bias=False) if c_in != c_out else nn.Identity()
        self.up = up

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = F.leaky_relu(self.norm1(x, style), 0.2)
        if self.up:
            x, y = F.interpolate(x, scale_factor=2.0), F.interpolate(y, scale_factor=2.0)
        y = self.conv2(F.leaky_relu(self.norm2(self.conv1(y), style), 0.2))
        return (self.skip(x) + y) / math.sqrt(2)


class ConditionalBatchNorm(nn.Module):
    """BatchNorm whose scale and shift are linear in the age code."""

    def __init__(self, channels: int, code: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.affine = nn.Linear(code, 2 * channels)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        scale, shift = self.affine(code)[:, :, None, None].chunk(2, 1)
        return (1 + scale) * self.norm(x) + shift


class CBNBlock(nn.Module):
    """Residual block with conditional batch norm and 2x average pooling."""

    def __init__(self, channels: int, code: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1, self.norm2 = ConditionalBatchNorm(channels, code), ConditionalBatchNorm(channels, code)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        y = self.conv1(F.leaky_relu(self.norm1(x, code), 0.2))
        y = self.conv2(F.leaky_relu(self.norm2(F.avg_pool2d(y, 2), code), 0.2))
        return (F.avg_pool2d(x, 2) + y) / math.sqrt(2)


class ModulatedBlock(nn.Module):
    """Two 3x3 convolutions with a residual, scaled and shifted by the age: no per-image statistics, so cheap and safe in FP16."""

    def __init__(self, channels: int, style: int, norm: str):
        super().__init__()
        self.conv1 = conv_norm(channels, channels, norm)
        self.conv2 = conv_norm(channels, channels, norm)
        self.affine = nn.Linear(style, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.affine(style)[:, :, None, None].chunk(2, 1)
        y = self.conv2(F.relu(self.conv1(x)))
        return F.relu(x + (1 + scale) * y + shift)


def conv_norm(c_in: int, c_out: int, norm: str, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """A convolution and, for ``norm="batch"``, a BatchNorm, which folds into it at export."""
    batch = norm == "batch"
    layers: list[nn.Module] = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=not batch)]
    nn.init.kaiming_normal_(layers[0].weight, nonlinearity="relu")  # type: ignore[arg-type]
    if batch:
        layers.append(nn.BatchNorm2d(c_out))
    return nn.Sequential(*layers)
