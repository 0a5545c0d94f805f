"""OpenVINO: Intel's engine, which reads the same ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...card import ModelCard
from ...errors import ReagingError
from .base import Floats, check_names, cores, warm_up
from .modelfile import read_model


class OpenVino:
    """A generator in OpenVINO on the CPU, tuned for the time of one frame rather than for many in flight."""

    card: ModelCard
    device = "cpu"

    def __init__(self, path: str | Path, threads: int = 0):
        """Raises ReagingError where OpenVINO is not installed or the file is no generator."""
        data, self.card = read_model(path)
        try:
            import openvino
        except ImportError as error:
            raise ReagingError(
                f"OpenVINO cannot be imported ({error})", "the package openvino", "pip install 'reaging[openvino]'"
            ) from None
        try:
            core = openvino.Core()
            settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads or cores(), "INFERENCE_PRECISION_HINT": "f32"}
            compiled = core.compile_model(core.read_model(data), "CPU", settings)
            names = [[port.any_name for port in ports] for ports in (compiled.inputs, compiled.outputs)]
            check_names(str(path), *names)
            self._request = compiled.create_infer_request()
            warm_up(self, str(path))
        except RuntimeError as error:
            raise ReagingError(
                f"{path} cannot be run by OpenVINO ({' '.join(str(error).split())[:200]})", "a model that it reads", "or --device cpu"
            ) from None

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run."""
        self._request.infer({"image": np.ascontiguousarray(image), "age": age})
        # copies: the request's own memory is overwritten by the next run
        return self._request.get_tensor("aged").data.copy(), self._request.get_tensor("mask").data.copy()
