"""Eight bits: convolutions quantized with ONNX Runtime's quantizer, ranges and sensitivities measured on real faces."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import onnx
from torch import nn

from ..card import ModelCard
from ..errors import ReagingError
from .onnx import OPSET, build_onnx, complete_card, save, torch_runner, write_card
from .pictures import spread_pictures, square_crops
from .quantize import Calibrated, calibrate, quantized, with_ages
from .sensitivity import Layer, Yardstick, keep_in_float, measure_layers
from .verify import INT8_PSNR, Comparison, Runner, TestInputs, as_image, compare, onnx_runner

MOST_FACES = 48  # half of them calibrate; more change the ranges no further and take longer
FEWEST_FACES = 4
MEASURE_FACES = 4  # of the calibrating ones, with which the layers are measured one by one

Gate = Callable[[Runner, Runner, TestInputs], tuple[list[str], list[str]]]  # fp32, int8, faces -> what to say, what is beyond the bounds


@dataclasses.dataclass(frozen=True)
class Int8Report:
    """What became of a quantization."""

    comparison: Comparison  # on faces that did not calibrate
    layers: tuple[Layer, ...]
    float_layers: tuple[str, ...]
    said: tuple[str, ...]  # by the gate
    beyond: tuple[str, ...]  # bounds that were missed; empty unless forced

    def lines(self) -> list[str]:
        """A few lines to print."""
        rows = [f"  {layer.name:24} alone {layer.alone:5.1f} dB, the rest without it {layer.left_out:5.1f} dB" for layer in self.layers]
        kept = ", ".join(self.float_layers) or "none"
        return ["convolutions, one by one:", *rows, f"stay float: {kept}", *self.comparison.lines(), *self.said, *self.beyond]


def export_int8(
    generator: nn.Module,
    card: ModelCard,
    path: str | Path,
    data: str | Path,
    size: int | None = None,
    gate: Gate | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda what: None,
    opset: int = OPSET,
) -> Int8Report:
    """Writes an int8 ONNX (QDQ form; inputs and outputs float32), calibrated on every other face of ``data`` and compared on the rest.

    Weights are per channel and symmetric, of 7 bits: on processors without VNNI products of 8 bits saturate.  ``progress`` hears of
    each step.  Raises ReagingError, and leaves no file, where an output is below INT8_PSNR dB of the float32 network or ``gate``
    finds a bound missed, unless ``force``; the card then says so.
    """
    side = size or card.size[0]
    full_card = complete_card(generator, card, side, "int8")
    pictures = spread_pictures(data, MOST_FACES)
    if len(pictures) < FEWEST_FACES:
        raise ReagingError(f"{len(pictures)} faces in {data} are too few to calibrate on", "at least 4, better 50", "give more faces")
    faces = as_image(square_crops(pictures, side))
    progress("calibrating")
    model, layers, kept = _quantize(calibrate(build_onnx(generator, side, opset, eight_bit=True), faces[::2]), progress)
    unseen = TestInputs(*with_ages(faces[1::2]), f"{len(faces) // 2} faces of {Path(data).name} that did not calibrate")
    fp32, int8 = torch_runner(generator), onnx_runner(model.SerializeToString())
    comparison = compare(fp32, int8, unseen)
    progress("judging")
    said, beyond = gate(fp32, int8, unseen) if gate else ([], [])
    if not comparison.psnr >= INT8_PSNR:
        beyond = [f"PSNR {comparison.psnr:.1f} dB, at least {INT8_PSNR:g} wanted", *beyond]
    if (beyond and not force) or not comparison.finite:
        raise ReagingError(f"the int8 file is beyond its bounds: {'; '.join(beyond)}", "one within them", "more faces, or --force")
    notes = [full_card.note, "int8 weights of 7 bits, for any processor", *(f"forced: {what}" for what in beyond)]
    write_card(model, dataclasses.replace(full_card, note="; ".join(n for n in notes if n), float_layers=tuple(kept)))
    save(model, path)
    return Int8Report(comparison, tuple(layers), tuple(kept), tuple(said), tuple(beyond))


def _quantize(calibrated: Calibrated, progress: Callable[[str], None]) -> tuple[onnx.ModelProto, list[Layer], list[str]]:
    inputs = TestInputs(*with_ages(calibrated.faces[:: max(1, len(calibrated.faces) // MEASURE_FACES)]), "calibrating faces")
    psnr = Yardstick(calibrated, inputs)
    narrowed, layers = measure_layers(calibrated, psnr, progress)
    kept = keep_in_float(narrowed, layers, psnr)
    return quantized(narrowed, without=kept), layers, kept
