"""TensorRT (10, 11) and TensorRT-RTX: runs an engine that reaging-export built, or builds one into the user's cache.

Not yet run on a GPU: written against the names that the three packages share, and tested on stand-ins for TensorRT and pycuda.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...card import ModelCard
from ...errors import ReagingError
from ..cuda.buffers import Buffer, Device
from ..cuda.driver import first_gpu, require_driver
from ..cuda.graphs import Replay, import_bindings
from .base import INPUTS, OUTPUTS, Floats, check_names, warm_up
from .engine_cache import cached_path, usable
from .engines import EngineFacts, check_place, check_source, engine_beside, import_tensorrt, log_of, read_facts, read_plan, rebuild, target


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def at_hand(path: Path) -> bool:
    """Whether an engine of the model is there already, beside it or in the cache: building one takes minutes."""
    if engine_beside(path).is_file():
        return True
    try:
        flavor, trt = import_tensorrt()
        gpu = first_gpu()
        return usable(cached_path(path, flavor, str(trt.__version__), gpu), str(trt.__version__), gpu)
    except ReagingError:
        return False


def _beside(engine: Path) -> tuple[Path, EngineFacts, Any]:
    """An engine that the user built; whatever does not fit is refused before TensorRT sees it."""
    facts = read_facts(engine)
    check_source(facts, engine)
    require_driver()
    _, trt = import_tensorrt(facts.flavor)
    check_place(facts, engine, str(trt.__version__), first_gpu())
    return engine, facts, trt


def _cached(model: Path, says: Callable[[str], None]) -> tuple[Path, EngineFacts, Any]:
    """The engine of this model, TensorRT and GPU from the cache, built where it is not there."""
    require_driver()
    flavor, trt = import_tensorrt()
    gpu, version = first_gpu(), str(trt.__version__)
    engine = cached_path(model, flavor, version, gpu)
    if not usable(engine, version, gpu):
        from ...export.engine import build_engine  # the one import that points this way: an engine is built where it is used

        build_engine(model, engine, flavor=flavor, targets=(target(gpu),), says=says)
    return engine, read_facts(engine), trt


class TensorRT:
    """A generator as an engine; one stream of its own, pinned buffers for the profile's largest batch.

    The attributes are for work that stays on the GPU (cuda/frames.py): ``gpu`` and ``stream``; ``most`` faces at once; ``half``: whether
    pictures are float16 in device memory; ``replay`` records what is queued.
    """

    device = "cuda"

    def __init__(self, path: str | Path, says: Callable[[str], None] = _print):
        """A model without an engine beside it gets one in the user's cache, once; ``says`` takes the builder's lines.

        Raises ReagingError where engine, sidecar, driver, package or GPU do not fit; never another device instead.
        """
        path = Path(path)
        engine = engine_beside(path)
        opened = _beside(engine) if path == engine or engine.is_file() else None
        self.gpu = Device()  # before a build, which takes minutes: pycuda may be missing
        self.engine_path, facts, trt = opened or _cached(path, says)
        self.card, (self._least, _, self.most) = facts.card, facts.batch
        with self.gpu.current():
            self._load(trt, self.engine_path, facts)
        warm_up(self, str(self.engine_path))

    card: ModelCard

    def _load(self, trt: Any, path: Path, facts: EngineFacts) -> None:
        plan, log = read_plan(facts, path), log_of(trt)
        log.lines.clear()
        self._runtime = trt.Runtime(log)
        self._engine: Any = self._runtime.deserialize_cuda_engine(plan) if self._runtime is not None else None
        if self._engine is None:
            said = " | ".join(list(log.lines)[-2:]) or "nothing in its log"
            raise ReagingError(f"{path} cannot be loaded ({said})", "an engine for this GPU and TensorRT", rebuild(path, facts))
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        inputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        check_names(str(path), inputs, [n for n in names if n not in inputs])
        self.stream = self.gpu.cuda.Stream()
        self.replay = Replay(self.stream, import_bindings())
        self._contexts: dict[int, Any] = {}
        self._buffers = {}
        for name in names:
            shape = (self.most, *tuple(self._engine.get_tensor_shape(name))[1:])
            self._buffers[name] = Buffer(self.gpu.cuda, shape, trt.nptype(self._engine.get_tensor_dtype(name)))
        kinds = {self._buffers[name].host.dtype for name in ("image", *OUTPUTS)}
        if len(kinds) != 1 or not kinds <= {np.dtype(np.float16), np.dtype(np.float32)} or self._buffers["age"].host.dtype != np.float32:
            raise ReagingError(f"{path} has pictures in other types", "float32 or float16 for all", "export the model with reaging-export")
        self.half = kinds == {np.dtype(np.float16)}

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run; more faces than the profile allows run in several batches."""
        starts = range(0, len(image), self.most)
        with self.gpu.current():
            parts = [self._run(image[i : i + self.most], age[i : i + self.most]) for i in starts]
        aged, mask = zip(*parts, strict=True)
        return np.concatenate(aged), np.concatenate(mask)

    def _run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        count = len(image)
        for name, values in zip(INPUTS, (image, age), strict=True):
            self._buffers[name].host[:count] = values
        self.replay(("run", count), lambda: self._step(count))
        self.stream.synchronize()
        aged, mask = (self._buffers[name].host[:count].astype(np.float32) for name in OUTPUTS)
        return aged, mask  # copies: the pinned memory is used again

    def _step(self, count: int) -> None:
        for name in INPUTS:
            self._buffers[name].upload(count, self.stream)
        self.enqueue(count)
        for name in OUTPUTS:
            self._buffers[name].download(count, self.stream)

    def addresses(self, count: int) -> dict[str, int]:
        """Device addresses of image, age, aged and mask for ``count`` faces, at most ``most``; always the same ones."""
        return {name: buffer.address for name, buffer in self._buffers.items()}

    def enqueue(self, count: int) -> None:
        """Queues the network on what lies at ``addresses``; the context must be current."""
        if not self._context(count).execute_async_v3(self.stream.handle):
            raise RuntimeError("TensorRT refused to run the engine")

    def _context(self, count: int) -> Any:
        """One context for each number of faces: a recorded graph stays valid only while its context is left as it is."""
        if count in self._contexts:
            return self._contexts[count]
        context = self._engine.create_execution_context()
        if context is None:
            raise RuntimeError("TensorRT makes no execution context (out of memory?)")
        done = [context.set_optimization_profile_async(0, self.stream.handle)]
        done += [context.set_tensor_address(name, buffer.address) for name, buffer in self._buffers.items()]
        faces = max(count, self._least)  # a profile may begin above one face: the rest of the batch is what lies there
        done += [context.set_input_shape(name, (faces, *self._buffers[name].host.shape[1:])) for name in INPUTS]
        if not all(done):
            raise RuntimeError(f"TensorRT refused {faces} faces")
        self._contexts[count] = context
        return context
