"""Small generators of every family, as far from their first state as a trained one would be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from reaging.nets import MobileGenerator, build_generator
from reaging.presets import PRESETS, Preset

SMALL = {
    "mobile": PRESETS["tiny"],
    "ragan": dataclasses.replace(PRESETS["ragan-256"], size=64, widths=(8, 12, 16, 24), bottleneck_blocks=1, style=16, code_repeat=3),
    "pix2pix": dataclasses.replace(PRESETS["pix2pix-3"], size=32),
}


def lively(generator: nn.Module) -> nn.Module:
    """Weights and statistics that change the image visibly: a fresh generator hardly does, and any file would agree with it."""
    torch.manual_seed(0)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.2, 0.2)
    if isinstance(generator, MobileGenerator):
        nn.init.normal_(generator.to_change.weight, std=0.1)
    return generator.eval()


@pytest.fixture(scope="session", params=list(SMALL))
def family(request: pytest.FixtureRequest) -> tuple[nn.Module, Preset]:
    preset = SMALL[request.param]
    torch.manual_seed(0)
    return lively(build_generator(preset)), preset


@pytest.fixture(scope="session")
def make_lively() -> Callable[[Preset], nn.Module]:
    def make(preset: Preset) -> nn.Module:
        torch.manual_seed(0)
        return lively(build_generator(preset))

    return make


@pytest.fixture(scope="session")
def tiny() -> nn.Module:
    torch.manual_seed(0)
    return lively(build_generator(PRESETS["tiny"]))


@pytest.fixture(scope="session")
def wide() -> nn.Module:
    """Like ``tiny`` with enough channels to quantize."""
    torch.manual_seed(0)
    return lively(build_generator(dataclasses.replace(PRESETS["tiny"], widths=(16, 24))))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny: nn.Module) -> Path:
    """What reaging-train writes: here with other weights beside the average, which are not the ones to export."""
    from reaging.training.checkpoint import save_checkpoint

    preset = PRESETS["tiny"]
    task = SimpleNamespace(
        preset=preset, nets={"generator": build_generator(preset)}, ema={"generator": tiny}, optimizers={}, data_names="toy faces"
    )
    path = tmp_path_factory.mktemp("run") / "checkpoint.pt"
    save_checkpoint(path, task, 7)
    return path
