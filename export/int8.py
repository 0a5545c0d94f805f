"""Eight bits: convolutions quantized with ONNX Runtime's static quantizer, from real faces."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from ..card import ModelCard
from ..errors import ReagingError
from .onnx import OPSET, build_onnx, complete_card, save, strip, torch_runner, write_card
from .pictures import read_pictures, square_crops
from .verify import INT8_PSNR, Array, Comparison, TestInputs, as_image, compare, onnx_runner, require

MOST_FACES = 64  # more calibrate no better and take longer
AGES = (3.0, 15.0, 30.0, 50.0, 70.0, 90.0)
VNNI = ("avx512_vnni", "avx_vnni", "asimddp")  # instructions that add 8 bit products without saturating


def export_int8(
    generator: nn.Module, card: ModelCard, path: str | Path, data: str | Path, size: int | None = None, opset: int = OPSET
) -> Comparison:
    """Writes an int8 ONNX (QDQ form; inputs and outputs float32), calibrated on every other face of ``data`` and compared on the rest.

    Weights are per channel, and use 7 bits where this processor would saturate on 8 (no VNNI); the card says which.  Raises
    ReagingError, and leaves no file, where an output is below INT8_PSNR dB of the float32 network on the faces.
    """
    side = size or card.size[0]
    reduced = not has_vnni()
    full_card = complete_card(generator, card, side, "int8")
    note = "int8 weights of 7 bits, for any processor" if reduced else "int8 weights of 8 bits, for processors with VNNI"
    faces = as_image(square_crops(read_pictures(data, limit=MOST_FACES), side))
    if len(faces) < 4:
        raise ReagingError(f"{len(faces)} faces in {data} are too few to calibrate on", "at least 4, better 50", "give more faces")
    model = quantize(build_onnx(generator, side, opset), faces[::2], reduced)
    write_card(model, dataclasses.replace(full_card, note=f"{full_card.note}; {note}".lstrip("; ")))
    inputs = TestInputs(*_with_ages(faces[1::2]), f"{len(faces) // 2} faces of {Path(data).name} that did not calibrate")
    comparison = compare(torch_runner(generator), onnx_runner(model.SerializeToString()), inputs)
    require(comparison, psnr=INT8_PSNR)
    save(model, path)
    return comparison


def quantize(model: onnx.ModelProto, faces: Array, reduced: bool) -> onnx.ModelProto:
    """The model with its convolutions in int8, ranges taken from ``faces`` [N, 3, S, S] at ages from young to old."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Faces(CalibrationDataReader):
        def __init__(self) -> None:
            self._rows: Iterator[tuple[Array, Array]] = zip(*(np.split(v, len(v)) for v in _with_ages(faces)), strict=True)

        def get_next(self) -> dict[str, Array] | None:
            row = next(self._rows, None)
            return None if row is None else {"image": row[0], "age": row[1]}

    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer recommends what was just done
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain, prepared, done = (Path(folder) / f"{name}.onnx" for name in ("plain", "prepared", "int8"))
            onnx.save(model, plain)  # given the model itself, it would move the weights out of it
            quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)  # the exporter has inferred the shapes
            quantize_static(
                str(prepared),
                str(done),
                Faces(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                reduce_range=reduced,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
            quantized = onnx.load(str(done))
    finally:
        logging.getLogger().setLevel(level)
    strip(quantized)
    onnx.checker.check_model(quantized)
    return quantized


def has_vnni() -> bool:
    """Whether this processor multiplies bytes without saturating; False where that is not known."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return any(flag in flags for flag in VNNI)


def _with_ages(faces: Array) -> tuple[Array, Array]:
    """Every face at two of the ages, in turn, so that all ages occur."""
    ages = np.resize(np.asarray(AGES, np.float32), 2 * len(faces))
    return np.repeat(faces, 2, axis=0), ages
