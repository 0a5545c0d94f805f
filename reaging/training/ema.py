"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


def averaged_copy(net: nn.Module) -> nn.Module:
    """A frozen copy in eval mode, to be kept up by ``update_average``."""
    return copy.deepcopy(net).eval().requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float, step: int) -> None:
    """``average <- d * average + (1 - d) * net`` with d rising to ``decay`` over the first steps; BatchNorm's statistics too."""
    d = min(decay, (1 + step) / (10 + step))
    state = net.state_dict()
    for key, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(state[key], 1 - d)
        else:
            value.copy_(state[key])
