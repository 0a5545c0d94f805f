"""The frame kernels on a GPU against the CPU's pipeline, with a network whose answers are known beforehand."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ..card import ModelCard
from ..runtime.ager import Ager
from ..runtime.backends.base import Floats
from ..runtime.cuda.buffers import Buffer, Device
from ..runtime.cuda.frames import GpuFrames
from ..runtime.faces.face import Face
from ..runtime.faces.template import cut, face_box, frame_to_crop
from ..runtime.filter import FaceFilter
from ..runtime.sources.base import Frame

SIZE, FACES, FRAME = 256, 2, (720, 1280)
ANSWERS = (0.25, -0.4, 0.3)  # of the known network, frame by frame
LEVELS = 2  # gray levels that the two may be apart: OpenCV places a sample to 1/32 of a pixel, and rounds more often
SHAPE = np.array([[-15, -15], [15, -15], [0, 0], [-12, 17], [12, 17]], np.float32)  # a face whose square has 120 pixels a side


class Trembling:
    """A tracker of faces side by side, each a little more than half the frame's height, that tremble; of none once they are ``gone``."""

    follows = True

    def __init__(self, shape: tuple[int, ...], count: int = 1):
        centers = [(shape[1] * (i + 1) / (count + 1), shape[0] / 2) for i in range(count)]
        self._faces = [(SHAPE * (shape[0] * 0.55 / 120) + c).astype(np.float32) for c in centers]
        self.gone = False

    def due(self) -> bool:
        """Never: there is nothing to find."""
        return False

    def search(self, frame: Frame) -> list[Face]:
        return []

    def take(self, found: list[Face]) -> None:
        pass

    def align(self, frame: Frame, time_s: float) -> list[Face]:
        if self.gone:
            return []
        moved = [(points + 2 * np.sin(5 * time_s)).astype(np.float32) for points in self._faces]
        return [Face(face_box(points), points, 1.0, i) for i, points in enumerate(moved)]

    def reset(self) -> None:
        pass


class Known:
    """A network that answers ``aged`` for each pixel of each face, on the CPU and on the GPU."""

    device, half, most = "cuda", False, FACES

    def __init__(self) -> None:
        self.gpu, self.card = Device(), ModelCard("generator", "known", (SIZE, SIZE))
        at = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, SIZE, dtype=np.float32)] * 2))
        self._mask = np.array(np.broadcast_to(np.clip(1.2 - at, 0, 1), (FACES, 1, SIZE, SIZE)))
        picture = (FACES, 3, SIZE, SIZE)
        shapes = {"image": picture, "age": (FACES,), "aged": picture, "mask": self._mask.shape}
        with self.gpu.current():
            self.stream = self.gpu.cuda.Stream()
            self._buffers = {name: Buffer(self.gpu.cuda, shape, np.float32) for name, shape in shapes.items()}
            self._buffers["mask"].host[...] = self._mask
            self._buffers["mask"].upload(FACES, self.stream)
            self.stream.synchronize()
        self.aged = 0.0

    def answer(self, aged: float) -> None:
        """From now on."""
        self.aged = aged
        self._buffers["aged"].host[...] = aged
        with self.gpu.current():
            self._buffers["aged"].upload(FACES, self.stream)
            self.stream.synchronize()

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run."""
        return np.full_like(image, self.aged), self._mask[: len(image)]

    def addresses(self, count: int) -> dict[str, int]:
        """See cuda.frames.OnDevice."""
        return {name: buffer.address for name, buffer in self._buffers.items()}

    def enqueue(self, count: int) -> None:
        """Nothing: the answer lies there."""

    def input(self) -> Floats:
        """What the kernels have cut out, in gray levels [N, S, S, 3]."""
        with self.gpu.current():
            self._buffers["image"].download(FACES, self.stream)
            self.stream.synchronize()
        return (self._buffers["image"].host.transpose(0, 2, 3, 1) + 1) * 127.5


def kernels() -> dict[str, Any]:
    """Frames with new changes, each calmed by those before, and one on which the faces are lost and what is kept of them fades.

    Raises ReagingError without a GPU.
    """
    known, tracker, apart = Known(), Trembling(FRAME, FACES), dict[str, float]()
    on_gpu, without = FaceFilter(Ager(known), tracker, gpu=GpuFrames(known)), FaceFilter(Ager(known), tracker)
    for i, aged in enumerate(ANSWERS):
        known.answer(aged)
        frame, time = _scene(i), i / 30
        apart[f"frame {i + 1}"] = _largest(on_gpu(frame, time), without(frame, time))
        crops = [cut(frame, frame_to_crop(face.landmarks, SIZE), SIZE) for face in without.faces]
        apart[f"input {i + 1}"] = _largest(known.input(), np.stack(crops))
    tracker.gone = True
    covered, time = _scene(len(ANSWERS)), len(ANSWERS) / 30
    covered[:, : FRAME[1] // 3] = 20  # something before a part of the first face
    shown = without(covered, time)
    apart["lost"] = _largest(on_gpu(covered, time), shown)
    if shown is covered:
        raise RuntimeError("nothing is carried: this comparison says nothing")
    return {"largest difference in gray levels": apart, "within": all(v <= LEVELS for v in apart.values())}


def _scene(seed: int) -> Frame:
    """The same picture with other noise, both soft."""
    scene, noise = (np.random.default_rng(n).normal(0, 1, (*FRAME, 3)).astype(np.float32) for n in (0, 1 + seed))
    return np.clip(120 + 500 * cv2.GaussianBlur(scene, (0, 0), 6) + 20 * cv2.GaussianBlur(noise, (0, 0), 3), 0, 255).astype(np.uint8)


def _largest(first: Any, second: Any) -> float:
    return float(np.abs(first.astype(np.float32) - second).max())
