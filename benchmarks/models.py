"""Opening what is measured: an ONNX file in ONNX Runtime, OpenVINO or TensorRT, a checkpoint in torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..card import ModelCard
from ..errors import ReagingError
from ..runtime.backends import open_backend
from ..runtime.backends.base import Backend, Floats

BACKENDS = {"ort": "cpu", "openvino": "openvino", "tensorrt": "tensorrt"}  # the backends' devices in the runtime
NAMES = ("ort", "openvino", "torch", "tensorrt")
# modules, one of which the backend needs, and how to get it
NEEDS = {
    "ort": (("onnxruntime",), "pip install 'reaging[cpu]'"),
    "openvino": (("openvino",), "pip install 'reaging[openvino]'"),
    "torch": (("torch",), "pip install 'reaging[train]'"),
    "tensorrt": (("tensorrt", "tensorrt_rtx"), "pip install tensorrt; its libraries may need NVIDIA's own index"),
}


def open_model(path: str | Path, backend: str = "ort", threads: int = 1, size: int | None = None) -> Backend:
    """A generator ready to run; raises ReagingError where file and backend do not fit.

    ``size`` is for checkpoints: the side in pixels in place of the one it was trained at.
    """
    if backend not in NAMES:
        raise ReagingError(f"there is no backend {backend!r}", f"one of {', '.join(NAMES)}", "correct --backend")
    if backend == "torch":
        return TorchModel(path, threads, size)
    return open_backend(path, BACKENDS[backend], threads)


def check_backends(names: list[str]) -> None:
    """Raises ReagingError for the first backend that is unknown or not there: before anything is measured."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ReagingError(f"there is no backend {', '.join(unknown)}", f"some of {', '.join(NAMES)}", "correct --backend")
    for name in names:
        modules, remedy = NEEDS[name]
        if not any(find_spec(module) for module in modules):
            raise ReagingError(f"the backend {name} is not installed", f"the package {' or '.join(modules)}", remedy)
        if name == "tensorrt":
            from ..runtime.cuda.driver import driver_error

            reason = driver_error()
            if reason:
                raise ReagingError(f"the backend tensorrt cannot run: {reason}", "an NVIDIA GPU", "leave it out of --backend")


def is_checkpoint(path: str | Path) -> bool:
    """By its name: whatever is no .onnx (and no TensorRT .engine) is taken for a checkpoint."""
    return Path(path).suffix.lower() not in (".onnx", ".engine")


class TorchModel:
    """The generator of a checkpoint in eager PyTorch."""

    device = "cpu"

    def __init__(self, path: str | Path, threads: int, size: int | None = None):
        """Raises ReagingError where torch is not installed, the file is no checkpoint of ours, or its network cannot take ``size``."""
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
        side = size or preset.size
        try:
            macs = count_macs(self._net, torch.zeros(1, 3, side, side), torch.tensor([30.0]))
        except RuntimeError as error:
            raise ReagingError(
                f"{path} cannot take {side} x {side} pixels ({str(error).splitlines()[0]})",
                f"the size it was trained at ({preset.size}), or a multiple of its stride",
                "correct --size",
            ) from None
        self.card = ModelCard("generator", preset.name, (side, side), parameters=count_parameters(self._net), macs=macs, step=step)

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run."""
        self._torch.set_num_threads(self._threads)  # of the whole process, so again before every run
        with self._torch.inference_mode():
            aged, mask = self._net(self._torch.from_numpy(np.ascontiguousarray(image)), self._torch.from_numpy(age))
        return aged.numpy(), mask.numpy()
