"""What PyTorch makes of the same generator on a GPU: eager, compiled, and recorded as a CUDA graph that can work on whole frames."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..card import ModelCard
from ..runtime.backends.base import Floats


class AsGenerator(nn.Module):
    """A generator in another precision and memory layout, with float32 at both ends as every backend has it."""

    def __init__(self, network: nn.Module, kind: torch.dtype, layout: torch.memory_format, device: str):
        super().__init__()
        self.kind, self.layout = kind, layout
        self.network = copy.deepcopy(network).eval().to(device=device, dtype=kind)
        self.network.to(memory_format=layout)  # type: ignore[call-overload]

    def forward(self, image: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        aged, mask = self.network(image.to(self.kind, memory_format=self.layout), age.to(self.kind))
        return aged.float().contiguous(), mask.float().contiguous()


class TorchModel:
    """PyTorch as a backend."""

    def __init__(self, model: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], card: ModelCard, device: str):
        self.card, self.device, self._model = card, device, model

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run."""
        with torch.inference_mode():
            aged, mask = self._model(*(torch.tensor(values, device=self.device) for values in (image, age)))
            return aged.cpu().numpy(), mask.cpu().numpy()

    def on_device(self, count: int) -> Callable[[], object]:
        """The network alone, on ``count`` faces that are in the device's memory."""
        height, width = self.card.size
        image = torch.rand(count, 3, height, width, device=self.device) * 2 - 1
        age = torch.linspace(5, 90, count, device=self.device)

        def work() -> object:
            with torch.inference_mode():
                return self._model(image, age)

        return work


class TorchGraph:
    """PyTorch's CUDA graph of one number of faces, with device memory that frames' kernels write and read (cuda/frames.py)."""

    device = "cuda"
    half = False

    def __init__(self, model: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], card: ModelCard, count: int):
        self.card, self.most = card, count
        height, width = card.size
        self._image, self._age = torch.zeros(count, 3, height, width, device="cuda"), torch.full((count,), 50.0, device="cuda")
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):  # type: ignore[no-untyped-call]
            for _ in range(3):
                model(self._image, self._age)
        torch.cuda.current_stream().wait_stream(side)
        self._graph: Any = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            self._aged, self._mask = model(self._image, self._age)
        torch.cuda.synchronize()

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run; exactly ``most`` faces."""
        self._image.copy_(torch.from_numpy(image))
        self._age.copy_(torch.from_numpy(age))
        self._graph.replay()
        return self._aged.cpu().numpy(), self._mask.cpu().numpy()

    def on_device(self, count: int) -> Callable[[], object]:
        return self._graph.replay

    def addresses(self, count: int) -> dict[str, int]:
        """See cuda.frames.OnDevice."""
        tensors = {"image": self._image, "age": self._age, "aged": self._aged, "mask": self._mask}
        return {name: tensor.data_ptr() for name, tensor in tensors.items()}

    def enqueue(self, count: int) -> None:
        """See cuda.frames.OnDevice; fewer faces than ``most`` leave the others' results unread."""
        self._graph.replay()
        torch.cuda.synchronize()
