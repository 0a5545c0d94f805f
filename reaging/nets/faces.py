"""The two small face networks: the finder (a whole frame) and the aligner (one face).  Their presets stand here too."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..runtime.faces.find import STRIDES

POINTS = 5  # image-left eye, image-right eye, nose, image-left and image-right mouth corner


@dataclass(frozen=True)
class FinderPreset:
    """The finder and its training.  ``size`` is that of the training pictures; the network takes any multiple of 32."""

    name: str = "finder"
    size: int = 256
    channels: tuple[int, int, int, int, int] = (16, 24, 48, 80, 112)  # at strides 2, 4, 8, 16, 32
    blocks: tuple[int, int, int] = (2, 3, 3)  # residual blocks at strides 8, 16, 32
    neck: int = 48
    steps: int = 3300
    batch: int = 24
    lr: float = 2e-3
    weight_decay: float = 1e-4
    ema: float = 0.999
    seed: int = 1


@dataclass(frozen=True)
class AlignerPreset:
    """The aligner and its training."""

    name: str = "aligner"
    size: int = 96
    channels: tuple[int, int, int, int] = (16, 32, 64, 96)  # at strides 2, 4, 8, 16
    blocks: tuple[int, int, int] = (1, 2, 2)  # residual blocks at strides 4, 8, 16
    steps: int = 3600
    batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 1e-4
    ema: float = 0.999
    seed: int = 2


FACE_PRESETS: dict[str, FinderPreset | AlignerPreset] = {"finder": FinderPreset(), "aligner": AlignerPreset()}


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm (folds into it at export), ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class ThinBlock(nn.Module):
    """Depthwise 3x3, then 1x1; residual where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.depthwise = conv(inputs, inputs, stride=stride, groups=inputs)
        self.pointwise = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(self.depthwise(x))
        return F.relu(x + y if self.residual else y)


def stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """Halves the resolution, then ``blocks`` residual blocks."""
    return nn.Sequential(ThinBlock(inputs, outputs, stride=2), *[ThinBlock(outputs, outputs) for _ in range(blocks)])


class Finder(nn.Module):
    """Frames -> for every cell of three levels a face's score and its five landmarks.

    Input [N, 3, H, W], RGB, -1 to 1, H and W multiples of 32.  Output: three tensors [N, 11, H/s, W/s], s = 8, 16, 32: channel 0 the
    logit of "here is the middle of a face", 1 to 10 the landmarks' x, y from the cell's center in its units (runtime/faces/find.py).
    """

    def __init__(self, preset: FinderPreset):
        super().__init__()
        c2, c4, c8, c16, c32 = preset.channels
        self.stem = nn.Sequential(conv(3, c2, stride=2), conv(c2, c4, stride=2))
        self.down8 = stage(c4, c8, preset.blocks[0])
        self.down16 = stage(c8, c16, preset.blocks[1])
        self.down32 = stage(c16, c32, preset.blocks[2])
        neck = preset.neck
        self.lateral = nn.ModuleList(nn.Conv2d(c, neck, 1) for c in (c8, c16, c32))
        self.mix = nn.ModuleList(ThinBlock(neck, neck) for _ in STRIDES)
        self.head = nn.ModuleList(nn.Conv2d(neck, 1 + 2 * POINTS, 1) for _ in STRIDES)
        for head in self.head:
            assert isinstance(head, nn.Conv2d) and head.bias is not None
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
            nn.init.constant_(head.bias[:1], -4.0)  # faces are rare: start from "no" everywhere

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        f8 = self.down8(self.stem(frames))
        f16 = self.down16(f8)
        f32 = self.down32(f16)
        p32 = self.mix[2](self.lateral[2](f32))
        p16 = self.mix[1](self.lateral[1](f16) + F.interpolate(p32, scale_factor=2.0, mode="nearest"))
        p8 = self.mix[0](self.lateral[0](f8) + F.interpolate(p16, scale_factor=2.0, mode="nearest"))
        return self.head[0](p8), self.head[1](p16), self.head[2](p32)


class Aligner(nn.Module):
    """Face crops -> five landmarks and whether there is a face.

    Input [N, 3, S, S], RGB, -1 to 1.  Output: landmarks [N, 5, 2], x and y, -1 to 1 over the crop (-1 its left or upper border), and the
    logit [N] of "a face".  A landmark is the mean place under its own map of S/4 x S/4 plus an offset from the whole crop, so that it
    may lie where it cannot be seen.
    """

    def __init__(self, preset: AlignerPreset):
        super().__init__()
        c2, c4, c8, c16 = preset.channels
        self.stem = nn.Sequential(conv(3, c2, stride=2), conv(c2, c4, stride=2), *[ThinBlock(c4, c4) for _ in range(preset.blocks[0])])
        self.down8 = stage(c4, c8, preset.blocks[1])
        self.down16 = stage(c8, c16, preset.blocks[2])
        self.up16 = nn.Conv2d(c16, c8, 1)
        self.mix8 = ThinBlock(c8, c8)
        self.up8 = nn.Conv2d(c8, c4, 1)
        self.mix4 = ThinBlock(c4, c4)
        self.maps = nn.Conv2d(c4, POINTS, 3, padding=1)
        cells = preset.size // 16
        last = nn.Linear(32 * cells * cells, 2 * POINTS + 1)
        self.whole = nn.Sequential(nn.Conv2d(c16, 32, 1), nn.ReLU(inplace=True), nn.Flatten(), last)
        side = preset.size // 4
        line = (torch.arange(side) + 0.5) * 2 / side - 1
        grid = torch.stack([line.repeat(side), line.repeat_interleave(side)], dim=1)
        self.register_buffer("grid", grid, persistent=False)  # [side*side, 2]: x, y of every cell's center

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        f4 = self.stem(crops)
        f8 = self.down8(f4)
        f16 = self.down16(f8)
        p8 = self.mix8(f8 + F.interpolate(self.up16(f16), scale_factor=2.0, mode="nearest"))
        p4 = self.mix4(f4 + F.interpolate(self.up8(p8), scale_factor=2.0, mode="nearest"))
        where = self.maps(p4).flatten(2).softmax(dim=2) @ self.grid
        whole = self.whole(f16)
        return where + whole[:, : 2 * POINTS].unflatten(1, (POINTS, 2)), whole[:, 2 * POINTS]
