"""Discriminators: one branch per age class (the paper's), pix2pix's patches, and heads on a frozen net's features."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ages import CLASS_CENTERS
from .blocks import AgeCode, ResBlock
from .pix2pix import AgePlane, age_group


class Discriminator(nn.Module):
    """Image [N, 3, S, S] and age class [N] -> that class's real/fake logit [N]; residual blocks without norm down to 4x4."""

    def __init__(self, size: int, width: int = 64, max_width: int = 512, classes: int = len(CLASS_CENTERS)):
        super().__init__()
        widths = [min(width * 2**i, max_width) for i in range(int(math.log2(size)) - 1)]
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResBlock(a, b, down=True) for a, b in itertools.pairwise(widths)))
        self.conv = nn.Conv2d(widths[-1], widths[-1], 4)
        self.branches = nn.Conv2d(widths[-1], classes, 1)
        for module in self.modules():  # PyTorch's default shrinks the signal in each block: the logits would start all but equal
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        x = F.leaky_relu(self.blocks(self.stem(image)), 0.2)
        logits = self.branches(F.leaky_relu(self.conv(x), 0.2)).flatten(1)
        return logits.gather(1, label[:, None])[:, 0]


class FeatureDiscriminator(nn.Module):
    """Feature maps of a frozen net, coarse taps last, and ages [N] in years -> logits of patches, one [N, h, w] for each tap.

    What a frozen net has learned need not be learned again: the heads tell real from generated within a few hundred steps, at a
    fraction of a discriminator's cost where a perceptual loss computes the features anyway (after Projected GAN, Sauer et al. 2021).  A
    logit is one part for "real" and one for the age, mixed from the age classes as the age code mixes them.
    """

    def __init__(self, channels: list[int], width: int = 48):
        super().__init__()
        self.code = AgeCode(1)
        norm = nn.utils.parametrizations.spectral_norm
        self.heads = nn.ModuleList(
            nn.Sequential(
                norm(nn.Conv2d(c, width, 1)),
                nn.LeakyReLU(0.2),
                norm(nn.Conv2d(width, width, 3, padding=1)),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, 1 + self.code.length, 1),
            )
            for c in channels
        )

    def forward(self, features: list[Tensor], age: Tensor) -> list[Tensor]:
        weights = self.code.weights(age)[:, :, None, None]
        logits = []
        for head, feature in zip(self.heads, features, strict=True):
            y = head(F.normalize(feature, dim=1) * math.sqrt(feature.shape[1]))
            logits.append(y[:, 0] + (y[:, 1:] * weights).sum(1))
        return logits


class PatchDiscriminator(nn.Module):
    """Source image and its age group, output image and its age group -> logits of patches [N, 1, S/8 - 2, S/8 - 2]."""

    def __init__(self, size: int):
        super().__init__()
        self.source_plane, self.target_plane = AgePlane(size), AgePlane(size)
        self.conv1 = nn.Conv2d(8, 64, 4, 2, 1)
        self.conv2, self.norm2 = nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128)
        self.conv3, self.norm3 = nn.Conv2d(128, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256)
        self.conv4, self.norm4 = nn.Conv2d(256, 512, 4, 1, 1, bias=False), nn.BatchNorm2d(512)
        self.conv5 = nn.Conv2d(512, 1, 4, 1, 1)

    def forward(self, source: Tensor, source_age: Tensor, image: Tensor, age: Tensor) -> Tensor:
        x = torch.cat([source, self.source_plane(age_group(source_age)), image, self.target_plane(age_group(age))], 1)
        x = F.leaky_relu(self.conv1(x), 0.2)
        x = F.relu(self.norm2(self.conv2(x)))
        x = F.relu(self.norm3(self.conv3(x)))
        x = F.relu(self.norm4(self.conv4(x)))
        return self.conv5(x)
