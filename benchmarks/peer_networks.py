"""The generators people would use instead, rebuilt from their published layer tables; their speed does not depend on the weights.

Every network here is ``(image [N, 3, S, S] in -1..1, age [N] in years) -> (aged [N, 3, S, S], mask [N, 1, S, S])`` like ours, so that
all are exported, opened and timed in one way.  Those without a mask get one of ones, which costs nothing beside them.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nets.blocks import AgeCode
from ..nets.ragan import Decoder, IdentityEncoder
from .peer_blocks import (
    Blur,
    LayerInstanceNorm,
    ModulatedConv,
    PixelNormConv,
    instance_conv,
    mirror_conv,
    pixel_norm,
    reflect_conv,
    two_convs,
)


class Fran(nn.Module):
    """FRAN's U-Net: five channels in (the picture, both ages as planes), five levels of two 3x3 convolutions, blurred pooling."""

    SOURCE_AGE = 30.0  # years; of the person as they are

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 128, 256, 512, 1024)
        self.first = two_convs(5, 64)
        self.pools = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2, 1), Blur(a, stride=2)) for a in widths[:-1])
        self.down = nn.ModuleList(two_convs(a, b) for a, b in itertools.pairwise(widths))
        pairs = list(itertools.pairwise(widths[::-1]))
        self.grow = nn.ModuleList(nn.Sequential(nn.ConvTranspose2d(a, b, 2, 2), Blur(b)) for a, b in pairs)
        self.up = nn.ModuleList(two_convs(a, b) for a, b in pairs)
        self.last = nn.Conv2d(64, 3, 1)

    def forward(self, image: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        """The network gives a change, which is added."""
        target = (age / 100)[:, None, None, None] + torch.zeros_like(image[:, :1])
        x = self.first(torch.cat([image, torch.full_like(target, self.SOURCE_AGE / 100), target], 1))
        skips = []
        for pool, down in zip(self.pools, self.down, strict=True):
            skips.append(x)
            x = down(pool(x))
        for grow, up in zip(self.grow, self.up, strict=True):
            x = up(torch.cat([grow(x), skips.pop()], 1))
        return image + self.last(x), _no_mask(image, age)


class Hrfae(nn.Module):
    """HRFAE: encoder to a quarter, four residual blocks of 128, a weight per channel from the age, decoder with two skips."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([mirror_conv(3, 32, 9), mirror_conv(32, 64, 3, 2), mirror_conv(64, 128, 3, 2)])
        self.blocks = nn.ModuleList(nn.Sequential(mirror_conv(128, 128, 3), mirror_conv(128, 128, 3)) for _ in range(4))
        self.age_weights = nn.Embedding(101, 128)  # the published linear layer on a one-hot age
        self.decoder = nn.ModuleList([mirror_conv(256, 64, 3), mirror_conv(128, 32, 3)])
        self.last = nn.Conv2d(32, 3, 9, padding=4, padding_mode="reflect")

    def forward(self, image: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        half = self.encoder[1](self.encoder[0](image))
        quarter = self.encoder[2](half)
        x = quarter
        for block in self.blocks:
            x = x + block(x)
        x = x * torch.sigmoid(self.age_weights(age.round().long().clamp(0, 100)))[:, :, None, None]
        for layer, skip in zip(self.decoder, (quarter, half), strict=True):
            x = layer(F.interpolate(torch.cat([x, skip], 1), scale_factor=2.0))
        return self.last(x), _no_mask(image, age)


class Lats(nn.Module):
    """LATS at inference: identity encoder, mapping network, decoder of modulated convolutions (its age encoder serves training only)."""

    CENTERS = (1.0, 4.5, 8.0, 17.0, 35.0, 60.0)  # years, of the six classes that it is trained on
    STYLE = 256

    def __init__(self) -> None:
        super().__init__()
        self.age_code = AgeCode(50, self.CENTERS)
        encoder = [PixelNormConv(3, 64, 7), PixelNormConv(64, 128, 3, 2), PixelNormConv(128, 256, 3, 2)]
        self.encoder = nn.Sequential(*encoder)
        self.blocks = nn.ModuleList(
            nn.Sequential(PixelNormConv(256, 256, 3), PixelNormConv(256, 256, 3, activation=False)) for _ in range(4)
        )
        lengths = (self.age_code.length, *(self.STYLE,) * 8)
        self.mapping = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(lengths))
        flat = [ModulatedConv(256, 256, self.STYLE) for _ in range(8)]
        up = [ModulatedConv(a, b, self.STYLE, up=a != b) for a, b in ((256, 128), (128, 128), (128, 64), (64, 64))]
        self.decoder = nn.ModuleList([*flat, *up])
        self.last = nn.Conv2d(64, 3, 1)

    def forward(self, image: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        style = pixel_norm(self.age_code(age))
        for i, layer in enumerate(self.mapping):
            style = layer(style)
            style = pixel_norm(F.leaky_relu(style, 0.2) if i < len(self.mapping) - 1 else style)
        x = self.encoder(image)
        for block in self.blocks:
            x = x + block(x)
        for layer in self.decoder:
            x = pixel_norm(F.leaky_relu(layer(x, style), 0.2) * math.sqrt(2))
        return torch.tanh(self.last(x)), _no_mask(image, age)


class PfaGan(nn.Module):
    """PFA-GAN: one sub-generator for each step between neighboring age groups; each adds its effect where the step is on the way."""

    STEPS = (30.0, 40.0, 50.0)  # years at which the four groups meet

    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.generators = nn.ModuleList(_pfa_step() for _ in self.STEPS)
        self.register_buffer("steps", torch.tensor(self.STEPS), persistent=False)

    def forward(self, image: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        """Every step is computed whatever the age, as in the published network."""
        on = (age[:, None] > self.steps).float()
        x = image
        for i, generator in enumerate(self.generators):
            x = x + generator(x) * on[:, i, None, None, None]
        return x, _no_mask(image, age)


class FastAging(nn.Module):
    """Fast-AgingGAN: U-GAT-IT's generator at 32 channels throughout, attention from average and maximum pooling; one direction, no age."""

    WIDTH = 32

    def __init__(self) -> None:
        super().__init__()
        width = self.WIDTH
        self.encoder = nn.Sequential(*(instance_conv(c, width, k, s) for c, k, s in ((3, 7, 1), (width, 3, 2), (width, 3, 2))))
        self.blocks = nn.ModuleList(
            nn.Sequential(instance_conv(width, width, 3), instance_conv(width, width, 3, activation=False)) for _ in range(3)
        )
        self.mean_weight, self.max_weight = nn.Linear(width, 1, bias=False), nn.Linear(width, 1, bias=False)
        self.attention = nn.Conv2d(2 * width, width, 1)
        self.style = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(4))
        self.decoder_convs = nn.ModuleList(reflect_conv(width, width, 3) for _ in range(6))
        self.decoder_norms = nn.ModuleList(LayerInstanceNorm(width, learned=False) for _ in range(6))
        self.up = nn.ModuleList(nn.Sequential(reflect_conv(width, width, 3), LayerInstanceNorm(width, learned=True)) for _ in range(2))
        self.last = reflect_conv(width, 3, 7)

    def forward(self, image: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        x = self.encoder(image)
        for block in self.blocks:
            x = x + block(x)
        x = torch.cat([x * self.mean_weight.weight[:, :, None, None], x * self.max_weight.weight[:, :, None, None]], 1)
        x = F.relu(self.attention(x))
        style = F.relu(self.style[1](F.relu(self.style[0](x.mean((2, 3))))))
        scale, shift = (layer(style)[:, :, None, None] for layer in self.style[2:])
        for i in range(0, len(self.decoder_convs), 2):
            y = F.relu(self.decoder_norms[i](self.decoder_convs[i](x)) * scale + shift)
            x = x + self.decoder_norms[i + 1](self.decoder_convs[i + 1](y)) * scale + shift
        for layer in self.up:
            x = F.relu(layer(F.interpolate(x, scale_factor=2.0)))
        return torch.tanh(self.last(x)), _no_mask(image, age)


class RaganTrunk(nn.Module):
    """The paper's encoder and decoder (StarGAN v2's, whose styles are 64 long), without age modulator and mask."""

    STYLE = 64

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 128, 256, 512, 512)
        self.encoder, self.decoder = IdentityEncoder(widths, 2), Decoder(widths, 2, self.STYLE)

    def forward(self, image: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        style = (age / 100)[:, None].expand(-1, self.STYLE)  # stands for the modulator's answer
        return self.decoder(self.encoder(image)[-1], style, []), _no_mask(image, age)


def _no_mask(image: Tensor, age: Tensor) -> Tensor:
    """Ones [N, 1, S, S] that hang on the age, which an exporter would drop from a network that does not use it."""
    return (age * 0 + 1)[:, None, None, None].expand(-1, 1, image.shape[2], image.shape[3])


def _pfa_step() -> nn.Sequential:
    """A sub-generator of PFA-GAN: 9x9 convolution, two 4x4 ones with stride 2, four residual blocks, and back."""

    def normed(conv: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
        return [conv, nn.InstanceNorm2d(conv.out_channels), nn.LeakyReLU(0.2)]

    layers = [*normed(nn.Conv2d(3, 32, 9, 1, 4)), *normed(nn.Conv2d(32, 64, 4, 2, 1)), *normed(nn.Conv2d(64, 128, 4, 2, 1))]
    layers += [_PfaBlock(128) for _ in range(4)]
    layers += [*normed(nn.ConvTranspose2d(128, 64, 4, 2, 1)), *normed(nn.ConvTranspose2d(64, 32, 4, 2, 1))]
    return nn.Sequential(*layers, nn.Conv2d(32, 3, 9, 1, 4))


class _PfaBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, 1, 1) for _ in range(2))
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.leaky_relu(self.norm(self.first(x)), 0.2))
        return F.leaky_relu(x + self.norm(y), 0.2)
