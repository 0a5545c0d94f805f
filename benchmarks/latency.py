"""How long a generator takes: models x backends x threads x batches, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ReagingError
from ..runtime.backends.base import Backend
from .models import NAMES, is_checkpoint, open_model
from .report import markdown_table

PERCENTILES = (50, 90, 95, 99)
RUNS = 5  # inferences of one case in a row: enough to be warm, few enough that all cases see the same minutes


@dataclass(frozen=True)
class Case:
    """One thing to measure."""

    model: Path
    backend: str
    threads: int
    batch: int


@dataclass
class Measured:
    """What was measured of one case; times in milliseconds per run of the whole batch."""

    case: Case
    load_ms: float
    preset: str
    size: int
    precision: str
    parameters: int
    macs: int  # of one face
    bytes: int
    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    round_medians_ms: list[float] = field(default_factory=list)


def make_cases(models: Iterable[Path], backends: Iterable[str], threads: Iterable[int], batches: Iterable[int]) -> list[Case]:
    """Every combination that can be: checkpoints in torch, ONNX files in the others.

    Raises ReagingError where a model fits none of the backends or a number makes no sense.
    """
    backends, threads, batches = list(backends), list(threads), list(batches)
    unknown = set(backends) - set(NAMES)
    if unknown:
        raise ReagingError(f"there is no backend {', '.join(sorted(unknown))}", f"some of {', '.join(NAMES)}", "correct --backend")
    if min([*threads, *batches], default=0) < 1:
        raise ReagingError("threads or batch is below 1", "whole numbers from 1", "correct --threads, --batch")
    cases = []
    for model in models:
        fitting = [b for b in backends if (b == "torch") == is_checkpoint(model)]
        if not fitting:
            raise ReagingError(
                f"{model} fits none of {', '.join(backends)}",
                "ort or openvino for .onnx files, torch for checkpoints",
                "name one with --backend",
            )
        cases += [Case(model, b, t, n) for b, t, n in product(fitting, threads, batches)]
    return cases


def measure_latency(cases: list[Case], rounds: int = 12, progress: Callable[[int], None] = lambda done: None) -> list[Measured]:
    """Opens every case, warms each up, and then measures them in turns, so that a busy minute of the machine falls on all of them."""
    backends, results = [], []
    for case in cases:
        start = time.perf_counter()
        backend = open_model(case.model, case.backend, case.threads)
        backends.append(backend)
        results.append(_describe(case, backend, (time.perf_counter() - start) * 1e3))
    inputs = [_inputs(r.size, r.case.batch) for r in results]
    for backend, given in zip(backends, inputs, strict=True):
        for _ in range(2):
            backend.run(*given)
    for done in range(rounds):
        for backend, given, result in zip(backends, inputs, results, strict=True):
            _measure_round(backend, given, result)
        progress(done + 1)
    return results


def _measure_round(backend: Backend, inputs: tuple[Any, Any], result: Measured) -> None:
    walls = []
    for _ in range(RUNS):
        cpu, wall = time.process_time(), time.perf_counter()
        backend.run(*inputs)
        walls.append((time.perf_counter() - wall) * 1e3)
        result.cpu_ms.append((time.process_time() - cpu) * 1e3)
    result.wall_ms += walls
    result.round_medians_ms.append(float(np.median(walls)))


def _describe(case: Case, backend: Backend, load_ms: float) -> Measured:
    card = backend.card
    if is_checkpoint(case.model):
        macs = card.macs
    else:
        from .graph_cost import graph_macs

        macs = graph_macs(case.model)
    return Measured(case, load_ms, card.preset, card.size[0], card.precision, card.parameters, macs, case.model.stat().st_size)


def _inputs(size: int, batch: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (batch, 3, size, size)).astype(np.float32), np.linspace(5, 80, batch).astype(np.float32)


def latency_dict(result: Measured) -> dict[str, Any]:
    """One case as it stands in the JSON report: percentiles in place of the single runs."""
    fields = asdict(result)
    case = fields.pop("case")
    quantiles = {f"{name}_ms": percentiles(fields.pop(f"{name}_ms")) for name in ("wall", "cpu")}
    runs = {"runs": len(result.wall_ms), "per_face_ms": quantiles["wall_ms"]["p50"] / result.case.batch}
    return {**case, "model": result.case.model.name, **fields, **quantiles, **runs}


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p90, p95 and p99 of the values."""
    return {f"p{p}": round(float(np.percentile(values, p)), 4) for p in PERCENTILES}


def latency_markdown(cases: list[dict[str, Any]]) -> str:
    """The report's cases as a table."""
    head = [
        "model",
        "backend",
        "threads",
        "batch",
        "p50 ms",
        "p90",
        "p95",
        "p99",
        "CPU ms",
        "ms a face",
        "load ms",
        "MB",
        "M params",
        "GMAC",
    ]
    rows = []
    for c in cases:
        wall = [f"{c['wall_ms'][f'p{p}']:.2f}" for p in PERCENTILES]
        rest = [f"{c['cpu_ms']['p50']:.2f}", f"{c['per_face_ms']:.2f}", f"{c['load_ms']:.0f}", f"{c['bytes'] / 1e6:.2f}"]
        cost = [f"{c['parameters'] / 1e6:.2f}", f"{c['macs'] / 1e9:.3f}"]
        rows.append([c["model"], c["backend"], str(c["threads"]), str(c["batch"]), *wall, *rest, *cost])
    return markdown_table(head, rows)
