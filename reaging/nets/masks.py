"""The mask: where the face may change."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskNet(nn.Module):
    """Encoder features at 1/4 and 1/16 of the image -> mask [N, 1, S, S] in 0..1 (the paper takes it from a face parser)."""

    def __init__(self, fine: int, coarse: int):
        super().__init__()
        self.fine = nn.Conv2d(fine, 32, 1)
        self.coarse = nn.Conv2d(coarse, 64, 3, padding=1)
        self.head = nn.Conv2d(96, 1, 3, padding=1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        up = F.interpolate(self.coarse(coarse), size=fine.shape[2:], mode="bilinear", align_corners=False)
        mask = torch.sigmoid(self.head(F.leaky_relu(torch.cat([self.fine(fine), up], 1), 0.2)))
        return F.interpolate(mask, scale_factor=4.0, mode="bilinear", align_corners=False)
