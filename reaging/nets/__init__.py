"""The networks, in PyTorch."""

from __future__ import annotations

from torch import nn

from ..presets import Preset
from .discriminators import Discriminator, FeatureDiscriminator, PatchDiscriminator
from .mobile import MobileGenerator
from .pix2pix import UNetGenerator
from .ragan import RaganGenerator


def build_generator(preset: Preset) -> nn.Module:
    """An untrained generator: ``(image [N, 3, S, S] in -1..1, age [N] in years) -> (aged, mask)``."""
    if preset.family == "mobile":
        return MobileGenerator(preset.widths, preset.bottleneck_blocks, preset.style, preset.norm, preset.code_repeat)
    if preset.family == "pix2pix":
        return UNetGenerator(preset.size)
    return RaganGenerator(preset.widths, preset.bottleneck_blocks, preset.style, preset.code_repeat)


def build_discriminator(preset: Preset, taps: list[int] | None = None) -> nn.Module:
    """An untrained discriminator for the preset's generator; ``taps``: channels of the features that it sees, where it sees features."""
    if taps:
        return FeatureDiscriminator(taps)
    if preset.family == "pix2pix":
        return PatchDiscriminator(preset.size)
    return Discriminator(preset.disc_crop or preset.size, preset.disc_width, preset.disc_max_width)
