"""How the frozen age net sees an output: never twice alike, so that no one spot, color or texture can please it alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.pairs import mouth

FLAT = 0.15  # largest share of a color's strength that is taken or given
PATCH = (0.12, 0.35)  # side of the patch, in shares of the picture's side


@dataclass(frozen=True)
class View:
    """One draw for a whole batch.  ``patch``: left, top, width, height in shares of the side; None where nothing is covered."""

    shake: tuple[float, float, float]  # the crop moved right and down, and its logarithm of scale
    flip: bool
    gains: tuple[float, float, float]  # of red, green, blue
    gray: float  # 0: as it is, 1: without color
    patch: tuple[float, float, float, float] | None
    settled: bool  # none of it but the shake


def draw_view(rng: np.random.Generator, shake: float, unsettle: bool) -> View:
    """``shake``: standard deviation of the crop's wandering; ``unsettle``: flips, tints and patches too."""
    right, down, scale = (float(v) for v in rng.normal(0, shake, 3))
    if not unsettle:
        return View((right, down, scale), False, (1.0, 1.0, 1.0), 0.0, None, True)
    red, green, blue = (float(v) for v in rng.uniform(1 - FLAT, 1 + FLAT, 3))
    width, height = (float(v) for v in rng.uniform(*PATCH, 2))
    left, top = float(rng.uniform(0.2, 0.8 - width)), float(rng.uniform(0.3, 0.9 - height))
    patch = (left, top, width, height) if rng.random() < 0.6 else None
    return View((right, down, scale), bool(rng.random() < 0.5), (red, green, blue), float(max(0.0, rng.uniform(-1, 1))), patch, False)


def seen(view: View, aged: Tensor, image: Tensor) -> Tensor:
    """``aged`` [N, 3, S, S] in -1..1 as the view shows it; under the patch and over the mouth stands the input."""
    if not view.settled:  # to an age net a mustache is age
        inside = torch.from_numpy(mouth(aged.shape[-1])[0]).to(aged).permute(2, 0, 1)
        aged = aged + (image - aged) * inside
    if view.patch is not None:
        left, top, width, height = (int(v * aged.shape[-1]) for v in view.patch)
        covered = aged.new_zeros(1, 1, *aged.shape[2:])
        covered[..., top : top + height, left : left + width] = 1
        aged = aged + (image - aged) * covered
    if view.gray or view.gains != (1.0, 1.0, 1.0):
        light = (aged + 1) * aged.new_tensor(view.gains)[:, None, None]
        aged = light + (light.mean(1, keepdim=True) - light) * view.gray - 1
    return aged.flip(-1) if view.flip else aged
