"""ONNX Runtime: the backend of the base installation, on the CPU or through CUDA."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from ...card import ModelCard
from ...errors import ReagingError
from .base import OUTPUTS, Backend, Floats, check_names, cores, warm_up
from .modelfile import read_model, refuse_external

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def import_onnxruntime() -> Any:
    """The module; ReagingError where it is not installed, or half overwritten by its other package."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ReagingError(
            f"ONNX Runtime cannot be imported ({error})", "the package onnxruntime", "pip install 'reaging[cpu]' (or [gpu])"
        ) from None
    if not hasattr(onnxruntime, "InferenceSession"):
        raise ReagingError(
            "ONNX Runtime is damaged, as when onnxruntime and onnxruntime-gpu were installed over each other",
            "exactly one of the two",
            "pip uninstall onnxruntime onnxruntime-gpu, then install the one you want",
        )
    return onnxruntime


class OnnxRuntime:
    """A generator in ONNX Runtime on the CPU."""

    device = "cpu"

    def __init__(self, path: str | Path, threads: int = 0):
        """Raises ReagingError where the file is no generator or does not run."""
        self._session, self.card = open_generator(path, self.device, threads)
        warm_up_session(self, path)

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run."""
        aged, mask = self._session.run(OUTPUTS, {"image": image, "age": age})
        return aged, mask

    card: ModelCard


def open_generator(path: str | Path, device: str, threads: int) -> tuple[Any, ModelCard]:
    """The session of a generator and its card; raises ReagingError where it is none, and what open_session raises."""
    data, card = read_model(path)
    session = open_session(data, str(path), device, threads or cores())
    check_names(str(path), [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()])
    return session, card


def warm_up_session(backend: Backend, path: str | Path) -> None:
    """warm_up, where ONNX Runtime's own errors are the user's as well."""
    try:
        warm_up(backend, str(path))
    except ReagingError:
        raise
    except Exception as error:  # the engine's own errors stand straight below Exception
        raise ReagingError(
            f"{path} does not run on {backend.device} ({short(error)})", "a model that runs", "export it again with reaging-export --verify"
        ) from None


def short(error: BaseException) -> str:
    """The first line of an engine's error, which may be pages long."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def open_session(data: bytes, where: str, device: str, threads: int) -> Any:
    """An InferenceSession that runs on ``device``; ReagingError where it fell back to another, which it does silently."""
    refuse_external(data, where)
    ort = import_onnxruntime()
    provider = PROVIDERS[device]
    if device == "cuda":
        if provider not in ort.get_available_providers():
            raise ReagingError(
                "this ONNX Runtime has no CUDA", "the package onnxruntime-gpu", "pip uninstall onnxruntime, pip install 'reaging[gpu]'"
            )
        if hasattr(ort, "preload_dlls"):  # finds the CUDA libraries of NVIDIA's wheels; prints what it does not find
            with contextlib.redirect_stdout(io.StringIO()):
                ort.preload_dlls()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning takes the cores that capture and decoding need
    try:
        session = ort.InferenceSession(data, options, providers=[provider])
    except Exception as error:  # as above
        raise ReagingError(
            f"{where} cannot be loaded on {device} ({short(error)})", "a model that ONNX Runtime reads", "export the model again"
        ) from None
    if session.get_providers()[0] != provider:
        raise ReagingError(
            "ONNX Runtime could not start CUDA", "an NVIDIA driver, CUDA and cuDNN that fit this onnxruntime-gpu", "or --device cpu"
        )
    return session
