"""A frame through the GPU: uploaded once, its faces cut out, aged, calmed and put back there, downloaded once.

Not yet run on a GPU: tested with the kernels compiled for the CPU and a stand-in for the driver.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...card import ModelCard
from ...errors import ReagingError
from ..sources.base import Frame
from ..steady import FINE
from .buffers import Buffer, Device
from .compile import kernels_for
from .driver import first_gpu
from .graphs import Replay
from .rows import CUT_FIELDS, PASTE_FIELDS, GpuFace, Kept, cut_row, paste_row

BLOCK = (16, 16, 1)
KERNELS = {  # their arguments: pointers and integers
    "faces_to_input": "PiiPiPiP",
    "changes_to_average": "PPPiPiP",
    "changes_to_worn": "PPPiPiP",
    "worn_to_frame": "PiiPiPi",
}
AT_FIRST = 4  # faces that there is memory for; it doubles


class OnDevice(Protocol):
    """A backend whose network reads and writes device memory (TensorRT, OnnxRuntimeCuda)."""

    card: ModelCard
    most: int  # faces at once
    half: bool  # whether pictures are float16 there

    def addresses(self, count: int) -> dict[str, int]: ...

    def enqueue(self, count: int) -> None: ...


class GpuFrames:
    """Frames whose faces never leave the GPU, nor do the changes that are kept of them; for one thread at a time.

    With TensorRT everything is queued on its stream, and recorded as a CUDA graph where cuda-bindings is installed; ONNX Runtime has a
    stream of its own, so there the kernels are waited for.
    """

    def __init__(self, backend: OnDevice):
        """Raises ReagingError without a driver, pycuda, or a compiler for the kernels that are not there yet."""
        self._backend, self.size = backend, backend.card.size[0]
        self._gpu: Device = getattr(backend, "gpu", None) or Device()
        self._own_stream = not hasattr(backend, "stream")
        self._replay: Replay | None = getattr(backend, "replay", None)
        self._frame: Buffer | None = None
        self._free: list[int] = []
        self._slots = 0
        self._kept: Any = None
        code = kernels_for(first_gpu(), getattr(backend, "engine_path", None))
        with self._gpu.current():
            cuda = self._gpu.cuda
            self._stream = cuda.Stream() if self._own_stream else backend.stream  # type: ignore[attr-defined]
            module = cuda.module_from_buffer(code)
            self._kernels = {name: module.get_function(name).prepare(takes) for name, takes in KERNELS.items()}
            self._cuts = Buffer(cuda, (AT_FIRST, CUT_FIELDS), np.float32)
            self._pastes = Buffer(cuda, (AT_FIRST, PASTE_FIELDS), np.float32)

    def keep(self) -> Kept:
        """Memory for the change of one face, to be filled by the first call with it; freed when it is let go."""
        if not self._free:
            with self._gpu.current():
                self._grow()
        return Kept(self._free)

    def __call__(self, frame: Frame, faces: Sequence[GpuFace], meanwhile: Callable[[], object] = lambda: None) -> Frame:
        """frame uint8 [H, W, 3] BGR -> a new frame, or the very same one where no change is shown.

        Outside the masks it is the one that went in, bit for bit; earlier faces keep their full change where faces overlap.  ``meanwhile``
        is called while the GPU is at work (with ONNX Runtime, which waits for the network, while it is at the rest).
        """
        cuts = [cut_row(face, frame, self.size) for face in faces if face.age is not None]
        pastes = [row for face in faces if (row := paste_row(face, frame, self.size)) is not None]
        if not cuts and not pastes:
            meanwhile()
            return frame
        with self._gpu.current():
            buffer = self._buffer(frame.shape)
            self._cuts, self._pastes = self._holding(self._cuts, cuts), self._holding(self._pastes, pastes)
            buffer.host[...] = frame
            self._queue((frame.shape, len(cuts), len(pastes)), buffer)
            try:
                meanwhile()
            finally:
                self._stream.synchronize()
            return buffer.host.copy() if pastes else frame  # the pinned memory is used again

    def _queue(self, key: tuple[tuple[int, ...], int, int], buffer: Buffer) -> None:
        (height, width, _), cuts, pastes = key

        def step() -> None:
            buffer.upload(height, self._stream)
            if cuts:
                self._cuts.upload(cuts, self._stream)
            for start in range(0, cuts, self._backend.most):
                self._change(buffer, start, min(self._backend.most, cuts - start))
            if pastes:
                self._pastes.upload(pastes, self._stream)
                args = (buffer.address, height, width, self._pastes.address, pastes, int(self._kept), self.size)
                self._launch("worn_to_frame", width, height, 1, *args)
                buffer.download(height, self._stream)

        if self._replay is None:
            step()
        else:
            self._replay(("frame", *key), step)

    def _change(self, buffer: Buffer, start: int, count: int) -> None:
        """Queues one batch: out of the frame, through the network, averaged with what was kept, and kept."""
        height, width, size, half = *buffer.host.shape[:2], self.size, int(self._backend.half)
        at, faces = self._backend.addresses(count), self._cuts.address + start * self._cuts.host.strides[0]
        self._launch("faces_to_input", size, size, count, buffer.address, height, width, faces, size, at["image"], half, at["age"])
        if self._own_stream:
            self._stream.synchronize()
        self._backend.enqueue(count)
        change = (at["image"], at["aged"], at["mask"], half, faces, size, int(self._kept))
        self._launch("changes_to_average", FINE, FINE, count, *change)
        self._launch("changes_to_worn", size, size, count, *change)

    def _launch(self, kernel: str, width: int, height: int, faces: int, *args: int) -> None:
        grid = (math.ceil(width / BLOCK[0]), math.ceil(height / BLOCK[1]), faces)
        self._kernels[kernel].prepared_async_call(grid, BLOCK, self._stream, *args)

    def _buffer(self, shape: tuple[int, ...]) -> Buffer:
        """Memory for frames of this size: a source's frames have one, so only the last size is kept."""
        if self._frame is None or self._frame.host.shape != shape:
            self._frame = self._new(shape, np.uint8)
        return self._frame

    def _holding(self, buffer: Buffer, rows: list[NDArray[np.float32]]) -> Buffer:
        """The buffer, or a larger one, with these rows in it."""
        room, fields = buffer.host.shape
        if len(rows) > room:
            buffer = self._new((max(len(rows), 2 * room), fields), np.float32)
        for i, row in enumerate(rows):
            buffer.host[i] = row
        return buffer

    def _new(self, shape: tuple[int, ...], kind: type) -> Buffer:
        self._forget()
        return Buffer(self._gpu.cuda, shape, kind)

    def _forget(self) -> None:
        """What is recorded has the old addresses, and what is queued still needs them."""
        self._stream.synchronize()
        if self._replay is not None:
            self._replay.forget()

    def _grow(self) -> None:
        """More memory for what is kept, with what is kept in it."""
        cuda, one, before = self._gpu.cuda, 4 * (4 * self.size**2 + 2 * 3 * FINE**2), self._slots
        self._slots = 2 * before or AT_FIRST
        larger = cuda.mem_alloc(self._slots * one)
        if before:
            cuda.memcpy_dtod_async(larger, self._kept, before * one, self._stream)
        self._forget()
        self._kept = larger
        self._free.extend(reversed(range(before, self._slots)))


def gpu_frames(backend: Any, says: Callable[[str], None] = lambda line: None) -> GpuFrames | None:
    """Frames on the GPU for a backend that runs there; None for one that does not, and, as ``says`` hears, without pycuda or kernels."""
    if backend.device != "cuda" or not hasattr(backend, "addresses"):
        return None
    try:
        return GpuFrames(backend)
    except ReagingError as error:
        says(f"the network runs on the GPU, the rest of a frame on the CPU: {error.what}")
        return None
