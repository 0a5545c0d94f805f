"""ONNX Runtime's quantizer: ranges of every tensor from faces, and a graph with some of its convolutions in int8."""

from __future__ import annotations

import copy
import dataclasses
import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from .onnx import strip
from .verify import Array

AGES = (3.0, 15.0, 30.0, 50.0, 70.0, 90.0)
OPERATORS = ["Conv", "Relu"]  # a ReLU behind a quantized convolution becomes the end of its range
FEWEST_CHANNELS = 16  # of a convolution's output: the engines pad fewer to this, and nothing is gained


@dataclass(frozen=True)
class Calibrated:
    """A float32 graph ready to quantize, and what was seen in it: faces [N, 3, S, S] at ages from young to old."""

    model: onnx.ModelProto
    ranges: dict[str, Any]  # tensor -> TensorData: lowest, highest
    faces: Array

    def convolutions(self) -> dict[str, str]:
        """The convolutions that can be quantized: name -> the tensor that leaves it, behind its ReLU if it has one."""
        channels = {t.name: t.dims[0] for t in self.model.graph.initializer if t.dims}
        relus = {n.input[0]: n.output[0] for n in self.model.graph.node if n.op_type == "Relu"}
        nodes = [n for n in self.model.graph.node if n.op_type == "Conv" and channels[n.input[1]] >= FEWEST_CHANNELS]
        return {n.name: relus.get(n.output[0], n.output[0]) for n in nodes}

    def narrowed(self, tensor: str, factor: float) -> Calibrated:
        """The same with one tensor's range times ``factor``: what lies beyond will be cut."""
        from onnxruntime.quantization.calibrate import TensorData

        low, high = (np.asarray(v, np.float32) * np.float32(factor) for v in self.ranges[tensor].range_value)
        return dataclasses.replace(self, ranges={**self.ranges, tensor: TensorData(lowest=low, highest=high)})


def calibrate(model: onnx.ModelProto, faces: Array) -> Calibrated:
    """Prepares the graph, its convolutions named after their modules, and runs it over ``faces``, each at two of the ages."""
    from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Faces(CalibrationDataReader):
        def __init__(self) -> None:
            self._rows: Iterator[tuple[Array, Array]] = zip(*(np.split(v, len(v)) for v in with_ages(faces)), strict=True)

        def get_next(self) -> dict[str, Array] | None:
            row = next(self._rows, None)
            return None if row is None else {"image": row[0], "age": row[1]}

    with _quiet(), tempfile.TemporaryDirectory() as folder:
        plain, prepared = (Path(folder) / f"{name}.onnx" for name in ("plain", "prepared"))
        onnx.save(model, plain)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)  # the exporter has inferred the shapes
        _name_convolutions(prepared)
        calibrator = create_calibrator(
            prepared, OPERATORS, augmented_model_path=str(Path(folder) / "augmented.onnx"), calibrate_method=CalibrationMethod.MinMax
        )
        calibrator.collect_data(Faces())
        found = calibrator.compute_data()
        return Calibrated(onnx.load(prepared), {name: found[name] for name in found.keys()}, faces)  # noqa: SIM118 (no mapping)


def quantized(calibrated: Calibrated, only: Iterable[str] | None = None, without: Iterable[str] = ()) -> onnx.ModelProto:
    """The graph in QDQ form: ``only`` these convolutions in int8, or all that can be but those ``without``.

    Activations uint8, weights int8 of 7 bits per channel.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    chosen = [name for name in (calibrated.convolutions() if only is None else only) if name not in set(without)]
    if not chosen:
        return copy.deepcopy(calibrated.model)  # the quantizer takes an empty list for all
    relus = [n.name for n in calibrated.model.graph.node if n.op_type == "Relu"]
    ranges = TensorsData(CalibrationMethod.MinMax, dict(calibrated.ranges))
    with _quiet():
        quantizer = QDQQuantizer(
            copy.deepcopy(calibrated.model),
            per_channel=True,
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=[*chosen, *relus],
            nodes_to_exclude=[],
            op_types_to_quantize=OPERATORS,
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()  # new nodes stand at the end
    model: onnx.ModelProto = quantizer.model.model
    strip(model)
    onnx.checker.check_model(model)
    return model


def with_ages(faces: Array) -> tuple[Array, Array]:
    """Every face at two of the ages, in turn, so that all ages occur."""
    ages = np.resize(np.asarray(AGES, np.float32), 2 * len(faces))
    return np.repeat(faces, 2, axis=0), ages


def _name_convolutions(path: Path) -> None:
    """``network.blocks.2.conv1.0.weight`` belongs to ``blocks.2.conv1``."""
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "Conv":
            node.name = node.input[1].removeprefix("network.").removesuffix(".weight").removesuffix(".0").removesuffix(".conv")
    onnx.save(model, path)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer recommends what was just done."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
