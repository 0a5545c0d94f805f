"""Everything worth knowing of a GPU in one run: python -m reaging.benchmarks.gpu_report --out gpu-report

Steps in order of worth, each for itself: one that fails or lacks its package is named and the rest goes on; the report (JSON and Markdown)
is written anew after every step.  Without a GPU it measures PyTorch on the CPU and names what is absent.
"""

from __future__ import annotations

import importlib
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np

from ..card import ModelCard
from ..command import Command
from ..errors import ReagingError
from ..runtime.backends.base import Floats
from ..runtime.cuda.driver import driver_error, first_gpu
from .report import fingerprint, markdown_table, write_json

MODEL, LARGE = "mobile-256", "ragan-256"
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


def kernels(work: Work) -> dict[str, Any]:
    """The frame kernels on the GPU against the CPU's pipeline, with a network that is known beforehand."""
    import cv2

    from ..runtime.ager import Change
    from ..runtime.cuda.buffers import Buffer, Device
    from ..runtime.cuda.frames import GpuFrames
    from ..runtime.faces.template import cut
    from ..runtime.paste import paste

    size, count, device = 256, 2, Device()
    frame = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8), (0, 0), 6)
    matrices = face_matrices(size, frame.shape[:2], count)
    at = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2))
    mask = np.broadcast_to(np.clip(1.2 - at, 0, 1), (count, 1, size, size))
    with device.current():
        shapes = {"image": (count, 3, size, size), "age": (count,), "aged": (count, 3, size, size), "mask": (count, 1, size, size)}
        buffers = {name: Buffer(device.cuda, shape, np.float32) for name, shape in shapes.items()}
        stream = device.cuda.Stream()
        buffers["aged"].host[...] = 0.25
        buffers["mask"].host[...] = mask
        for name in ("aged", "mask"):
            buffers[name].upload(count, stream)
        stream.synchronize()
    known = SimpleNamespace(
        card=ModelCard("generator", "known", (size, size)), most=count, half=False, gpu=device, stream=stream,
        addresses=lambda n: {name: buffer.address for name, buffer in buffers.items()}, enqueue=lambda n: None,
    )  # fmt: skip
    frames = GpuFrames(known)
    got = frames(frame, matrices, [20.0, 70.0], [1.0, 1.0])
    with device.current():
        buffers["image"].download(count, stream)
        stream.synchronize()
    crops = np.stack([cut(frame, m, size) for m in matrices])
    levels = (buffers["image"].host.transpose(0, 2, 3, 1) + 1) * 127.5
    delta = np.float32(0.25) - (crops.astype(np.float32) / 127.5 - 1)
    expected = paste(frame, Change(delta, np.ascontiguousarray(mask[:, 0])), np.stack(matrices))
    apart = {"input": float(np.abs(levels - crops).max()), "frame": float(np.abs(got.astype(int) - expected).max())}
    return {"largest difference in gray levels": apart, "within": all(v <= 2 for v in apart.values())}


def face_matrices(size: int, shape: tuple[int, ...], count: int) -> list[Floats]:
    """Faces side by side, each about a third of the frame's height."""
    scale, height, width = size / (shape[0] * 0.55), shape[0], shape[1]
    centers = [(width * (i + 1) / (count + 1), height / 2) for i in range(count)]
    turn = scale * np.array([[np.cos(0.1), np.sin(0.1)], [-np.sin(0.1), np.cos(0.1)]])
    return [np.hstack([turn, ((size - 1) / 2 - turn @ c)[:, None]]).astype(np.float32) for c in centers]


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


def backend(work: Work, name: str, path: Path) -> dict[str, Any]:
    """ONNX Runtime on CUDA, or TensorRT: latency of network and run, parity with ONNX Runtime on the CPU."""
    from ..runtime.backends.ort import OnnxRuntime

    opened = _open(name, path)
    reference, rows = OnnxRuntime(path), {}
    for count in work.batches:
        image, age = _inputs(opened.card.size[0], count)
        row: dict[str, Any] = {"parity": parity(opened.run(image, age), reference.run(image, age))}
        row["host to host"] = host_times(partial(opened.run, image, age), work.runs)
        if count <= opened.most:
            row["network"] = _network_times(work, opened, count)
        rows[str(count)] = row
    work.frame_backends[f"{name} {opened.card.precision}"] = opened
    return {"ms": {f"{name} {opened.card.precision}": rows}}


def _open(name: str, path: Path) -> Any:
    if name == "onnxruntime cuda":
        from ..runtime.backends.ort_cuda import OnnxRuntimeCuda

        return OnnxRuntimeCuda(path)
    from ..runtime.backends.tensorrt import TensorRT

    return TensorRT(path, says=lambda line: click.echo(line, err=True))


def _network_times(work: Work, opened: Any, count: int) -> dict[str, float]:
    if not hasattr(opened, "stream"):  # waits for itself
        return host_times(lambda: opened.enqueue(count), work.runs)
    with opened.gpu.current():
        return event_times(lambda: opened.enqueue(count), work.runs, opened.gpu.cuda.Event, lambda e: e.record(opened.stream))


def frames(work: Work) -> dict[str, Any]:
    """A frame from host memory to host memory, one face, finding left out; and how much of it is not the network."""
    from ..runtime.cuda.frames import GpuFrames

    table: dict[str, Any] = {}
    for name, opened in work.frame_backends.items():
        for size, shape in FRAMES.items():
            frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
            matrices = face_matrices(opened.card.size[0], shape, 1)
            rows = {"over the CPU": _on_the_cpu(opened)}
            if work.gpu and hasattr(opened, "enqueue"):
                rows["on the GPU"] = GpuFrames(opened)
            for way, run in rows.items():
                row = _attempt(partial(host_times, partial(run, frame, matrices, [70.0], [1.0]), work.runs))
                table[f"{name}, {size}, {way}"] = row
                write(work)
    return {"ms": table}


def _on_the_cpu(opened: Any) -> Callable[..., Any]:
    from ..runtime.ager import Ager
    from ..runtime.faces.template import cut
    from ..runtime.paste import paste_patches, patch

    ager = Ager(opened)

    def run(frame: Any, matrices: list[Floats], ages: list[float], gains: list[float]) -> Any:
        change = ager(np.stack([cut(frame, m, ager.size) for m in matrices]), ages)
        return paste_patches(frame, [patch(d, m) for d, m in zip(change.delta, change.mask, strict=True)], matrices, gains)

    return run


def targets(work: Work) -> dict[str, Any]:
    """What was aimed at on an H100 or H200, and what came out: true, false, or not measured."""
    timed = {name: row for result in work.results.values() for name, row in result.get("ms", {}).items() if isinstance(row, dict)}
    eager = _p50(work, f"torch {MODEL}", "torch eager fp16")
    best = min((p for n, r in timed.items() if n in work.frame_backends and (p := _of(r)) is not None), default=None)
    large = {name: _p50(work, f"torch {LARGE}", name) for name in ("torch.compile fp16", "torch CUDA graph fp16")}
    whole = [r["p99"] for n, r in timed.items() if n.endswith("720p, on the GPU") and "p99" in r]
    return {
        f"{MODEL} p50 under 1 ms": _judge(best, lambda: best < 1),  # type: ignore[operator]
        f"{MODEL} at least 2x torch eager fp16": _judge(best and eager, lambda: eager / best >= 2),  # type: ignore[operator]
        f"{LARGE} on TensorRT at least 1.5x torch.compile": "not measured",
        f"{LARGE}, torch.compile fp16 and CUDA graph, ms": large,
        "720p frame under 3 ms at p99": _judge(whole or None, lambda: min(whole) < 3),
        "share of a 720p frame outside the generator (at most 0.25)": _outside(work, timed) or "not measured",
    }


def _outside(work: Work, timed: dict[str, Any]) -> dict[str, float]:
    """Of each backend: how much of a frame on the GPU is not its network, by the medians."""
    shares = {}
    for name in work.frame_backends:
        whole, network = timed.get(f"{name}, 720p, on the GPU", {}).get("p50"), _of(timed.get(name, {}))
        if whole is not None and network is not None:
            shares[name] = round(1 - network / whole, 3)
    return shares


def _of(row: dict[str, Any]) -> float | None:
    value = row.get("1", {}).get("network", {}).get("p50")
    return None if value is None else float(value)


def _p50(work: Work, step: str, name: str) -> float | None:
    return _of(work.results.get(step, {}).get("ms", {}).get(name, {}))


def _judge(known: object, test: Callable[[], bool]) -> object:
    return test() if known is not None else "not measured"


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
    (work.out / "gpu-report.md").write_text(markdown(work), "utf-8")


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
    need_gpu: dict[str, Callable[[], dict[str, Any]]] = {"copies": lambda: copies(work), "kernels": lambda: kernels(work)}
    for path in onnx:
        for name in ("onnxruntime cuda", "tensorrt"):
            need_gpu[f"{name} {path.stem}"] = partial(backend, work, name, path)
    every: dict[str, Callable[[], dict[str, Any]]] = {"machine": lambda: machine(work), **need_gpu}
    every[f"torch {MODEL}"] = lambda: torch_rivals(work, MODEL)
    every["frames"] = lambda: frames(work)
    if large:
        every[f"torch {LARGE}"] = lambda: torch_rivals(work, LARGE)
    every["targets"] = lambda: targets(work)
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
