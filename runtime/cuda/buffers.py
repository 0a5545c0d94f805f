"""Pinned host memory with its device memory, and the primary CUDA context that they live in (pycuda)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...errors import ReagingError
from .driver import driver_error


def import_pycuda() -> Any:
    """pycuda.driver, initialized; ReagingError without a driver or without pycuda."""
    reason = driver_error()
    if reason:
        raise ReagingError(reason, "an NVIDIA GPU with its driver", "install the driver, or use --device cpu")
    try:
        import pycuda.driver as cuda
    except ImportError as error:  # also where a CUDA library is missing
        raise ReagingError(f"pycuda cannot be imported ({error})", "the package pycuda", "pip install 'reaging[tensorrt]'") from None
    try:
        cuda.init()
    except cuda.Error as error:
        raise ReagingError(f"CUDA does not start ({error})", "a CUDA device", "use --device cpu") from None
    return cuda


class Device:
    """The first GPU: its primary context, which torch and ONNX Runtime in the same process share."""

    def __init__(self) -> None:
        self.cuda = import_pycuda()
        device = self.cuda.Device(0)
        self.name, self.capability = device.name(), "{}.{}".format(*device.compute_capability())
        self._context = device.retain_primary_context()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the context current in the calling thread: the live loop filters in another thread than the one that opened it."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()


class Buffer:
    """Pinned host array and device memory of the same size, for up to ``shape[0]`` faces."""

    def __init__(self, cuda: Any, shape: tuple[int, ...], dtype: DTypeLike):
        self.host: NDArray[Any] = cuda.pagelocked_empty(shape, np.dtype(dtype))
        self.memory = cuda.mem_alloc(self.host.nbytes)
        self._cuda = cuda

    def upload(self, values: NDArray[Any], stream: Any) -> None:
        """Queues the copy of ``values`` [n, ...] to the device, in the buffer's own type."""
        part = self.host[: len(values)]
        part[...] = values
        self._cuda.memcpy_htod_async(self.memory, part, stream)

    def download(self, count: int, stream: Any) -> NDArray[Any]:
        """Queues the copy back of ``count`` faces; the returned view is filled once the stream is synchronized."""
        part = self.host[:count]
        self._cuda.memcpy_dtoh_async(part, self.memory, stream)
        return part
