"""Discriminators: one branch per age class (the paper's), and pix2pix's patches."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ages import CLASS_CENTERS
from .blocks import ResBlock
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

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        x = F.leaky_relu(self.blocks(self.stem(image)), 0.2)
        logits = self.branches(F.leaky_relu(self.conv(x), 0.2)).flatten(1)
        return logits.gather(1, label[:, None])[:, 0]


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
