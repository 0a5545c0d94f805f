"""What this machine can do at all: matrix products in fp32 and int8, and moving memory.  Generators are held against it.

All three run in ONNX Runtime, whose kernels pick this processor's instructions, with the threads that the generators get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..runtime.backends.ort import open_session
from .worker import Sample, timed

SIDES = (512, 1024)  # of the square products: the better one counts, as caches differ
STREAM = 1 << 24  # values of 4 bytes: 64 MiB, beyond the caches
KINDS = ("fp32", "int8", "memory")


@dataclass
class Ceiling:
    """What one number of threads reached in each round, in billions a second by the clock and in billions a second of the processor's time.

    The second hardly knows what else the machine is doing: of a busy machine it is the one to believe.
    """

    threads: int
    wall: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def add(self, kind: str, work: float, sample: Sample) -> None:
        """One round's runs of ``work`` operations or bytes each."""
        self.wall[kind].append(work / float(np.median(sample.wall)) / 1e9)
        self.cpu[kind].append(work / float(np.median(sample.cpu)) / 1e9)

    def summary(self) -> dict[str, float]:
        """Medians over the rounds: like those of the cases, which they are compared with."""
        names = {"fp32_gflops": self.wall["fp32"], "int8_gops": self.wall["int8"], "memory_gbps": self.wall["memory"]}
        names |= {"fp32_gflops_cpu": self.cpu["fp32"], "int8_gops_cpu": self.cpu["int8"]}
        return {"threads": self.threads, **{name: round(float(np.median(rates)), 2) for name, rates in names.items()}}


def prepare_ceiling(threads: int, kind: str) -> tuple[dict[str, Any], Callable[[], object]]:
    """For a Worker: facts with the ``work`` of each session (operations or bytes), and a call that runs the fastest of them.

    ``kind`` is fp32 or int8 (operations: a multiply-accumulate is two) or memory (bytes read and written).
    """
    if kind == "memory":
        run = _session(_stream_model(), threads, {"a": np.ones(STREAM, np.float32)})
        return {"work": 2 * 4 * STREAM}, run
    calls = {side: _session(_product_model(side, kind), threads, {"a": _left(side, kind)}) for side in SIDES}
    side = min(SIDES, key=lambda s: _shortest(calls[s]) / s**3)
    repeats = max(1, (SIDES[-1] // side) ** 3 * (4 if kind == "int8" else 1))  # as long as an inference, or a busy machine flatters it

    def several() -> None:
        for _ in range(repeats):
            calls[side]()

    return {"work": 2 * side**3 * repeats}, several


def _shortest(run: Callable[[], object]) -> float:
    return min(timed(run, 6, 1.0).wall)


def _session(model: bytes, threads: int, inputs: dict[str, NDArray[Any]]) -> Callable[[], object]:
    session = open_session(model, "the ceiling's product", "cpu", threads)
    return lambda: session.run(None, inputs)


def _left(side: int, kind: str) -> NDArray[Any]:
    random = np.random.default_rng(0)
    return random.random((side, side), np.float32) if kind == "fp32" else random.integers(0, 255, (side, side)).astype(np.uint8)


def _product_model(side: int, kind: str) -> bytes:
    """a [S, S] times constant weights [S, S], float32, or uint8 times int8 into int32."""
    random = np.random.default_rng(1)
    if kind == "fp32":
        weights, op, into, out = random.standard_normal((side, side)).astype(np.float32), "MatMul", TensorProto.FLOAT, TensorProto.FLOAT
    else:
        weights, op, into, out = (
            random.integers(-64, 64, (side, side)).astype(np.int8),
            "MatMulInteger",
            TensorProto.UINT8,
            TensorProto.INT32,
        )
    return _model(op, ["a", "b"], into, out, [side, side], [numpy_helper.from_array(weights, "b")])


def _stream_model() -> bytes:
    return _model("Neg", ["a"], TensorProto.FLOAT, TensorProto.FLOAT, [STREAM], [])


def _model(op: str, inputs: list[str], into: int, out: int, shape: list[int], constants: list[onnx.TensorProto]) -> bytes:
    values = [helper.make_tensor_value_info("a", into, shape)], [helper.make_tensor_value_info("c", out, shape)]
    graph = helper.make_graph([helper.make_node(op, inputs, ["c"])], "ceiling", *values, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
