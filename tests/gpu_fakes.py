"""Stand-ins for a GPU: driver, pycuda, cuda-bindings and TensorRT on this machine's memory, as strict about order as the real ones.

What is queued on a stream happens when the stream is synchronized, not before; host memory that is not pinned, a call without a current
context or a copy beyond an allocation fails.  Networks run in ONNX Runtime on the CPU, kernels are the real ones compiled by g++.
"""

from __future__ import annotations

import atexit
import ctypes
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

KERNELS = Path(__file__).parents[1] / "runtime" / "cuda"
CUBIN = b"\x7fELF faces_to_input changes_to_average changes_to_worn worn_to_frame "  # as far as the fake looks at it
LIBCUDA = """
#include <string.h>
extern "C" {
int cuInit(unsigned) { return 0; }
int cuDeviceGet(int *device, int) { *device = 0; return 0; }
int cuDeviceGetName(char *name, int, int) { strcpy(name, "Fake GPU 8000"); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int) { *value = attribute == 75 ? 8 : 9; return 0; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned) { strcpy(text, "580.1"); return 0; }
}
"""
LAUNCHES = """
struct Dim { int x, y, z; };
static Dim blockIdx, blockDim, threadIdx;
#define __global__
#include "kernels.cu"
#define LAUNCH(call) \\
  for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z) for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y) \\
    for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x) for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y) \\
      for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x) call;
static void set(const int *block) { blockDim.x = block[0]; blockDim.y = block[1]; blockDim.z = block[2]; }
extern "C" {
void launch_faces_to_input(const int *grid, const int *block, const unsigned char *frame, int height, int width, const float *faces,
                           int size, void *image, int half, float *age) {
  set(block);
  LAUNCH(faces_to_input(frame, height, width, faces, size, image, half, age))
}
void launch_changes_to_average(const int *grid, const int *block, const void *image, const void *aged, const void *mask, int half,
                               const float *faces, int size, float *kept) {
  set(block);
  LAUNCH(changes_to_average(image, aged, mask, half, faces, size, kept))
}
void launch_changes_to_worn(const int *grid, const int *block, const void *image, const void *aged, const void *mask, int half,
                            const float *faces, int size, float *kept) {
  set(block);
  LAUNCH(changes_to_worn(image, aged, mask, half, faces, size, kept))
}
void launch_worn_to_frame(const int *grid, const int *block, unsigned char *frame, int height, int width, const float *faces, int count,
                          const float *kept, int size) {
  set(block);
  LAUNCH(worn_to_frame(frame, height, width, faces, count, kept, size))
}
unsigned short to_half(float value) { return reaging_to_half(value); }
float from_half(unsigned short half) { return reaging_from_half(half); }
}
"""


@cache
def compiled(source: str) -> Path:
    """A shared library of C++, made once for all tests; skips the test without g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    folder = Path(tempfile.mkdtemp(prefix="reaging-fakes-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    text, library = folder / "fake.cpp", folder / "fake.so"
    text.write_text(source)
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{KERNELS}"]
    subprocess.run([compiler, *flags, str(text), "-o", str(library)], check=True)
    return library


class Stream:
    """A queue; ``recorded`` takes what is queued meanwhile, where it is being captured."""

    every: ClassVar[dict[int, Stream]] = {}

    def __init__(self) -> None:
        self.handle, self.queue, self.recorded = 1000 + len(Stream.every), [], None
        Stream.every[self.handle] = self
        self.synchronized = 0

    def add(self, work: Callable[[], None]) -> None:
        (self.queue if self.recorded is None else self.recorded).append(work)

    def synchronize(self) -> None:
        assert self.recorded is None, "a stream that is captured cannot be waited for"
        self.synchronized += 1
        while self.queue:
            self.queue.pop(0)()


class Allocation:
    def __init__(self, size: int):
        self.array = np.full(size, 0xFF, np.uint8)  # no numbers: what is read before it is written shows

    def __int__(self) -> int:
        return self.array.ctypes.data


class FakeCuda(ModuleType):
    """pycuda.driver, as far as it is used."""

    class Error(Exception):
        pass

    Stream = Stream

    class Event:
        """Its time is that of the queue, which is not the GPU's: enough to be called."""

        def record(self, stream: Stream) -> None:
            self.stream, self.time = stream, 0.0
            stream.add(self._set)

        def _set(self) -> None:
            self.time = time.perf_counter()

        def synchronize(self) -> None:
            self.stream.synchronize()

        def time_till(self, other: FakeCuda.Event) -> float:
            return (other.time - self.time) * 1e3

    def __init__(self, host: ctypes.CDLL):
        super().__init__("pycuda.driver")
        self.host, self.log = host, []  # what was called, in order
        self.allocations, self.pinned = [], []
        self.contexts = threading.local()

    def init(self) -> None:
        self.log.append("init")

    def Device(self, number: int) -> Any:
        assert number == 0
        return SimpleNamespace(retain_primary_context=self._context)

    def _context(self) -> Any:
        self.log.append("retain_primary_context")
        return SimpleNamespace(push=lambda: self._depth(1), pop=lambda: self._depth(-1))

    def _depth(self, change: int) -> None:
        self.contexts.depth = getattr(self.contexts, "depth", 0) + change

    def _here(self, name: str) -> None:
        assert getattr(self.contexts, "depth", 0) > 0, f"{name} without a current context"
        self.log.append(name)

    def mem_alloc(self, size: int) -> Allocation:
        self._here("mem_alloc")
        self.allocations.append(Allocation(size))
        return self.allocations[-1]

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        self._here("pagelocked_empty")
        self.pinned.append(np.zeros(shape, dtype))
        return self.pinned[-1]

    def _device(self, address: int, size: int) -> int:
        for one in self.allocations:
            if int(one) <= address and address + size <= int(one) + one.array.nbytes:
                return address
        raise AssertionError(f"{size} bytes at {address:x} are no device memory")

    def _pinned(self, array: np.ndarray) -> int:
        start, size = array.ctypes.data, array.nbytes
        assert any(p.ctypes.data <= start and start + size <= p.ctypes.data + p.nbytes for p in self.pinned), "not pinned"
        assert array.flags.c_contiguous
        return start

    def _copy(self, to: int, source: int, size: int, stream: Stream) -> None:
        stream.add(lambda: ctypes.memmove(to, source, size))

    def memcpy_htod_async(self, to: Any, array: np.ndarray, stream: Stream) -> None:
        self._here("htod")
        self._copy(self._device(int(to), array.nbytes), self._pinned(array), array.nbytes, stream)

    def memcpy_dtoh_async(self, array: np.ndarray, source: Any, stream: Stream) -> None:
        self._here("dtoh")
        self._copy(self._pinned(array), self._device(int(source), array.nbytes), array.nbytes, stream)

    def memcpy_dtod_async(self, to: Any, source: Any, size: int, stream: Stream) -> None:
        self._here("dtod")
        self._copy(self._device(int(to), size), self._device(int(source), size), size, stream)

    def module_from_buffer(self, code: bytes) -> Any:
        self._here("module")
        assert code[:4] == b"\x7fELF" or b".version" in code[:2000], "neither a cubin nor PTX"
        return SimpleNamespace(get_function=lambda name: _Kernel(self, code, name))


class _Kernel:
    def __init__(self, cuda: FakeCuda, code: bytes, name: str):
        assert name.encode() in code, f"the code has no kernel {name}"
        self.cuda, self.name, self.types = cuda, name, ""

    def prepare(self, types: str) -> _Kernel:
        self.types = types
        return self

    def prepared_async_call(self, grid: tuple[int, ...], block: tuple[int, ...], stream: Stream, *args: int) -> None:
        self.cuda._here(self.name)
        assert len(args) == len(self.types) and all(isinstance(a, int) for a in args)
        sizes = [(ctypes.c_int * 3)(*values) for values in (grid, block)]
        values = [ctypes.c_void_p(a) if kind == "P" else ctypes.c_int(a) for kind, a in zip(self.types, args, strict=True)]
        stream.add(lambda: getattr(self.cuda.host, f"launch_{self.name}")(*sizes, *values))


def bindings() -> Any:
    """cuda.bindings.driver, as far as it is used."""

    def begin(handle: int, mode: str) -> tuple[int]:
        assert mode == "thread local" and Stream.every[handle].recorded is None
        Stream.every[handle].recorded = []
        return (0,)

    def end(handle: int) -> tuple[int, Any]:
        stream = Stream.every[handle]
        work, stream.recorded = stream.recorded, None
        return 0, work

    def launch(graph: list[Any], handle: int) -> tuple[int]:
        Stream.every[handle].queue.extend(graph)
        return (0,)

    return SimpleNamespace(
        CUstream=int,
        CUstreamCaptureMode=SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL="thread local"),
        cuStreamBeginCapture=begin,
        cuStreamEndCapture=end,
        cuGraphInstantiate=lambda graph, flags: (0, list(graph)),
        cuGraphLaunch=launch,
        cuGraphDestroy=lambda graph: (0,),
        cuGraphExecDestroy=lambda graph: (0,),
    )


class _Context:
    def __init__(self, engine: _Engine):
        self.engine, self.shapes, self.addresses, self.profile = engine, {}, {}, None

    def set_optimization_profile_async(self, index: int, handle: int) -> bool:
        self.profile = index
        return index == 0 and handle in Stream.every

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return self.engine.low <= shape[0] <= self.engine.high

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert name not in self.addresses, "addresses are set once"
        self.addresses[name] = address
        return True

    def execute_async_v3(self, handle: int) -> bool:
        assert self.profile == 0 and len(self.addresses) == 4 and self.shapes["image"][0] == self.shapes["age"][0]
        Stream.every[handle].add(self._run)
        return not self.engine.refuses

    def _array(self, name: str) -> np.ndarray:
        shape = (self.shapes["image"][0], *self.engine.get_tensor_shape(name)[1:])
        kind = np.dtype(self.engine.get_tensor_dtype(name))
        size = int(np.prod(shape)) * kind.itemsize
        return np.frombuffer((ctypes.c_char * size).from_address(self.addresses[name]), kind).reshape(shape)

    def _run(self) -> None:
        inputs = {name: self._array(name).astype(np.float32) for name in ("image", "age")}
        for name, values in zip(("aged", "mask"), self.engine.session.run(["aged", "mask"], inputs), strict=True):
            self._array(name)[...] = values


class _Engine:
    """What FakeTensorRT's builder writes: a line with its profile, and the ONNX."""

    def __init__(self, plan: bytes):
        import onnxruntime

        head, _, model = plan.partition(b"\n")
        _, low, high, half = head.decode().split()
        self.low, self.high, self.half, self.refuses = int(low), int(high), half == "half", False
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.shapes = {v.name: (-1, *v.shape[1:]) for v in [*self.session.get_inputs(), *self.session.get_outputs()]}
        self.num_io_tensors, self.contexts = len(self.shapes), []

    def get_tensor_name(self, i: int) -> str:
        return list(self.shapes)[i]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name in ("image", "age") else "out"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def get_tensor_dtype(self, name: str) -> type:
        return np.float16 if self.half and name != "age" else np.float32

    def create_execution_context(self) -> _Context:
        self.contexts.append(_Context(self))
        return self.contexts[-1]


class FakeTensorRT(ModuleType):
    """Full TensorRT 11: builder and runtime.  ``builds`` counts; ``fails`` makes a step return None, as the real ones do."""

    __version__ = "11.4.0.106"
    TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)

    class ILogger:
        ERROR, WARNING, INFO = 1, 2, 3

    class IProgressMonitor:
        pass

    def __init__(self) -> None:
        super().__init__("tensorrt_fake")
        self.builds, self.fails, self.half, self.timings, self.slow_s = 0, "", False, [], 0.0
        self.engines: list[_Engine] = []
        self.seen: dict[str, Any] = {}

    def nptype(self, kind: type) -> type:
        return kind

    def Runtime(self, logger: Any) -> Any:
        return SimpleNamespace(deserialize_cuda_engine=self._load)

    def _load(self, plan: bytes) -> _Engine | None:
        if not plan.startswith(b"fake "):
            return None
        self.engines.append(_Engine(plan))
        return self.engines[-1]

    def Builder(self, log: Any) -> Any:
        def network(flags: int) -> Any:
            assert flags == 2, "strongly typed"
            return None if self.fails == "network" else SimpleNamespace(num_inputs=2, get_input=self._input)

        return SimpleNamespace(
            create_network=network,
            create_builder_config=lambda: None if self.fails == "config" else self._config(log),
            create_optimization_profile=lambda: None if self.fails == "profile" else _Profile(),
            build_serialized_network=lambda network, config: self._build(config, log),
        )

    def _input(self, i: int) -> Any:
        return SimpleNamespace(name=("image", "age")[i], shape=((-1, 3, 64, 64), (-1,))[i])

    def OnnxParser(self, network: Any, log: Any) -> Any:
        def parse(data: bytes) -> bool:
            self.model = data
            return self.fails != "parse"

        return SimpleNamespace(parse=parse, num_errors=1, get_error=lambda i: SimpleNamespace(desc=lambda: "no such operator"))

    def _config(self, log: Any) -> Any:
        class Config(SimpleNamespace):
            def __setattr__(config, name: str, value: Any) -> None:
                self.seen[name] = value
                super().__setattr__(name, value)

        def create(data: bytes) -> Any:
            return SimpleNamespace(data=data)

        def attach(cache: Any, mismatch: bool) -> bool:
            assert mismatch is False
            self.timings.append(cache.data)
            return cache.data in (b"", b"timings")

        config = Config()
        config.create_timing_cache, config.set_timing_cache = create, attach
        config.get_timing_cache = lambda: SimpleNamespace(serialize=lambda: b"timings")
        config.add_optimization_profile = lambda profile: self.seen.update(profile=profile.shapes) or (-1 if self.fails == "batch" else 0)
        config.set_memory_pool_limit = lambda pool, size: self.seen.update({pool: size})
        return config

    def _build(self, config: Any, log: Any) -> bytes | None:
        self.builds += 1
        monitor = config.progress_monitor
        monitor.phase_start("Timing kernels", None, 10)
        for step in range(10):
            time.sleep(self.slow_s / 10)
            if not monitor.step_complete("Timing kernels", step):
                log.log(1, "Build canceled by user")
                return None
        monitor.phase_finish("Timing kernels")
        if self.fails == "build":
            log.log(1, "no kernel for node 7")
            return None
        low, _, high = self.seen["profile"]["image"]
        return f"fake {low[0]} {high[0]} {'half' if self.half else 'single'}\n".encode() + self.model


class _Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.shapes[name] = shapes


@contextmanager
def fake_gpu(monkeypatch: pytest.MonkeyPatch, folder: Path, graphs: bool = True) -> Iterator[tuple[FakeCuda, FakeTensorRT]]:
    """A machine with a GPU of compute capability 8.9, pycuda and full TensorRT; caches go into ``folder``."""
    from reaging.runtime.cuda import driver

    library = str(compiled(LIBCUDA))
    monkeypatch.setattr(driver, "LIBRARY", library)
    monkeypatch.setattr(driver, "MANAGEMENT", library)
    monkeypatch.setenv("REAGING_CACHE", str(folder / "cache"))
    cuda, trt = FakeCuda(ctypes.CDLL(str(compiled(LAUNCHES)))), FakeTensorRT()
    package = ModuleType("pycuda")
    package.driver = cuda  # type: ignore[attr-defined]
    for name, module in {"pycuda": package, "pycuda.driver": cuda, "tensorrt": trt}.items():
        monkeypatch.setitem(sys.modules, name, module)
    fake = ModuleType("cuda.bindings")
    fake.driver = bindings()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", fake if graphs else None)
    driver.driver_error.cache_clear()
    try:
        yield cuda, trt
    finally:
        driver.driver_error.cache_clear()


def printed() -> tuple[list[str], Callable[[str], None]]:
    """A list, and what fills it."""
    lines: list[str] = []
    return lines, lines.append


__all__ = ["CUBIN", "LAUNCHES", "FakeCuda", "FakeTensorRT", "Stream", "compiled", "fake_gpu", "printed"]
