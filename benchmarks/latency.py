"""How long a generator takes: models x backends x threads x batches x sizes, each in a process of its own, measured in turns."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ..card import ModelCard
from ..errors import ReagingError
from ..runtime.backends.modelfile import read_model
from .ceiling import KINDS, Ceiling, prepare_ceiling
from .graph_cost import GraphCost, graph_cost
from .models import check_backends, is_checkpoint, open_model
from .worker import Worker

PERCENTILES = (50, 90, 95, 99)
RUNS = 5  # inferences of one case in a row: enough to be warm, few enough that all cases see the same minutes
TURN = 2.0  # seconds after which a slow case's turn ends, however few its inferences
WARM_UP = 2
ENGINES = {"ort": "onnxruntime", "openvino": "openvino", "torch": "torch"}  # imported while the load is timed


@dataclass(frozen=True)
class Case:
    """One thing to measure; ``path`` is what is opened, ``model`` what it is called."""

    model: str
    path: Path
    backend: str
    threads: int
    batch: int
    size: int | None = None  # pixels; None: the model's own


@dataclass
class Measured:
    """What was measured of one case; times in milliseconds per run of the whole batch."""

    case: Case
    card: ModelCard
    cost: GraphCost
    load_ms: float  # from nothing to the engine's code and the file in memory
    build_ms: float  # from there to the first answer for one face, which opening a model ends with
    bytes: int
    peak: int = 0
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    round_medians_ms: list[float] = field(default_factory=list)


def make_cases(
    models: Iterable[Path],
    backends: list[str],
    threads: list[int],
    batches: list[int],
    sizes: list[int] | None,
    folder: Path,
) -> list[Case]:
    """Every combination; a checkpoint is exported into ``folder`` for the backends that read ONNX.

    Raises ReagingError where a backend is not there, a model cannot be had for one, or a number makes no sense.
    """
    check_backends(backends)
    if min([*threads, *batches, *(sizes or [])], default=0) < 1:
        raise ReagingError("threads, batch or size is below 1", "whole numbers from 1", "correct --threads, --batch, --size")
    cases = []
    sides: list[int | None] = [*sizes] if sizes else [None]
    for model, backend, size in product(models, backends, sides):
        path = _openable(Path(model), backend, size, folder)
        cases += [Case(Path(model).name, path, backend, t, n, size) for t, n in product(threads, batches)]
    if not cases:
        raise ReagingError("there is nothing to measure", "a model and a backend", "name them")
    return cases


def _openable(model: Path, backend: str, size: int | None, folder: Path) -> Path:
    """The file that the backend opens for this model at this size."""
    if not model.is_file():
        raise ReagingError(f"there is no model {model}", "an ONNX file, or a checkpoint", "check the name")
    if backend == "torch":
        if is_checkpoint(model):
            return model
        raise ReagingError(f"torch cannot run {model}", "a checkpoint", "give the checkpoint, or leave torch out of --backend")
    if model.suffix == ".engine" and backend != "tensorrt":
        raise ReagingError(f"{backend} cannot run {model}", "an ONNX file, or a checkpoint", f"leave {backend} out of --backend")
    if not is_checkpoint(model):
        own = None if size is None or model.suffix == ".engine" else read_model(model)[1].size[0]
        if own not in (None, size):
            raise ReagingError(f"{model} is made for {own} pixels, not {size}", "one size", "give its checkpoint, which fits more than one")
        return model
    if backend == "tensorrt":
        raise ReagingError(f"tensorrt cannot run {model}", "an engine", "build one with reaging-export --engine")
    path = folder / f"{model.stem}-{size or 'own'}.onnx"
    if not path.exists():
        from ..export.onnx import export_onnx
        from ..training.checkpoint import generator_from_checkpoint

        generator, preset, step = generator_from_checkpoint(model)
        export_onnx(generator, ModelCard("generator", preset.name, (preset.size, preset.size), step=step), path, size)
    return path


def measure_latency(
    cases: list[Case], rounds: int = 12, progress: Callable[[], None] = lambda: None
) -> tuple[list[Measured], list[Ceiling]]:
    """Opens every case, warms each up, and then measures all in turns, so that a busy minute of the machine falls on all of them.

    The ceilings of each number of threads take part in every round.  ``progress`` is called when a case is open and after every round.
    """
    with ExitStack() as stack:
        measured, workers = [], []
        for case in cases:
            worker = stack.enter_context(Worker(f"{case.model} in {case.backend}", prepare_case, case))
            workers.append(worker)
            measured.append(_describe(case, worker.facts))
            progress()
        ceilings = [Ceiling(threads) for threads in sorted({case.threads for case in cases})]
        products = [
            (c, kind, stack.enter_context(Worker("the ceiling", prepare_ceiling, c.threads, kind))) for c in ceilings for kind in KINDS
        ]
        for worker in workers:
            worker.run(WARM_UP, TURN)
        for _ in range(rounds):
            for worker, result in zip(workers, measured, strict=True):
                _add(result, worker)
            for ceiling, kind, worker in products:
                ceiling.add(kind, worker.facts["work"], worker.run(3, TURN))
            progress()
        return measured, ceilings


def _add(result: Measured, worker: Worker) -> None:
    sample = worker.run(RUNS, TURN)
    walls = [s * 1e3 for s in sample.wall]
    result.wall_ms += walls
    result.cpu_ms += [s * 1e3 for s in sample.cpu]
    result.round_medians_ms.append(float(np.median(walls)))
    result.peak = sample.peak


def prepare_case(case: Case) -> tuple[dict[str, Any], Callable[[], object]]:
    """For a Worker: opens the case; facts are its card and the two times, and the call runs one batch."""
    start = time.perf_counter()
    if case.backend in ENGINES:
        with suppress(ImportError):  # the backend itself says what is wrong
            importlib.import_module(ENGINES[case.backend])
    case.path.read_bytes()
    loaded = time.perf_counter()
    backend = open_model(case.path, case.backend, case.threads, case.size)
    built = time.perf_counter()
    image, age = _inputs(backend.card.size, case.batch)
    facts = {"card": backend.card, "load_ms": (loaded - start) * 1e3, "build_ms": (built - loaded) * 1e3}
    return facts, lambda: backend.run(image, age)


def _describe(case: Case, facts: dict[str, Any]) -> Measured:
    card: ModelCard = facts["card"]
    # what is no ONNX file has no graph to count in: its card knows parameters and MACs, and nothing of the memory moved
    cost = graph_cost(case.path) if case.path.suffix == ".onnx" else GraphCost(card.parameters, card.macs, 0, 0)
    return Measured(case, card, cost, facts["load_ms"], facts["build_ms"], case.path.stat().st_size)


def _inputs(size: tuple[int, int], batch: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (batch, 3, *size)).astype(np.float32), np.linspace(5, 80, batch).astype(np.float32)


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p90, p95 and p99 of the values."""
    return {f"p{p}": round(float(np.percentile(values, p)), 4) for p in PERCENTILES}


def latency_dict(result: Measured, ceilings: list[Ceiling]) -> dict[str, Any]:
    """One case as it stands in the JSON report: percentiles in place of the single runs."""
    case, card, cost = result.case, result.card, result.cost
    wall = percentiles(result.wall_ms)
    seconds = wall["p50"] / 1e3
    on_cpu = case.backend != "tensorrt"
    ceiling = next(c.summary() for c in ceilings if c.threads == case.threads)
    by_clock = least_seconds(cost, ceiling["fp32_gflops"], ceiling["int8_gops"]) * case.batch / seconds
    cpu = percentiles(result.cpu_ms)
    by_cpu = least_seconds(cost, ceiling["fp32_gflops_cpu"], ceiling["int8_gops_cpu"]) * case.batch / (cpu["p50"] / 1e3)
    return {
        "model": case.model,
        "backend": case.backend,
        "threads": case.threads,
        "batch": case.batch,
        "size": card.size[0],
        "preset": card.preset,
        "precision": card.precision,
        "parameters": cost.parameters,
        "macs": cost.macs,
        "int8_macs": cost.int8_macs,
        "traffic": cost.traffic,
        "bytes": result.bytes,
        "load_ms": round(result.load_ms, 1),
        "build_ms": round(result.build_ms, 1),
        "peak_mb": round(result.peak / 1e6, 1),
        "wall_ms": wall,
        "cpu_ms": cpu,
        "per_face_ms": wall["p50"] / case.batch,
        "gflops": round(2e-9 * cost.macs * case.batch / seconds, 2),
        "ceiling_share": round(by_clock, 4) if on_cpu else None,
        "ceiling_share_cpu": round(by_cpu, 4) if on_cpu else None,
        "runs": len(result.wall_ms),
        "round_medians_ms": result.round_medians_ms,
    }


def least_seconds(cost: GraphCost, fp32_gflops: float, int8_gops: float) -> float:
    """What one face would take if every product ran at the ceiling of its own precision."""
    return 2e-9 * ((cost.macs - cost.int8_macs) / fp32_gflops + cost.int8_macs / int8_gops)


def latency_report(measured: list[Measured], ceilings: list[Ceiling], machine: dict[str, Any], kind: str = "latency") -> dict[str, Any]:
    """The whole report; ``kind`` is latency or peers."""
    cases = [latency_dict(m, ceilings) for m in measured]
    return {"kind": kind, "machine": machine, "ceilings": [c.summary() for c in ceilings], "cases": cases}
