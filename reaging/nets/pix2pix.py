"""The pix2pix sibling: three age groups, looked up as planes beside the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUP_EDGES = (19.0, 46.0)  # under 19, 19 to 45, over 45


def age_group(age: Tensor) -> Tensor:
    """Ages [N] in years -> group 0, 1 or 2 [N]."""
    return (age >= GROUP_EDGES[0]).long() + (age >= GROUP_EDGES[1]).long()


class AgePlane(nn.Module):
    """Age group -> one learned plane [N, 1, S, S]."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.planes = nn.Embedding(3, size * size)

    def forward(self, group: Tensor) -> Tensor:
        return self.planes(group).reshape(-1, 1, self.size, self.size)


class UNetGenerator(nn.Module):
    """Image and two age planes -> image; 4x4 convolutions with stride 2, a 1x1 bottleneck, transposed ones with skips, tanh."""

    WIDTHS = (64, 128, 256, 512, 512, 512, 512)

    def __init__(self, size: int):
        super().__init__()
        self.source_plane, self.target_plane = AgePlane(size), AgePlane(size)
        levels = size.bit_length() - 1  # 8 for 256: down to 1x1
        widths = (self.WIDTHS + (512,) * levels)[:levels]
        self.down = nn.ModuleList()
        for i, (a, b) in enumerate(zip((5, *widths), widths, strict=False)):
            normed = 0 < i < levels - 1
            conv = nn.Conv2d(a, b, 4, 2, 1, bias=not normed)
            self.down.append(nn.Sequential(conv, nn.BatchNorm2d(b)) if normed else conv)
        self.up = nn.ModuleList()
        for i in range(levels - 1, 0, -1):
            c_in = widths[i] * (1 if i == levels - 1 else 2)
            conv_up = nn.ConvTranspose2d(c_in, widths[i - 1], 4, 2, 1, bias=False)
            self.up.append(nn.Sequential(conv_up, nn.BatchNorm2d(widths[i - 1])))
        self.to_rgb = nn.ConvTranspose2d(2 * widths[0], 3, 4, 2, 1)

    def forward(self, image: Tensor, age: Tensor, source_age: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``source_age`` [N] or [1] is optional: the middle group where it is not known.  The mask is 1 everywhere."""
        source = torch.ones_like(age).long() if source_age is None else age_group(source_age).expand(age.shape)
        x = torch.cat([image, self.source_plane(source), self.target_plane(age_group(age))], 1)
        skips = []
        for i, down in enumerate(self.down):
            x = down(x if i == 0 else F.leaky_relu(x, 0.2))
            skips.append(x)
        skips.pop()
        for up in self.up:
            x = torch.cat([up(F.relu(x)), skips.pop()], 1)
        return torch.tanh(self.to_rgb(F.relu(x))), torch.ones_like(image[:, :1])
