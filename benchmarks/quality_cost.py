"""What a generator costs, for the quality report; ``reaging-bench latency`` measures it properly."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .graph_cost import graph_macs
from .models import open_model

THREADS = (1, 2)
ROUNDS = 30


@dataclass(frozen=True)
class Cost:
    """Of one face; milliseconds are the median in ONNX Runtime on the CPU with THREADS threads, taken in turns."""

    parameters: int
    macs: int
    bytes: int
    milliseconds: tuple[float, ...]


def model_cost(path: str | Path) -> Cost:
    """The cost of an ONNX file of ours; raises ReagingError where it is none."""
    backends = [open_model(path, "ort", threads) for threads in THREADS]
    card = backends[0].card
    image, age = np.zeros((1, 3, *card.size), np.float32), np.full(1, 40, np.float32)
    seconds: list[list[float]] = [[] for _ in backends]
    for _ in range(ROUNDS):
        for backend, times in zip(backends, seconds, strict=True):
            start = time.perf_counter()
            backend.run(image, age)
            times.append(time.perf_counter() - start)
    medians = tuple(float(np.median(times)) * 1000 for times in seconds)
    return Cost(card.parameters, graph_macs(path), Path(path).stat().st_size, medians)
