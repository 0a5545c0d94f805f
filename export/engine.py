"""ONNX to a TensorRT engine: full TensorRT (builds on the GPU that it is for) or TensorRT-RTX (builds anywhere)."""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..card import ModelCard
from ..errors import ReagingError
from ..files import whole_file
from ..runtime.backends.tensorrt import FLAVORS, EngineFacts

RTX_TARGETS = ("SM86", "SM89", "SM120")  # Ampere, Ada and Blackwell desktop cards
DRIVER = "libcuda.so.1"
WORKSPACE = 1 << 30  # bytes of scratch that the builder may plan with


def build_engine(
    model: str | Path,
    out: str | Path,
    batch: tuple[int, int, int] = (1, 1, 4),
    flavor: str | None = None,
    targets: tuple[str, ...] = RTX_TARGETS,
) -> EngineFacts:
    """Builds the plan ``out`` and ``out``.json from an ONNX file of this project; the precision is the file's own.

    ``flavor`` is tensorrt or tensorrt-rtx, by default the first that is installed; ``targets`` are the compute capabilities of an RTX
    engine.  Raises ReagingError where neither is installed, full TensorRT finds no GPU, or the build fails (with its log).
    """
    model, out = Path(model), Path(out)
    data, card = _read(model)
    low, best, high = batch
    if not 1 <= low <= best <= high:
        raise ReagingError(f"batch {batch} is not usable", "least <= best <= most, from 1 up", "give for example 1,1,4")
    flavor, trt = _import(flavor)
    gpu, capability = ("any RTX card", ",".join(targets)) if flavor == "tensorrt-rtx" else _gpu(trt)
    plan = _build(trt, data, batch, targets)
    engine = EngineFacts(card, flavor, str(trt.__version__), gpu, capability, hashlib.sha256(data).hexdigest(), batch, card.precision)
    with whole_file(out) as part, whole_file(f"{out}.json") as sidecar:
        part.write_bytes(plan)
        sidecar.write_text(json.dumps(asdict(engine), indent=1), "utf-8")
    return engine


def _read(path: Path) -> tuple[bytes, ModelCard]:
    from ..runtime.backends.modelfile import read_model

    return read_model(path)


def _import(flavor: str | None) -> tuple[str, Any]:
    if flavor is not None and flavor not in FLAVORS:
        raise ReagingError(f"there is no TensorRT called {flavor!r}", f"one of {', '.join(FLAVORS)}", "choose one of them")
    reasons = []
    for name in [flavor] if flavor else list(FLAVORS):
        try:
            return name, importlib.import_module(FLAVORS[name])
        except ImportError as error:
            reasons.append(f"{name}: {error}")
    raise ReagingError(
        f"no TensorRT can be imported ({'; '.join(reasons)})",
        "the package tensorrt or tensorrt-rtx",
        "pip install tensorrt-rtx (for GeForce and RTX cards), or tensorrt from NVIDIA's own package index",
    )


def _gpu(trt: Any) -> tuple[str, str]:
    """Name and compute capability of the first GPU; full TensorRT times its kernels on it."""
    refused = ReagingError(
        f"{trt.__name__} builds engines on the GPU they are for, and there is none here",
        "an NVIDIA GPU with its driver",
        "build on that machine, or install tensorrt-rtx, which builds without one",
    )
    try:
        cuda = ctypes.CDLL(DRIVER)
    except OSError:
        raise refused from None
    device, major, minor, name = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    calls = (
        lambda: cuda.cuInit(0),
        lambda: cuda.cuDeviceGet(ctypes.byref(device), 0),
        lambda: cuda.cuDeviceGetName(name, len(name), device),
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device),  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device),
    )
    if any(call() != 0 for call in calls):
        raise refused
    return name.value.decode(errors="replace"), f"{major.value}.{minor.value}"


def _build(trt: Any, data: bytes, batch: tuple[int, int, int], targets: tuple[str, ...]) -> bytes:
    log = _log(trt)
    builder = trt.Builder(log)
    if builder is None:
        raise _failed("its builder does not start", log)
    # TensorRT 11 and RTX are always strongly typed; on 10 it has to be asked for
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    if network is None:
        raise _failed("it makes no network", log)
    parser = trt.OnnxParser(network, log)
    if parser is None or not parser.parse(data):
        reasons = [] if parser is None else [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise _failed(f"it does not read the model ({'; '.join(reasons)})", log)
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    if config is None or profile is None:
        raise _failed("it makes no configuration", log)
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        shape = tuple(tensor.shape)[1:]
        profile.set_shape(tensor.name, *((n, *shape) for n in batch))
    if config.add_optimization_profile(profile) < 0:
        raise _failed(f"it refuses the batch sizes {batch}", log)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    if hasattr(config, "num_compute_capabilities"):
        _set_targets(trt, config, targets, log)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _failed("the build failed", log)
    return bytes(plan)


def _set_targets(trt: Any, config: Any, targets: tuple[str, ...], log: Any) -> None:
    known = [name for name in dir(trt.ComputeCapability) if name.startswith("SM")]
    if not targets or not set(targets) <= set(known):
        raise ReagingError(f"RTX targets {', '.join(targets)} are not usable", f"some of {', '.join(known)}", "correct the targets")
    config.num_compute_capabilities = len(targets)
    for i, name in enumerate(targets):
        if config.set_compute_capability(getattr(trt.ComputeCapability, name), i) is False:
            raise _failed(f"it refuses the target {name}", log)


def _log(trt: Any) -> Any:
    """A logger that keeps warnings and errors, to be shown if the build fails."""

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, text: str) -> None:
            if severity <= trt.ILogger.WARNING:
                self.lines.append(text.strip())

    return Log()


def _failed(what: str, log: Any) -> ReagingError:
    last = " | ".join(log.lines[-4:]) or "nothing in its log"
    return ReagingError(f"TensorRT cannot build the engine: {what}; log: {last}", "a model that it supports", "check the log above")
