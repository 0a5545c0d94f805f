"""What a network costs: parameters, and multiply-accumulates counted on a real forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def count_parameters(module: nn.Module) -> int:
    """Number of learned values."""
    return sum(p.numel() for p in module.parameters())


def count_macs(module: nn.Module, *inputs: Any) -> int:
    """Multiply-accumulates of convolutions and linear layers for the given inputs; batch 1 gives those per face."""
    total = 0

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.ConvTranspose2d):
            kernel = layer.weight.numel() // layer.in_channels // layer.out_channels * layer.groups
            total += output.numel() * layer.in_channels * kernel // (layer.stride[0] * layer.stride[1]) // layer.groups
        elif isinstance(layer, nn.Conv2d):
            total += output.numel() * (layer.weight.numel() // layer.out_channels)
        else:
            total += output.numel() * int(layer.in_features)  # type: ignore[arg-type]

    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    was_training = module.training
    try:
        with torch.no_grad():
            module.eval()(*inputs)
    finally:
        module.train(was_training)
        for handle in handles:
            handle.remove()
    return total
