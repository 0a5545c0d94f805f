"""A U-Net small enough for two CPU cores: space-to-depth stem, scale-and-shift by age, output written as a change."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import AgeCode, ModulatedBlock, conv_norm

MASK_TAIL = 0.02  # at inference, what a sigmoid's tail may reach and still count as 0


class MobileGenerator(nn.Module):
    """``x' = x + m * d``: the change d [N, 3, S, S] and the mask m [N, 1, S, S] come from one U-Net on blocks of 4x4 pixels.

    The encoder is one convolution a level; depth stands where age enters, in the bottleneck and the decoder.
    ``widths``: channels at S/4, S/8, S/16 ...  Everything runs at a quarter of the image's side or less: that, not the number of
    multiplications, is what two CPU cores are fast at.
    """

    def __init__(self, widths: tuple[int, ...], bottleneck_blocks: int, style: int, norm: str, code_repeat: int):
        super().__init__()
        self.age_code = AgeCode(code_repeat)
        self.style = nn.Sequential(nn.Linear(self.age_code.length, style), nn.SiLU(), nn.Linear(style, style))
        self.stem = conv_norm(48, widths[0], norm)
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(conv_norm(a, b, norm, stride=2) for a, b in pairs)
        self.bottleneck = nn.ModuleList(ModulatedBlock(widths[-1], style, norm) for _ in range(bottleneck_blocks))
        self.up = nn.ModuleList(conv_norm(b, a, norm, kernel=1) for a, b in reversed(pairs))
        self.dec = nn.ModuleList(ModulatedBlock(a, style, norm) for a, _ in reversed(pairs))
        self.to_change = nn.Conv2d(widths[0], 48, 3, padding=1)
        self.to_mask = nn.Conv2d(widths[0], 1, 3, padding=1)
        nn.init.normal_(self.to_change.weight, std=0.01)  # starts close to "no change", yet with a gradient
        nn.init.zeros_(self.to_change.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor, age: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        style = self.style(self.age_code(age, noise))
        x = F.relu(self.stem(F.pixel_unshuffle(image, 4)))
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.relu(down(x))
        for block in self.bottleneck:
            x = block(x, style)
        for up, block in zip(self.up, self.dec, strict=True):
            x = F.relu(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + skips.pop())
            x = block(x, style)
        change = F.pixel_shuffle(self.to_change(x), 4)
        mask = F.interpolate(torch.sigmoid(self.to_mask(x)), scale_factor=4.0, mode="bilinear", align_corners=False)
        if self.training:
            return image + mask * change, mask
        # a sigmoid never reaches 0, and outside the mask nothing may change; in training the cut would leave closed pixels no gradient
        mask = torch.clamp((mask - MASK_TAIL) / (1 - MASK_TAIL), min=0)
        return (image + mask * change).clamp(-1, 1), mask
