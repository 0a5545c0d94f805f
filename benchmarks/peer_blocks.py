"""What the peers are made of: blurs, convolutions with pixel norm, modulated convolutions, norms over layers and channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Blur(nn.Module):
    """A fixed binomial 4x4 filter per channel, as antialiased pooling uses: no parameters."""

    kernel: Tensor

    def __init__(self, channels: int, stride: int = 1):
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(line, line).expand(channels, 1, 4, 4).contiguous(), persistent=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 2, 1, 2), mode="reflect"), self.kernel, stride=self.stride, groups=x.shape[1])


class PixelNormConv(nn.Module):
    """Reflected border, convolution, every pixel's channels divided by their root mean square, and mostly ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, activation: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, padding_mode="reflect")
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = pixel_norm(self.conv(x))
        return F.relu(x) if self.activation else x


class ModulatedConv(nn.Module):
    """StyleGAN2's convolution: the style scales the input's channels, and the output is divided by what that does to its variance.

    Written with scaled features and shared weights: the same products as with weights scaled per face, and a batch needs no groups.
    """

    def __init__(self, c_in: int, c_out: int, style: int, up: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1, padding_mode="reflect", bias=False)
        self.bias = nn.Parameter(torch.zeros(c_out, 1, 1))
        self.affine, self.up = nn.Linear(style, c_in), up
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(line, line).expand(c_out, 1, 3, 3).contiguous(), persistent=False)

    kernel: Tensor

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale = 1 + pixel_norm(self.affine(style))
        variance = scale.square() @ self.conv.weight.square().sum((2, 3)).T
        if self.up:
            x = F.interpolate(x, scale_factor=2.0)
        y = self.conv(x * scale[:, :, None, None]) * torch.rsqrt(variance + 1e-5)[:, :, None, None] + self.bias
        return F.conv2d(y, self.kernel, padding=1, groups=y.shape[1]) if self.up else y


class LayerInstanceNorm(nn.Module):
    """A learned mix of normalization over each channel and over all of them; ``learned``: with a scale and shift of its own."""

    def __init__(self, channels: int, learned: bool):
        super().__init__()
        self.mix = nn.Parameter(torch.full((channels, 1, 1), 0.9))
        self.scale = nn.Parameter(torch.ones(channels, 1, 1)) if learned else None
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1)) if learned else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.mix * F.instance_norm(x) + (1 - self.mix) * F.group_norm(x, 1)
        return y if self.scale is None or self.shift is None else y * self.scale + self.shift


def pixel_norm(x: Tensor) -> Tensor:
    """x [N, C, ...] divided by the root mean square over its channels."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5)


def two_convs(c_in: int, c_out: int) -> nn.Sequential:
    """FRAN's level: two 3x3 convolutions with LeakyReLU."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, 1, 1), nn.LeakyReLU(0.01), nn.Conv2d(c_out, c_out, 3, 1, 1), nn.LeakyReLU(0.01))


def reflect_conv(c_in: int, c_out: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """A convolution that keeps the side (or halves it, with stride 2) and mirrors the picture at its border."""
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, padding_mode="reflect", bias=bias)


def mirror_conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """HRFAE's layer: convolution, InstanceNorm with scale and shift, LeakyReLU."""
    conv = reflect_conv(c_in, c_out, kernel, stride, bias=True)
    return nn.Sequential(conv, nn.InstanceNorm2d(c_out, affine=True), nn.LeakyReLU(0.2))


def instance_conv(c_in: int, c_out: int, kernel: int, stride: int = 1, activation: bool = True) -> nn.Sequential:
    """Fast-AgingGAN's layer: convolution without bias, InstanceNorm without scale and shift, mostly ReLU."""
    layers: list[nn.Module] = [reflect_conv(c_in, c_out, kernel, stride), nn.InstanceNorm2d(c_out)]
    return nn.Sequential(*layers, *([nn.ReLU()] if activation else []))
