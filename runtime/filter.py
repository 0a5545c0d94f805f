"""FaceFilter: a frame in, the same frame with other ages out.  It reads and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np

from .ager import Ager
from .backends import open_backend
from .backends.base import Backend, Floats
from .bundled import GENERATOR, bundled
from .faces.face import Face
from .faces.template import cut, frame_to_crop
from .paste import paste
from .sources.base import Frame
from .stats import Stages


class Tracker(Protocol):
    """Finds faces and keeps them from frame to frame (faces.track.FaceTracker)."""

    def find(self, frame: Frame) -> bool: ...

    def align(self, frame: Frame, time_s: float) -> list[Face]: ...

    def reset(self) -> None: ...


class FaceFilter:
    """Ages every face of a frame to ``age`` years, which may be changed between frames; ``faces`` are those of the last frame."""

    def __init__(self, ager: Ager, tracker: Tracker, age: float = 70.0, stages: Stages | None = None):
        self.ager, self.tracker, self.age = ager, tracker, age
        self.stages = stages or Stages()
        self.faces: list[Face] = []
        self.faces_seen = 0  # summed over the frames

    def __call__(self, frame: Frame, time: float = 0.0) -> Frame:
        """frame uint8 [H, W, 3] BGR at ``time`` seconds -> a new frame, or the very same one where there is no face."""
        return self.at_ages(frame, time, [self.age])[0]

    def at_ages(self, frame: Frame, time: float, ages: Sequence[float]) -> list[Frame]:
        """One frame for each target age, finding and aligning the faces once."""
        crops, matrices = self._align(frame, time)
        return [self._aged(frame, crops, matrices, age) for age in ages]

    def reset(self) -> None:
        """Forgets the faces: the next frame has nothing to do with the last."""
        self.tracker.reset()

    def _align(self, frame: Frame, time: float) -> tuple[Frame, Floats]:
        start = perf_counter()
        if self.tracker.find(frame):
            self.stages.add("find", perf_counter() - start)
        with self.stages.measure("align"):
            self.faces = self.tracker.align(frame, time)
            size = self.ager.size
            matrices = [frame_to_crop(face.landmarks, size) for face in self.faces]
            crops = [cut(frame, matrix, size) for matrix in matrices]
        self.faces_seen += len(crops)
        return np.array(crops, np.uint8).reshape(-1, size, size, 3), np.array(matrices, np.float32).reshape(-1, 2, 3)

    def _aged(self, frame: Frame, crops: Frame, matrices: Floats, age: float) -> Frame:
        if not len(crops):
            return frame
        with self.stages.measure("infer"):
            change = self.ager(crops, age)
        with self.stages.measure("paste"):
            return paste(frame, change, matrices)


def open_filter(
    model: str | Path | None = None,
    age: float = 70.0,
    device: str = "auto",
    threads: int = 0,
    detector: str | Path | None = None,
) -> FaceFilter:
    """A filter with its model, device and tracker: what a program needs in most cases.

    ``model`` and ``detector`` (a YuNet ONNX) default to the bundled generator, finder and aligner; 0 threads means all cores.
    Raises ReagingError where a file or the device is missing.
    """
    return filter_with(open_backend(model or bundled(GENERATOR), device, threads), age, threads, detector)


def filter_with(backend: Backend, age: float = 70.0, threads: int = 0, detector: str | Path | None = None) -> FaceFilter:
    """The same around a backend that is open already."""
    from .faces.track import FaceTracker

    if detector is not None:
        from .faces.find import YuNetFinder

        return FaceFilter(Ager(backend), FaceTracker(YuNetFinder(detector)), age)
    from .faces.find import FaceFinder
    from .faces.landmarks import FaceAligner

    count = threads or 1  # both nets are too small to be worth a second thread
    return FaceFilter(Ager(backend), FaceTracker(FaceFinder(threads=count), FaceAligner(threads=count)), age)
