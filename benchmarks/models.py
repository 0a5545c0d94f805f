"""Opening what is measured: an ONNX file in ONNX Runtime or OpenVINO, a checkpoint in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..card import ModelCard
from ..errors import ReagingError
from ..runtime.backends import open_backend
from ..runtime.backends.base import Backend, Floats

BACKENDS = {"ort": "cpu", "openvino": "openvino"}  # the backends' devices in the runtime
NAMES = (*BACKENDS, "torch")


def open_model(path: str | Path, backend: str = "ort", threads: int = 1) -> Backend:
    """A generator ready to run on the CPU; raises ReagingError where file and backend do not fit."""
    if backend not in NAMES:
        raise ReagingError(f"there is no backend {backend!r}", f"one of {', '.join(NAMES)}", "correct --backend")
    if backend == "torch":
        return TorchModel(path, threads)
    return open_backend(path, BACKENDS[backend], threads)


def is_checkpoint(path: str | Path) -> bool:
    """By its name: whatever is no .onnx is taken for a checkpoint."""
    return Path(path).suffix.lower() != ".onnx"


class TorchModel:
    """The generator of a checkpoint in eager PyTorch."""

    device = "cpu"

    def __init__(self, path: str | Path, threads: int):
        """Raises ReagingError where torch is not installed or the file is no checkpoint of ours."""
        if not is_checkpoint(path):
            raise ReagingError(f"torch cannot run {path}", "a checkpoint", "give the checkpoint, or another --backend for ONNX files")
        try:
            import torch
        except ImportError:
            raise ReagingError("PyTorch is not installed", "the package torch", "pip install 'reaging[train]'") from None
        from ..nets.cost import count_macs, count_parameters
        from ..training.checkpoint import generator_from_checkpoint

        self._torch, self._threads = torch, threads
        self._net, preset, step = generator_from_checkpoint(path)
        size = preset.size
        macs = count_macs(self._net, torch.zeros(1, 3, size, size), torch.tensor([30.0]))
        self.card = ModelCard("generator", preset.name, (size, size), parameters=count_parameters(self._net), macs=macs, step=step)

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run."""
        self._torch.set_num_threads(self._threads)  # of the whole process, so again before every run
        with self._torch.inference_mode():
            aged, mask = self._net(self._torch.from_numpy(np.ascontiguousarray(image)), self._torch.from_numpy(age))
        return aged.numpy(), mask.numpy()
