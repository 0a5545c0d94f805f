"""ONNX to a TensorRT engine: full TensorRT (builds on the GPU that it is for) or TensorRT-RTX (builds anywhere)."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from ..errors import ReagingError
from ..files import alone, whole_file
from ..runtime.backends.engine_cache import BATCH, cache_folder
from ..runtime.backends.engines import EngineFacts, digest, import_tensorrt, log_of, read_facts, read_plan, write_engine
from ..runtime.backends.modelfile import read_model
from ..runtime.cuda.driver import Gpu, driver_error, first_gpu
from .build_watch import Phases, build_failed, monitor, watched

RTX_TARGETS = ("SM86", "SM89", "SM120")  # Ampere, Ada and Blackwell desktop cards
SIDES = (64, 320, 640)  # least, best, most pixels a side, of a model that takes any (the finder)
LEVELS = range(6)  # TensorRT's optimization levels: 0 builds at once, 5 tries everything


@dataclass(frozen=True)
class Effort:
    """How hard the builder may try: scratch memory in MB, and TensorRT's optimization level."""

    workspace_mb: int = 1024
    level: int = 3  # TensorRT's default


USUAL = Effort()


def build_engine(
    model: str | Path,
    out: str | Path,
    batch: tuple[int, int, int] = BATCH,
    flavor: str | None = None,
    targets: tuple[str, ...] = RTX_TARGETS,
    effort: Effort = USUAL,
    says: Callable[[str], None] = lambda line: None,
) -> EngineFacts:
    """Builds the plan ``out`` and ``out``.json from an ONNX file of this project; the precision is the file's own.

    An engine that is there already, of the same file for the same place, batch and effort, is taken as it is; of two processes that want
    the same one the second waits for the first.  ``flavor`` is tensorrt or tensorrt-rtx, by default the first that is installed;
    ``targets`` are the compute capabilities of an RTX engine; ``says`` takes lines for the user.  Raises ReagingError where neither is
    installed, full TensorRT finds no GPU, or the build fails (with its log).
    """
    model, out = Path(model), Path(out)
    data, card = read_model(model)
    if card.precision == "int8":  # its quantized biases are what processors want, and no TensorRT reads them
        raise ReagingError(f"{model} is int8, which is for processors", "a model in fp16 or fp32", "export one with --fp16")
    _check(batch, effort)
    flavor, trt = import_tensorrt(flavor)
    gpu = Gpu("any RTX card", ",".join(targets), "") if flavor == "tensorrt-rtx" else _gpu(flavor)
    facts = EngineFacts(
        card, flavor, str(trt.__version__), gpu.name, gpu.capability, gpu.driver, digest(data), "", batch, card.precision,
        effort.workspace_mb, effort.level,
    )  # fmt: skip
    with alone(model):
        built = _built(out, facts)
        if built is not None:
            says(f"{out} is there already, built of this model for this place")
            return built
        says(_plan_line(out, facts))
        start = perf_counter()
        plan = _build(trt, data, batch, targets, effort, _timing_cache(facts), says)
        facts = replace(facts, plan_sha256=digest(plan))
        write_engine(out, plan, facts)
        says(f"  built in {perf_counter() - start:.1f} s, {len(plan) / 1e6:.1f} MB")
    return facts


def _check(batch: tuple[int, int, int], effort: Effort) -> None:
    low, best, high = batch
    if not 1 <= low <= best <= high:
        raise ReagingError(f"batch {batch} is not usable", "least <= best <= most, from 1 up", "give for example 1,1,4")
    if effort.workspace_mb < 1 or effort.level not in LEVELS:
        raise ReagingError(
            f"workspace {effort.workspace_mb} MB at level {effort.level} is not usable", "from 1 MB, level 0 to 5", "leave them out"
        )


def _gpu(flavor: str) -> Gpu:
    """Full TensorRT times its kernels on the GPU that the engine is for, and ends the process where there is no driver."""
    reason = driver_error()
    if reason:
        raise ReagingError(
            f"{flavor} builds engines on the GPU they are for, and there is none here: {reason}",
            "an NVIDIA GPU with its driver",
            "build on that machine, or install tensorrt-rtx, which builds without one",
        )
    return first_gpu()


def _built(out: Path, wanted: EngineFacts) -> EngineFacts | None:
    with suppress(ReagingError):
        facts = read_facts(out)
        if replace(facts, plan_sha256="") == wanted:
            read_plan(facts, out)
            return facts
    return None


def _plan_line(out: Path, facts: EngineFacts) -> str:
    card, (low, best, high) = facts.card, facts.batch
    height, width = card.size
    return (
        f"building {out}: {card.preset} {facts.precision} {height} x {width}, {low} to {high} faces (tuned for {best}), for {facts.gpu} "
        f"({facts.compute_capability}), with {facts.flavor} {facts.version}, {facts.workspace_mb} MB, level {facts.level}"
    )


def _timing_cache(facts: EngineFacts) -> Path | None:
    """Where kernel timings of this GPU and version are kept; none for RTX, which times nothing and would ask for a GPU."""
    if facts.flavor != "tensorrt":
        return None
    name = f"{facts.flavor}-{facts.version}-{facts.gpu}-{facts.compute_capability}"
    return cache_folder("timing") / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', name)}.cache"


def _build(
    trt: Any,
    data: bytes,
    batch: tuple[int, int, int],
    targets: tuple[str, ...],
    effort: Effort,
    timing: Path | None,
    says: Callable[[str], None],
) -> bytes:
    log, phases = log_of(trt), Phases()
    log.lines.clear()
    builder = trt.Builder(log)
    if builder is None:
        raise build_failed("its builder does not start", log)
    network, parser = _parsed(trt, builder, data, log)
    config = builder.create_builder_config()
    if config is None:
        raise build_failed("it makes no configuration", log)
    _set_profile(builder, network, config, batch, log)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, effort.workspace_mb << 20)
    config.builder_optimization_level = effort.level
    if hasattr(config, "num_compute_capabilities"):
        _set_targets(trt, config, targets, log)
    cache = None if timing is None else _attach(config, timing, log)
    watch = monitor(trt, phases)
    if watch is not None:
        config.progress_monitor = watch
    plan = watched(lambda: builder.build_serialized_network(network, config), phases, says)
    if plan is None:
        raise build_failed("the build failed", log)
    if cache is not None and timing is not None:
        _keep(config, timing)
    del parser  # until here: the network refers to its weights
    return bytes(plan)


def _parsed(trt: Any, builder: Any, data: bytes, log: Any) -> tuple[Any, Any]:
    # TensorRT 11 and RTX are always strongly typed; on 10 it has to be asked for
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    if network is None:
        raise build_failed("it makes no network", log)
    parser = trt.OnnxParser(network, log)
    if parser is None or not parser.parse(data):
        reasons = [] if parser is None else [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise build_failed(f"it does not read the model ({'; '.join(reasons)})", log)
    return network, parser


def _set_profile(builder: Any, network: Any, config: Any, batch: tuple[int, int, int], log: Any) -> None:
    profile = builder.create_optimization_profile()
    if profile is None:
        raise build_failed("it makes no optimization profile", log)
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        if tensor is None:
            raise build_failed(f"it does not give input {i}", log)
        profile.set_shape(tensor.name, *(_fixed(tuple(tensor.shape), n, side) for n, side in zip(batch, SIDES, strict=True)))
    if config.add_optimization_profile(profile) < 0:
        raise build_failed(f"it refuses the batch sizes {batch}", log)


def _fixed(shape: tuple[int, ...], count: int, side: int) -> tuple[int, ...]:
    """A shape without its unknowns (-1): the batch's is ``count``, a picture's ``side``."""
    return tuple(n if n >= 0 else side if i else count for i, n in enumerate(shape))


def _set_targets(trt: Any, config: Any, targets: tuple[str, ...], log: Any) -> None:
    known = [name for name in dir(trt.ComputeCapability) if name.startswith("SM")]
    if not targets or not set(targets) <= set(known):
        raise ReagingError(f"RTX targets {', '.join(targets)} are not usable", f"some of {', '.join(known)}", "correct the targets")
    config.num_compute_capabilities = len(targets)
    for i, name in enumerate(targets):
        if config.set_compute_capability(getattr(trt.ComputeCapability, name), i) is False:
            raise build_failed(f"it refuses the target {name}", log)


def _attach(config: Any, timing: Path, log: Any) -> Any:
    """The timing cache as kept, or an empty one where there is none or TensorRT refuses it."""
    kept = timing.read_bytes() if timing.is_file() else b""
    for data in (kept, b"") if kept else (b"",):
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    raise build_failed("it makes no timing cache", log)


def _keep(config: Any, timing: Path) -> None:
    cache = config.get_timing_cache()
    kept = None if cache is None else cache.serialize()
    if kept is not None:
        with whole_file(timing) as part:
            part.write_bytes(bytes(kept))
