"""TensorRT (10, 11) and TensorRT-RTX: runs an engine that reaging-export built.

Not yet run on a GPU: written against the names that the three packages share; what comes before the first CUDA call (files, versions, the
missing driver) is tested.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...card import ModelCard
from ...errors import ReagingError
from ..cuda.buffers import Buffer, Device
from ..cuda.driver import driver_error
from .base import INPUTS, Floats, check_names, warm_up

FLAVORS = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}  # flavor in the sidecar -> module


@dataclass(frozen=True)
class EngineFacts:
    """What ``NAME.engine.json`` says of the plan beside it."""

    card: ModelCard
    flavor: str
    version: str
    gpu: str
    compute_capability: str
    onnx_sha256: str
    batch: tuple[int, int, int]  # faces: least, the one it is tuned for, most
    precision: str


def engine_beside(path: str | Path) -> Path:
    """The engine that belongs to a model: the file itself, or the one with the same stem."""
    return Path(path).with_suffix(".engine")


def read_facts(engine: Path) -> EngineFacts:
    """Raises ReagingError where the engine or its sidecar is missing or damaged."""
    rebuild = "build it with reaging-export --engine"
    if not engine.is_file() or not engine.stat().st_size:
        raise ReagingError(f"there is no engine {engine}", "a TensorRT engine", rebuild)
    sidecar = Path(f"{engine}.json")
    try:
        fields = json.loads(sidecar.read_text())
        card = fields["card"] if isinstance(fields["card"], str) else json.dumps(fields["card"])
        low, best, high = (int(n) for n in fields["batch"])
        version, gpu, capability, digest = (str(fields[name]) for name in ("version", "gpu", "compute_capability", "onnx_sha256"))
        flavor = str(fields["flavor"]).lower().replace("_", "-")
        if not 1 <= low <= best <= high or flavor not in FLAVORS:
            raise ValueError(flavor)
        precision = str(fields["precision"])
        described = ModelCard.from_json(card, str(sidecar))
        return EngineFacts(described, flavor, version, gpu, capability, digest, (low, best, high), precision)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ReagingError(f"{sidecar} is missing or damaged ({error})", "the description beside the engine", rebuild) from None


def _check_source(facts: EngineFacts, engine: Path) -> None:
    model = engine.with_suffix(".onnx")
    if model.is_file() and hashlib.sha256(model.read_bytes()).hexdigest() != facts.onnx_sha256:
        raise ReagingError(f"{engine} was built from another {model.name}", "engine and model of one export", "build the engine again")


def _check_place(facts: EngineFacts, engine: Path, version: str, device: Device) -> None:
    if version != facts.version:
        raise ReagingError(f"{engine} is for {facts.flavor} {facts.version}", f"one for {version}", "build the engine again here")
    if facts.flavor == "tensorrt" and facts.compute_capability != device.capability:  # RTX engines are portable
        raise ReagingError(
            f"{engine} is for {facts.gpu} ({facts.compute_capability})",
            f"one for {device.name} ({device.capability})",
            "build the engine again on this machine",
        )


def _import(flavor: str) -> Any:
    try:
        return importlib.import_module(FLAVORS[flavor])
    except ImportError as error:
        raise ReagingError(
            f"{flavor} cannot be imported ({error})", f"the package {flavor}", "pip install it; its libraries may need NVIDIA's own index"
        ) from None


class TensorRT:
    """A generator as an engine; one stream, pinned buffers for the profile's largest batch."""

    device = "cuda"

    def __init__(self, path: str | Path):
        """Raises ReagingError where engine, sidecar, driver, package or GPU do not fit; never another device instead."""
        engine = engine_beside(path)
        facts = read_facts(engine)
        _check_source(facts, engine)
        self.card, self._batch = facts.card, facts.batch[2]
        reason = driver_error()  # before TensorRT: without a driver it ends the process
        if reason:
            raise ReagingError(reason, "an NVIDIA GPU with its driver", "install the driver, or use --device cpu")
        trt = _import(facts.flavor)
        self._gpu = Device()
        _check_place(facts, engine, trt.__version__, self._gpu)
        with self._gpu.current():
            self._load(trt, engine)
        warm_up(self, str(engine))

    def _load(self, trt: Any, path: Path) -> None:
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise ReagingError(f"{path} cannot be loaded", "an engine for this GPU and TensorRT", "build the engine again on this machine")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        inputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        check_names(str(path), inputs, [n for n in names if n not in inputs])
        self._context = self._engine.create_execution_context()
        self._stream = self._gpu.cuda.Stream()
        self._buffers = {}
        for name in names:
            shape = (self._batch, *tuple(self._engine.get_tensor_shape(name))[1:])
            self._buffers[name] = Buffer(self._gpu.cuda, shape, trt.nptype(self._engine.get_tensor_dtype(name)))
            self._context.set_tensor_address(name, int(self._buffers[name].memory))

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run; more faces than the profile allows run in several batches."""
        starts = range(0, len(image), self._batch)
        with self._gpu.current():
            parts = [self._run(image[i : i + self._batch], age[i : i + self._batch]) for i in starts]
        aged, mask = zip(*parts, strict=True)
        return np.concatenate(aged), np.concatenate(mask)

    def _run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        for name, values in zip(INPUTS, (image, age), strict=True):
            self._context.set_input_shape(name, values.shape)
            self._buffers[name].upload(values, self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise RuntimeError("TensorRT refused to run the engine")
        aged, mask = (self._buffers[name].download(len(image), self._stream) for name in ("aged", "mask"))
        self._stream.synchronize()
        return aged.astype(np.float32), mask.astype(np.float32)  # copies: the pinned memory is used again
