"""Re-Aging GAN (Makhmudkhujaev, Hong, Park; ICCV 2021), on StarGAN v2's trunk where the paper is silent."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import AdaIN, AdaINBlock, AgeCode, CBNBlock, ResBlock
from .masks import MaskNet


class IdentityEncoder(nn.Module):
    """Image [N, 3, S, S] -> features at S/2, S/4 ... S/16 (the last one is ``f_id`` [N, 512, S/16, S/16])."""

    def __init__(self, widths: tuple[int, ...], bottleneck_blocks: int):
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList(ResBlock(a, b, norm=True, down=True) for a, b in itertools.pairwise(widths))
        self.bottleneck = nn.Sequential(*(ResBlock(widths[-1], widths[-1], norm=True) for _ in range(bottleneck_blocks)))

    def forward(self, image: Tensor) -> list[Tensor]:
        x, features = self.stem(image), []
        for block in self.down:
            x = block(x)
            features.append(x)
        features[-1] = self.bottleneck(x)
        return features


class AgeModulator(nn.Module):
    """``f_id`` and age code -> ``f_aw`` [N, style]: a style that depends on who it is and on the age."""

    def __init__(self, channels: int, code: int, style: int):
        super().__init__()
        self.blocks = nn.ModuleList(CBNBlock(channels, code) for _ in range(2))
        self.linear = nn.Linear(channels, style)

    def forward(self, f_id: Tensor, code: Tensor) -> Tensor:
        for block in self.blocks:
            f_id = block(f_id, code)
        return self.linear(F.leaky_relu(f_id, 0.2).mean((2, 3)))


class Decoder(nn.Module):
    """``f_id`` [N, 512, S/16, S/16] and ``f_aw`` -> image [N, 3, S, S]; ``background`` joins at S/8, S/4, S/2."""

    def __init__(self, widths: tuple[int, ...], bottleneck_blocks: int, style: int):
        super().__init__()
        self.bottleneck = nn.ModuleList(AdaINBlock(widths[-1], widths[-1], style) for _ in range(bottleneck_blocks))
        pairs = list(itertools.pairwise(widths))[::-1]
        self.up = nn.ModuleList(AdaINBlock(b, a, style, up=True) for a, b in pairs)
        self.norm = nn.InstanceNorm2d(widths[0], affine=True)
        self.to_rgb = nn.Conv2d(widths[0], 3, 1)

    def forward(self, f_id: Tensor, f_aw: Tensor, background: list[Tensor]) -> Tensor:
        x = f_id
        for block in self.bottleneck:
            x = block(x, f_aw)
        for i, block in enumerate(self.up):
            x = block(x, f_aw)
            if i < len(background):
                x = x + background[i]
        return self.to_rgb(F.leaky_relu(self.norm(x), 0.2))


class RaganGenerator(nn.Module):
    """``x' = Dec(Enc(x) * m, AM(Enc(x) * m, y'))`` inside the mask m, x outside it."""

    def __init__(self, widths: tuple[int, ...], bottleneck_blocks: int, style: int, code_repeat: int):
        super().__init__()
        self.age_code = AgeCode(code_repeat)
        self.encoder = IdentityEncoder(widths, bottleneck_blocks)
        self.modulator = AgeModulator(widths[-1], self.age_code.length, style)
        self.decoder = Decoder(widths, bottleneck_blocks, style)
        self.mask_net = MaskNet(widths[2], widths[-1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, AdaIN):
                nn.init.normal_(module.affine.weight, std=0.02)

    def forward(self, image: Tensor, age: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        code = self.age_code(age, noise)
        features = self.encoder(image)
        mask = self.mask_net(features[1], features[-1])
        masks = [F.interpolate(mask, size=f.shape[2:], mode="bilinear", align_corners=False) for f in features]
        f_id = features[-1] * masks[-1]
        background = [f * (1 - m) for f, m in zip(features[-2::-1], masks[-2::-1], strict=True)]
        decoded = self.decoder(f_id, self.modulator(f_id, code), background)
        aged = mask * decoded + (1 - mask) * image
        return aged if self.training else aged.clamp(-1, 1), mask
