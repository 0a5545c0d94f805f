"""ONNX Runtime on CUDA: inputs and outputs are bound to device memory that is kept, so that a run copies once each way.

Not yet run on a GPU: tested with the CPU's memory in place of the GPU's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...card import ModelCard
from .base import INPUTS, OUTPUTS, Floats
from .ort import import_onnxruntime, open_generator, warm_up_session

MOST = 8  # faces at once: for each number of them device memory is kept


@dataclass(frozen=True)
class _Bound:
    """A binding for one number of faces, and its tensors in device memory."""

    binding: Any
    tensors: dict[str, Any]


class OnnxRuntimeCuda:
    """A generator in ONNX Runtime on the first GPU."""

    device = "cuda"
    half = False  # pictures are float32 in device memory, whatever the network computes in

    def __init__(self, path: str | Path, threads: int = 0, most: int = MOST):
        """``most``: faces at once.  Raises ReagingError where the file is no generator or CUDA does not work; never the CPU instead."""
        self.most = most
        self._session, self.card = open_generator(path, self.device, threads)
        self._ort, self._bound = import_onnxruntime(), dict[int, _Bound]()
        warm_up_session(self, path)

    card: ModelCard

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run."""
        parts = [self._run(image[i : i + self.most], age[i : i + self.most]) for i in range(0, len(image), self.most)]
        aged, mask = zip(*parts, strict=True)
        return np.concatenate(aged), np.concatenate(mask)

    def _run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        tensors = self._binding(len(image)).tensors
        for name, values in zip(INPUTS, (image, age), strict=True):
            tensors[name].update_inplace(np.ascontiguousarray(values, np.float32))
        self.enqueue(len(image))
        aged, mask = (np.array(tensors[name].numpy()) for name in OUTPUTS)
        return aged, mask  # copies: the device memory is used again

    def addresses(self, count: int) -> dict[str, int]:
        """Device addresses of image, age, aged and mask for ``count`` faces, at most ``most``; always the same ones."""
        return {name: tensor.data_ptr() for name, tensor in self._binding(count).tensors.items()}

    def enqueue(self, count: int) -> None:
        """Runs the network on what lies at ``addresses``, and waits for it."""
        self._session.run_with_iobinding(self._binding(count).binding)

    def _binding(self, count: int) -> _Bound:
        if count in self._bound:
            return self._bound[count]
        height, width = self.card.size
        shapes = {"image": (count, 3, height, width), "age": (count,), "aged": (count, 3, height, width), "mask": (count, 1, height, width)}
        tensors = {name: self._ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, "cuda", 0) for name, shape in shapes.items()}
        binding = self._session.io_binding()
        for name in INPUTS:
            binding.bind_ortvalue_input(name, tensors[name])
        for name in OUTPUTS:
            binding.bind_ortvalue_output(name, tensors[name])
        self._bound[count] = _Bound(binding, tensors)
        return self._bound[count]
