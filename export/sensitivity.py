"""What each convolution costs in quality when it is quantized, measured one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from .quantize import Calibrated, quantized
from .verify import INT8_PSNR, OUTPUTS, RANGES, Array, TestInputs, decibels, onnx_runner

LAYER_PSNR = 40.0  # dB: a layer that alone is below this stays float
MARGIN = 1.5  # dB over the bound that the whole must reach on the calibrating faces, as others will do a little worse
NARROW_BELOW = 45.0  # dB: above, a range is good enough
NARROWEST = 1 / 64


@dataclass(frozen=True)
class Layer:
    """One convolution; dB of the float32 network's outputs, the worse of the two outputs."""

    name: str
    alone: float  # with only this one in int8
    left_out: float  # with all but this one in int8


class Yardstick:
    """Quantized graphs against their float32 one on the same inputs."""

    def __init__(self, calibrated: Calibrated, inputs: TestInputs):
        self._inputs = inputs
        self._wanted = self._answers(calibrated.model)

    def _answers(self, model: onnx.ModelProto) -> tuple[Array, Array]:
        return onnx_runner(model.SerializeToString(), 1)(self._inputs.image, self._inputs.age)

    def __call__(self, model: onnx.ModelProto) -> float:
        """PSNR of the worse of the two outputs, dB."""
        got = self._answers(model)
        squares = [float(np.mean(np.square(g - w, dtype=np.float64))) for g, w in zip(got, self._wanted, strict=True)]
        return min(decibels(square, RANGES[name]) for name, square in zip(OUTPUTS, squares, strict=True))


def measure_layers(
    calibrated: Calibrated, psnr: Yardstick, progress: Callable[[str], None] = lambda what: None
) -> tuple[Calibrated, list[Layer]]:
    """Every convolution that can be quantized, alone and left out; with the ranges that suit each one best.

    The range of a layer's output is halved while that brings the outputs closer.  The change is free where the mask is closed, and reaches
    tens there: steps as wide as that leave little of it where it counts.
    """
    alone: dict[str, float] = {}
    for name, tensor in calibrated.convolutions().items():
        progress(f"measuring {name}")
        alone[name], factor = psnr(quantized(calibrated, only=[name])), 0.5
        while alone[name] < NARROW_BELOW and factor >= NARROWEST:
            candidate = calibrated.narrowed(tensor, 0.5)
            reached = psnr(quantized(candidate, only=[name]))
            if reached <= alone[name]:
                break
            calibrated, alone[name], factor = candidate, reached, factor / 2
    layers = []
    for name, value in alone.items():
        progress(f"leaving out {name}")
        layers.append(Layer(name, value, psnr(quantized(calibrated, without=[name]))))
    return calibrated, layers


def keep_in_float(calibrated: Calibrated, layers: list[Layer], psnr: Yardstick) -> list[str]:
    """The layers to leave in float32: those below LAYER_PSNR alone, and then the worst ones until the whole is within the bound."""
    worst_first = [layer.name for layer in sorted(layers, key=lambda layer: layer.alone)]
    count = sum(layer.alone < LAYER_PSNR for layer in layers)
    while count < len(layers) and psnr(quantized(calibrated, without=worst_first[:count])) < INT8_PSNR + MARGIN:
        count += 1
    return worst_first[:count]
