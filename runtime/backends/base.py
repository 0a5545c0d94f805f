"""What every backend is, and the checks that all of them share."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...card import ModelCard
from ...errors import ReagingError

INPUTS, OUTPUTS = ("image", "age"), ("aged", "mask")
Floats = NDArray[Any]  # float32 (OpenCV's type stubs leave the number type open)


class Backend(Protocol):
    """A generator that is ready to run on one device."""

    card: ModelCard
    device: str

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """image [N, 3, S, S] RGB in -1..1 and age [N] in years -> aged [N, 3, S, S] in -1..1 and mask [N, 1, S, S] in 0..1."""
        ...


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_names(where: str, inputs: list[str], outputs: list[str]) -> None:
    """Raises ReagingError unless a generator's inputs and outputs have the names of the contract.

    An optional further input is allowed only where the engine does not list it, so the sets must be equal.
    """
    if set(inputs) != set(INPUTS) or set(outputs) != set(OUTPUTS):
        raise ReagingError(
            f"{where} has inputs {', '.join(inputs)} and outputs {', '.join(outputs)}",
            "inputs image, age and outputs aged, mask",
            "export a generator with reaging-export",
        )


class WrongAnswer(ReagingError):
    """A model that gives other shapes than it promises, or what is no number."""


def warm_up(backend: Backend, where: str) -> None:
    """One face through the network: a model whose shapes lie is refused here, by a WrongAnswer, not in the middle of a video."""
    height, width = backend.card.size
    aged, mask = backend.run(np.zeros((1, 3, height, width), np.float32), np.full(1, 50, np.float32))
    finite = np.isfinite(aged).all() and np.isfinite(mask).all()
    if aged.shape != (1, 3, height, width) or mask.shape != (1, 1, height, width) or not finite:
        raise WrongAnswer(
            f"{where} gives aged {list(aged.shape)} and mask {list(mask.shape)}",
            f"finite values in [1, 3, {height}, {width}] and [1, 1, {height}, {width}]",
            "export the model again with reaging-export --verify",
        )
