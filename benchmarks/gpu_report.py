"""Everything worth knowing of a GPU in one run: python -m reaging.benchmarks.gpu_report --out gpu-report

Steps in order of worth, each for itself: one that fails or lacks its package is named and the rest goes on; the report (JSON and Markdown)
is written anew after every step.  Without a GPU it measures PyTorch on the CPU and names what is absent.
"""

from __future__ import annotations

import importlib
import itertools
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..card import ModelCard
from ..command import Command
from ..errors import ReagingError
from ..files import write_text
from ..runtime.backends.base import Floats
from ..runtime.cuda.driver import driver_error, first_gpu
from .gpu_parity import Trembling, kernels
from .gpu_targets import LARGE, MODEL, targets
from .report import fingerprint, markdown_table, write_json

if TYPE_CHECKING:
    from ..runtime.cuda.frames import GpuFrames

ENGINES = ("onnxruntime cuda", "tensorrt")
FRAMES = {"720p": (720, 1280), "1080p": (1080, 1920)}
WARM_UP = 10
BRING = {
    "pycuda": "no wheel exists: pip download --no-binary pycuda pycuda pytools siphash24 mako platformdirs elsewhere, carry the files, and "
    "there: CUDA_ROOT=/usr/local/cuda PATH=$CUDA_ROOT/bin:$PATH pip install --no-index --find-links FOLDER pycuda (2 to 6 minutes)",
    "tensorrt": "from NVIDIA's package index (docs/gpu.md); tensorrt-rtx has no target for Hopper",
    "onnxruntime": "pip install onnxruntime-gpu in place of onnxruntime (256 MB: split, carry, cat)",
    "cuda.bindings": "pip install cuda-bindings",
}


@dataclass
class Work:
    """What the steps share: the settings, what they found, and what is missing."""

    out: Path
    weights: Path
    batches: list[int]
    runs: int
    results: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    frame_backends: dict[str, Any] = field(default_factory=dict)  # of MODEL, by name: what whole frames are measured with

    @property
    def gpu(self) -> bool:
        return driver_error() is None


def percentiles(times_ms: list[float]) -> dict[str, float]:
    """p50, p95, p99 and how many there were."""
    p50, p95, p99 = (float(v) for v in np.percentile(times_ms, (50, 95, 99)))
    return {"p50": p50, "p95": p95, "p99": p99, "runs": len(times_ms)}


def host_times(work: Callable[[], object], runs: int) -> dict[str, float]:
    """By the host's clock: for what waits for its result."""
    times = []
    for i in range(runs + WARM_UP):
        start = time.perf_counter()
        work()
        if i >= WARM_UP:
            times.append((time.perf_counter() - start) * 1e3)
    return percentiles(times)


def event_times(work: Callable[[], object], runs: int, event: Callable[[], Any], record: Callable[[Any], object]) -> dict[str, float]:
    """By CUDA events around what is queued; ``event`` makes one (torch's or pycuda's), ``record`` queues it."""
    times = []
    for i in range(runs + WARM_UP):
        before, after = event(), event()
        record(before)
        work()
        record(after)
        after.synchronize()
        if i >= WARM_UP:
            times.append(before.elapsed_time(after) if hasattr(before, "elapsed_time") else before.time_till(after))
    return percentiles(times)


def machine(work: Work) -> dict[str, Any]:
    """The machine, and which packages are here."""
    versions = {}
    for name in ("torch", "pycuda", "tensorrt", "tensorrt_rtx", "onnxruntime", "cuda.bindings", "cupy", "triton", "onnx", "onnxscript"):
        try:
            versions[name] = str(getattr(importlib.import_module(name), "__version__", "here"))
        except Exception as error:  # a package may break in any way while it is imported
            work.absent[name] = f"{type(error).__name__}: {str(error)[:120]}" + (f"; {BRING[name]}" if name in BRING else "")
    reason = driver_error()
    if reason:
        work.absent["gpu"] = reason
        return {"machine": fingerprint(), "packages": versions}
    gpu = first_gpu()
    return {"machine": fingerprint(), "packages": versions, "gpu": gpu.name, "compute capability": gpu.capability, "driver": gpu.driver}


def copies(work: Work) -> dict[str, Any]:
    """pycuda's context, and a frame's way to the GPU and back in pinned memory."""
    from ..runtime.cuda.buffers import Buffer, Device

    device, table = Device(), {}
    with device.current():
        stream = device.cuda.Stream()
        for name, (height, width) in FRAMES.items():
            buffer = Buffer(device.cuda, (height, width, 3), np.uint8)
            sent = np.random.default_rng(0).integers(0, 256, buffer.host.shape, np.uint8)
            buffer.host[...] = sent
            for way, queue in {"up": buffer.upload, "down": buffer.download}.items():
                times = event_times(partial(queue, height, stream), work.runs, device.cuda.Event, lambda e: e.record(stream))
                table[f"{name} {way}"] = {**times, "GB/s": buffer.host.nbytes / times["p50"] / 1e6}
            stream.synchronize()
            if not np.array_equal(buffer.host, sent):
                raise RuntimeError("a frame came back changed")
    return {"ms": table}


def _inputs(size: int, count: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng(count)
    return random.uniform(-1, 1, (count, 3, size, size)).astype(np.float32), random.uniform(0, 100, count).astype(np.float32)


def _generator(work: Work, preset: str) -> tuple[Any, ModelCard]:
    """The trained one where its weights are here, else the preset with random weights: as fast."""
    import torch

    from ..nets import build_generator
    from ..presets import PRESETS
    from ..training.checkpoint import generator_from_checkpoint

    torch.manual_seed(0)
    path = work.weights / f"{preset}.pt"
    network = generator_from_checkpoint(path)[0] if path.is_file() else build_generator(PRESETS[preset])
    side = PRESETS[preset].size
    return network.float().eval(), ModelCard("generator", preset, (side, side), note="trained" if path.is_file() else "random weights")


def torch_rivals(work: Work, preset: str) -> dict[str, Any]:
    """PyTorch: eager in float32 (the reference), and on a GPU eager, compiled and graph in float16 with channels last."""
    import torch

    from .gpu_rivals import AsGenerator, TorchGraph, TorchModel

    network, card = _generator(work, preset)
    device = "cuda" if work.gpu and torch.cuda.is_available() else "cpu"
    if work.gpu and device == "cpu":
        work.absent["torch on CUDA"] = "this PyTorch has no CUDA"
    single = AsGenerator(network, torch.float32, torch.contiguous_format, device)
    rivals: dict[str, Callable[[int], Any]] = {"torch eager fp32": lambda n: TorchModel(single, card, device)}
    if device == "cuda":
        half = AsGenerator(network, torch.float16, torch.channels_last, device)
        compiled = torch.compile(half, mode="max-autotune-no-cudagraphs")
        rivals |= {
            "torch eager fp16": lambda n: TorchModel(half, card, device),
            "torch CUDA graph fp16": lambda n: TorchGraph(half, card, n),
            "torch.compile fp16": lambda n: TorchModel(compiled, card, device),
            "torch.compile CUDA graph fp16": lambda n: TorchGraph(compiled, card, n),
        }
    table: dict[str, Any] = {}
    for name, make in rivals.items():
        table[name] = _attempt(partial(_measure_torch, work, make, single, card, device))
        work.results.setdefault(f"torch {preset}", {})["ms"] = table
        write(work)
        if name == "torch CUDA graph fp16" and preset == MODEL and "error" not in table[name]:
            work.frame_backends["torch CUDA graph fp16"] = make(1)
    if device == "cpu" and preset == MODEL:
        work.frame_backends["torch eager fp32 on the CPU"] = rivals["torch eager fp32"](1)
    return {"ms": table, "weights": card.note, "device": device}


def _measure_torch(work: Work, make: Callable[[int], Any], reference: Any, card: ModelCard, device: str) -> dict[str, Any]:
    import torch

    rows: dict[str, Any] = {}
    for count in work.batches:
        model = make(count)
        image, age = _inputs(card.size[0], count)
        with torch.inference_mode():
            want = reference(torch.from_numpy(image).to(device), torch.from_numpy(age).to(device))
        rows[str(count)] = {"parity": parity(model.run(image, age), [t.cpu().numpy() for t in want])}
        queue = model.on_device(count)
        if device == "cuda":
            times = event_times(queue, work.runs, lambda: torch.cuda.Event(enable_timing=True), lambda e: e.record())
        else:
            times = host_times(queue, work.runs)
        rows[str(count)] |= {"network": times, "host to host": host_times(partial(model.run, image, age), work.runs)}
    return rows


def parity(got: Any, want: Any) -> dict[str, float]:
    """Largest difference of either output, and PSNR of aged (peak to peak 2)."""
    square = float(np.mean(np.square(got[0] - want[0], dtype=np.float64)))
    return {
        "largest": max(float(np.abs(a - b).max()) for a, b in zip(got, want, strict=True)),
        "psnr": min(999.0, 10 * float(np.log10(4 / max(square, 1e-300)))),
    }


def large_model(work: Work) -> Path:
    """LARGE as an FP16 ONNX file in the report's folder, where it is not there yet: with random weights it is as fast as trained."""
    from ..export.fp16 import export_fp16
    from ..export.verify import random_inputs

    path = work.out / f"{LARGE}-fp16.onnx"
    if not path.is_file():
        network, card = _generator(work, LARGE)
        export_fp16(network, card, path, inputs=random_inputs(card.size[0], np.array([50.0])))
    return path


def backend(work: Work, name: str, model: Callable[[], Path]) -> dict[str, Any]:
    """ONNX Runtime on CUDA, or TensorRT: latency of network and run, parity with ONNX Runtime on the CPU."""
    from ..runtime.backends.ort import OnnxRuntime

    path = model()
    opened = _open(work, name, path)
    title, rows = f"{name} {opened.card.preset} {opened.card.precision}", dict[str, Any]()
    reference = OnnxRuntime(path)
    for count in work.batches:
        image, age = _inputs(opened.card.size[0], count)
        row: dict[str, Any] = {"parity": parity(opened.run(image, age), reference.run(image, age))}
        row["host to host"] = host_times(partial(opened.run, image, age), work.runs)
        row["network"] = _network_times(work, opened, count)
        rows[str(count)] = row
    if opened.card.preset != LARGE:
        work.frame_backends[title] = opened
    return {"ms": {title: rows}, "weights": opened.card.note or "trained"}


def _open(work: Work, name: str, path: Path) -> Any:
    """For all the batches; TensorRT's engine is tuned for one face, as the live filter's is."""
    most = max(work.batches)
    if name == "onnxruntime cuda":
        from ..runtime.backends.ort_cuda import OnnxRuntimeCuda

        return OnnxRuntimeCuda(path, most=most)
    from ..export.engine import build_engine
    from ..runtime.backends.engines import engine_beside, target
    from ..runtime.backends.tensorrt import TensorRT

    engine = engine_beside(work.out / path.name)
    build_engine(path, engine, (1, 1, most), targets=(target(first_gpu()),), says=lambda line: click.echo(line, err=True))
    return TensorRT(engine)


def _network_times(work: Work, opened: Any, count: int) -> dict[str, float]:
    if not hasattr(opened, "stream"):  # waits for itself
        return host_times(lambda: opened.enqueue(count), work.runs)
    with opened.gpu.current():
        return event_times(lambda: opened.enqueue(count), work.runs, opened.gpu.cuda.Event, lambda e: e.record(opened.stream))


def frames(work: Work) -> dict[str, Any]:
    """A frame from host memory to host memory, calmed, with one face that moves; finding and following it are left out."""
    from ..runtime.cuda.frames import GpuFrames

    table: dict[str, Any] = {}
    for name, opened in work.frame_backends.items():
        for size, shape in FRAMES.items():
            rows: dict[str, Any] = {"over the CPU": None}
            if work.gpu and hasattr(opened, "enqueue"):
                rows["on the GPU"] = GpuFrames(opened)
            for way, gpu in rows.items():
                table[f"{name}, {size}, {way}"] = _attempt(partial(_frame_times, work, opened, gpu, shape))
                write(work)
    return {"ms": table}


def _frame_times(work: Work, opened: Any, gpu: GpuFrames | None, shape: tuple[int, int]) -> dict[str, float]:
    from ..runtime.ager import Ager
    from ..runtime.filter import FaceFilter

    frame, number = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8), itertools.count()
    face_filter = FaceFilter(Ager(opened), Trembling(shape), gpu=gpu)
    return host_times(lambda: face_filter(frame, next(number) / 30), work.runs)


def _attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the work gives, or why it gave nothing."""
    try:
        return work()
    except ReagingError as error:
        return {"error": str(error)}
    except Exception as error:  # one step's failure, whatever it is, must not cost the others
        return {"error": f"{type(error).__name__}: {str(error)[:300]}", "trace": traceback.format_exc(limit=-4)}


def write(work: Work) -> None:
    """The report so far."""
    write_json(work.out / "gpu-report.json", {"machine": fingerprint(), "absent": work.absent, "steps": work.results})
    write_text(work.out / "gpu-report.md", markdown(work))


def markdown(work: Work) -> str:
    """Tables of all steps, and what is absent."""
    lines = ["# GPU report", "", *(f"* absent: **{name}**: {why}" for name, why in work.absent.items()), ""]
    for step, result in work.results.items():
        lines += [f"## {step} ({result.get('seconds', 0):.1f} s)", ""]
        rows = _rows(result.get("ms", {}))
        if rows:
            lines += [markdown_table([step, "faces", "what", "p50 ms", "p95 ms", "p99 ms", "PSNR dB"], rows), ""]
        lines += [f"* {key}: {value}" for key, value in result.items() if key not in ("ms", "seconds", "trace")] + [""]
    return "\n".join(lines)


def _rows(table: dict[str, Any]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for name, entry in table.items():
        if "p50" in entry:
            rows.append([name, "", "", *(f"{entry[p]:.3f}" for p in ("p50", "p95", "p99")), ""])
        elif "error" in entry:
            rows.append([name, "", entry["error"][:160], "", "", "", ""])
        for count, kinds in entry.items():
            for what in ("network", "host to host"):
                if isinstance(kinds, dict) and what in kinds:
                    psnr = f"{kinds['parity']['psnr']:.1f}"
                    rows.append([name, count, what, *(f"{kinds[what][p]:.3f}" for p in ("p50", "p95", "p99")), psnr])
    return rows


def steps(work: Work, onnx: list[Path], large: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    """By name, in order of worth."""
    every: dict[str, Callable[[], dict[str, Any]]] = {"machine": lambda: machine(work), "copies": lambda: copies(work), "kernels": kernels}
    for path in onnx:
        for name in ENGINES:
            every[f"{name} {path.stem}"] = partial(backend, work, name, partial(Path, path))
    every[f"torch {MODEL}"] = lambda: torch_rivals(work, MODEL)
    every["frames"] = lambda: frames(work)
    if large:
        for name in ENGINES:
            every[f"{name} {LARGE}-fp16"] = partial(backend, work, name, partial(large_model, work))
        every[f"torch {LARGE}"] = lambda: torch_rivals(work, LARGE)
    every["targets"] = lambda: targets(work.results)
    return every


@click.command(cls=Command)
@click.option("--out", type=click.Path(path_type=Path), default=Path("gpu-report"), show_default=True, help="Folder for the report.")
@click.option("--weights", type=click.Path(path_type=Path), default=Path("weights"), show_default=True, help="Folder of the checkpoints.")
@click.option("--batches", default="1,4,16", show_default=True, help="Faces at once.")
@click.option("--runs", type=click.IntRange(2), default=300, show_default=True, help="Timed runs of each.")
@click.option("--large/--no-large", default=True, help="Also ragan-256.")
def main(out: Path, weights: Path, batches: str, runs: int, large: bool) -> None:
    """Measures all there is of a GPU, step by step, and writes gpu-report.json and gpu-report.md after each."""
    from ..runtime.bundled import generator_path
    from .options import positive

    out.mkdir(parents=True, exist_ok=True)
    bundled = generator_path(None)
    work = Work(out, weights, positive("--batches", batches), runs)
    onnx = [path for path in (bundled.with_name(f"{MODEL}-fp16.onnx"), bundled) if path.is_file()]
    for name, step in steps(work, onnx, large).items():
        start = time.perf_counter()
        work.results[name] = {**_attempt(step), "seconds": time.perf_counter() - start}
        write(work)
        click.echo(f"{name}: {work.results[name].get('error', 'done')} ({time.perf_counter() - start:.1f} s)", err=True)
    click.echo(markdown(work))


if __name__ == "__main__":
    main()
