"""Opening a model on a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import ReagingError
from .base import Backend

DEVICES = ("auto", "cpu", "cuda", "tensorrt", "openvino")


def _cpu(path: Path, threads: int) -> Backend:
    from .ort import OnnxRuntime

    return OnnxRuntime(path, threads)


def _cuda(path: Path, threads: int) -> Backend:
    from .ort_cuda import OnnxRuntimeCuda

    return OnnxRuntimeCuda(path, threads)


def _openvino(path: Path, threads: int) -> Backend:
    from .openvino import OpenVino

    return OpenVino(path, threads)


def _tensorrt(path: Path, threads: int) -> Backend:
    from .tensorrt import TensorRT

    return TensorRT(path)


OPEN: dict[str, Callable[[Path, int], Backend]] = {"tensorrt": _tensorrt, "cuda": _cuda, "cpu": _cpu, "openvino": _openvino}


def open_backend(path: str | Path, device: str = "auto", threads: int = 0) -> Backend:
    """A model (.onnx, or .engine for TensorRT) on a device; 0 threads means every core that the process may use.

    ``auto`` takes the best device that really works. A device named here and not there raises ReagingError: there is no fallback.
    """
    return choose_backend(path, device, threads)[0]


def choose_backend(path: str | Path, device: str = "auto", threads: int = 0) -> tuple[Backend, str]:
    """Like open_backend, with one line for the user: the device, and why a better one was not taken."""
    path = Path(path)
    if device not in DEVICES:
        raise ReagingError(f"there is no device {device!r}", f"one of {', '.join(DEVICES)}", "choose one of them")
    if not path.is_file():
        raise ReagingError(f"there is no model {path}", "an ONNX file, or a TensorRT engine", "check the name")
    if device == "auto":
        return _best(path, threads)
    if path.suffix == ".engine" and device != "tensorrt":
        raise ReagingError(f"{path} is a TensorRT engine", "an ONNX file", "use --device tensorrt, or name the ONNX file")
    backend = OPEN[device](path, threads)
    _check_kind(backend, path)
    return backend, f"device: {device}"


def _best(path: Path, threads: int) -> tuple[Backend, str]:
    failed: list[str] = []
    for name in _candidates(path, failed):
        try:
            backend = OPEN[name](path, threads)
        except ReagingError as error:
            if name == "cpu":  # the model itself is wrong, or there is no engine at all: nothing further down can help
                raise
            failed.append(f"{name}: {error.what}")
            continue
        _check_kind(backend, path)
        return backend, "; ".join([f"device: {name}", *(f"no {reason}" for reason in failed)])
    raise ReagingError(f"no device can run {path} ({'; '.join(failed)})", "a device that works", "name an ONNX file, or mend the above")


def _candidates(path: Path, failed: list[str]) -> list[str]:
    """Devices worth trying, best first; notes in ``failed`` why the GPU is not among them."""
    from ..cuda.driver import driver_error

    if path.suffix == ".engine":
        return ["tensorrt"]
    reason = driver_error()
    if reason:
        failed.append(f"GPU: {reason}")
        return ["cpu"]
    from .tensorrt import at_hand

    return ["tensorrt", "cuda", "cpu"] if at_hand(path) else ["cuda", "cpu"]  # building an engine takes minutes: only where it is asked for


def _check_kind(backend: Backend, path: Path) -> None:
    if backend.card.kind != "generator":
        raise ReagingError(f"{path} is a {backend.card.kind}", "a generator", "name the model that changes ages")
