"""A frame through the GPU: uploaded once, its faces cut out, aged and put back there, downloaded once.

Not yet run on a GPU: tested with the kernels compiled for the CPU and a stand-in for the driver.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ...card import ModelCard
from ...errors import ReagingError
from ..backends.base import Floats
from ..sources.base import Frame
from .buffers import Buffer, Device
from .compile import kernels_for
from .driver import first_gpu
from .graphs import Replay

FIELDS = 21  # floats for each face, as in geometry.h: two matrices, a box, a gain, an age, halvings and where their blocks begin
BLOCK = (16, 16, 1)
TAKES_FACES, TAKES_CHANGES = "PiiPiPiP", "PiiPiPPPiiP"  # the kernels' arguments: pointers and integers


class OnDevice(Protocol):
    """A backend whose network reads and writes device memory (TensorRT, OnnxRuntimeCuda)."""

    card: ModelCard
    most: int  # faces at once
    half: bool  # whether pictures are float16 there

    def addresses(self, count: int) -> dict[str, int]: ...

    def enqueue(self, count: int) -> None: ...


class GpuFrames:
    """Frames whose faces never leave the GPU; for one thread at a time.

    With TensorRT everything is queued on its stream, and recorded as a CUDA graph where cuda-bindings is installed; ONNX Runtime has a
    stream of its own, so there the kernels are waited for.
    """

    def __init__(self, backend: OnDevice):
        """Raises ReagingError without a driver, pycuda, or a compiler for the kernels that are not there yet."""
        self._backend, self.size = backend, backend.card.size[0]
        self._gpu: Device = getattr(backend, "gpu", None) or Device()
        self._own_stream = not hasattr(backend, "stream")
        code = kernels_for(first_gpu(), getattr(backend, "engine_path", None))
        with self._gpu.current():
            cuda = self._gpu.cuda
            self._stream = cuda.Stream() if self._own_stream else backend.stream  # type: ignore[attr-defined]
            module = cuda.module_from_buffer(code)
            self._cut = module.get_function("faces_to_input").prepare(TAKES_FACES)
            self._paste = module.get_function("changes_to_frame").prepare(TAKES_CHANGES)
            self._placed = Buffer(cuda, (backend.most, FIELDS), np.float32)
        self._replay: Replay | None = getattr(backend, "replay", None)
        self._frame: Buffer | None = None
        self._source: Any = None
        self._taken: Any = None

    def __call__(self, frame: Frame, matrices: Sequence[Floats] | Floats, ages: Sequence[float], gains: Sequence[float]) -> Frame:
        """frame uint8 [H, W, 3] BGR and, for each face, its matrix [2, 3] frame to crop, age in years and gain 0 to 1 -> a new frame.

        Where nothing is to be changed it is the very same frame.  Outside the masks it is the one that went in, bit for bit; earlier faces
        keep their full change where faces overlap.  Raises ValueError where the numbers of matrices, ages and gains differ.
        """
        rows = [place(m, age, gain, frame, self.size) for m, age, gain in zip(matrices, ages, gains, strict=True)]
        faces = np.array([row for row in rows if row is not None], np.float32)
        if not len(faces):
            return frame
        with self._gpu.current():
            buffer = self._buffer(frame.shape)
            buffer.host[...] = frame
            if len(faces) > self._backend.most:
                self._in_batches(buffer, faces)
            else:
                self._placed.host[: len(faces)] = faces
                self._queue((frame.shape, len(faces)), buffer, len(faces))
            self._stream.synchronize()
            return buffer.host.copy()  # the pinned memory is used again

    def _queue(self, key: tuple[Any, ...], buffer: Buffer, count: int) -> None:
        def step() -> None:
            buffer.upload(len(buffer.host), self._stream)
            self._faces(buffer, buffer.address, count, 0)
            buffer.download(len(buffer.host), self._stream)

        if self._replay is None:
            step()
        else:
            self._replay(("frame", *key), step)

    def _in_batches(self, buffer: Buffer, faces: Floats) -> None:
        """More faces than the network takes at once: all are cut from the frame as it came, and share what overlaps."""
        cuda, pixels = self._gpu.cuda, buffer.host.shape[0] * buffer.host.shape[1]
        if self._source is None:
            self._source, self._taken = cuda.mem_alloc(buffer.host.nbytes), cuda.mem_alloc(4 * pixels)
        buffer.upload(len(buffer.host), self._stream)
        cuda.memcpy_dtod_async(self._source, buffer.address, buffer.host.nbytes, self._stream)
        cuda.memset_d32_async(self._taken, 0, pixels, self._stream)
        for start in range(0, len(faces), self._backend.most):
            part = faces[start : start + self._backend.most]
            self._stream.synchronize()  # the last batch has been copied: its pinned memory is free
            self._placed.host[: len(part)] = part
            self._faces(buffer, int(self._source), len(part), int(self._taken))
        buffer.download(len(buffer.host), self._stream)

    def _faces(self, buffer: Buffer, source: int, count: int, taken: int) -> None:
        """Queues one batch: out of ``source``, through the network, into the buffer's frame."""
        height, width, size, half = *buffer.host.shape[:2], self.size, int(self._backend.half)
        at, stream = self._backend.addresses(count), self._stream
        self._placed.upload(count, stream)
        faces = self._placed.address
        blocks = math.ceil(size / BLOCK[0])
        self._cut.prepared_async_call(
            (blocks, blocks, count), BLOCK, stream, source, height, width, faces, size, at["image"], half, at["age"]
        )
        if self._own_stream:
            stream.synchronize()
        self._backend.enqueue(count)
        grid = (math.ceil(width / BLOCK[0]), math.ceil(height / BLOCK[1]), 1)
        self._paste.prepared_async_call(
            grid, BLOCK, stream, buffer.address, height, width, faces, count, at["image"], at["aged"], at["mask"], size, half, taken
        )

    def _buffer(self, shape: tuple[int, ...]) -> Buffer:
        """Memory for frames of this size: a source's frames have one, so only the last size is kept."""
        if self._frame is None or self._frame.host.shape != shape:
            self._stream.synchronize()
            if self._replay is not None:
                self._replay.forget()  # what is recorded has the old addresses
            self._frame = Buffer(self._gpu.cuda, shape, np.uint8)
            self._source = self._taken = None
        return self._frame


def place(matrix: Floats, age: float, gain: float, frame: Frame, size: int) -> NDArray[np.float32] | None:
    """One face as the kernels take it, [FIELDS]; None where its crop lies outside the frame, or nothing of it is to be shown."""
    to_crop = np.asarray(matrix, np.float64)
    (a, b, _), (c, d, _) = to_crop
    if gain <= 0 or abs(a * d - b * c) < 1e-9:
        return None
    to_frame = np.asarray(cv2.invertAffineTransform(to_crop), np.float64)
    corners = np.array([to_frame @ (x, y, 1) for x in (-1, size) for y in (-1, size)])
    reach = 0.5  # where a frame's pixel is larger than the crop's, its samples reach half of it further
    left, top = np.maximum(np.floor(corners.min(0) - reach), 0)
    right, bottom = np.minimum(np.ceil(corners.max(0) + reach) + 1, frame.shape[1::-1])
    if left >= right or top >= bottom:
        return None
    halvings, phase = _halvings(to_frame, frame, size)
    return np.concatenate([to_frame.ravel(), to_crop.ravel(), [left, top, right, bottom, gain, age, halvings, *phase]]).astype(np.float32)


def _halvings(to_frame: NDArray[np.float64], frame: Frame, size: int) -> tuple[int, list[int]]:
    """How often a frame is halved before a crop is cut out of it, and where the blocks begin: as faces/template.py does it."""
    step = math.sqrt(abs(np.linalg.det(to_frame[:, :2])))
    halvings = round(math.log2(step)) if step >= 1.5 else 0
    block, limits = 2**halvings, frame.shape[1::-1]
    lows = to_frame[:, 2] + np.minimum(to_frame[:, :2] * size, 0).sum(1)
    phase = [int(min(max(math.floor(low) - 2 * block, 0), limit) % block) for low, limit in zip(lows, limits, strict=True)]
    return (halvings, phase) if min(limits) >= 2 * block else (0, [0, 0])


def gpu_frames(backend: Any) -> GpuFrames | None:
    """Frames on the GPU for a backend that runs there; None for one that does not, or where pycuda or the kernels cannot be had."""
    if backend.device != "cuda" or not hasattr(backend, "addresses"):
        return None
    try:
        return GpuFrames(backend)
    except ReagingError:
        return None
