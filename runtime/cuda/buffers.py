"""Pinned host memory with its device memory, and the primary CUDA context that they live in (pycuda)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ...errors import ReagingError
from .driver import require_driver


def import_pycuda() -> Any:
    """pycuda.driver, initialized; ReagingError without a driver or without pycuda."""
    require_driver()
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
        """Raises ReagingError without a driver, pycuda or GPU."""
        self.cuda = import_pycuda()
        try:
            self._context = self.cuda.Device(0).retain_primary_context()  # not pycuda.autoinit, which makes one of its own
        except self.cuda.Error as error:
            raise ReagingError(f"CUDA gives no context ({error})", "a GPU with free memory", "end what uses it, or --device cpu") from None

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the context current in the calling thread: the live loop filters in another thread than the one that opened it."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()


class Buffer:
    """Pinned host array and device memory of the same size, for up to ``shape[0]`` faces; both keep their addresses."""

    def __init__(self, cuda: Any, shape: tuple[int, ...], dtype: DTypeLike):
        self.host: NDArray[Any] = cuda.pagelocked_empty(shape, np.dtype(dtype))
        self.memory = cuda.mem_alloc(self.host.nbytes)
        self._cuda = cuda

    @property
    def address(self) -> int:
        return int(self.memory)

    def upload(self, count: int, stream: Any) -> None:
        """Queues the copy of the host's first ``count`` to the device."""
        self._cuda.memcpy_htod_async(self.memory, self.host[:count], stream)

    def download(self, count: int, stream: Any) -> None:
        """Queues the copy back; the host's first ``count`` are filled once the stream is synchronized."""
        self._cuda.memcpy_dtoh_async(self.host[:count], self.memory, stream)
