"""FaceFilter: a frame in, the same frame with other ages out.  It reads and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np

from .ager import Ager
from .backends import open_backend
from .backends.base import Backend, Floats
from .background import Background
from .bundled import generator_path
from .faces.face import Face
from .faces.template import cut, frame_to_crop
from .glide import Glide
from .paste import paste_patches, patch
from .sources.base import Frame
from .stats import Stages
from .steady import Worn, carried, worn

GLIDE_S = 0.5  # until a new target age is reached
FADE_S = 0.3  # in which a face's change comes and goes


class Tracker(Protocol):
    """Finds faces and keeps them from frame to frame (faces.track.FaceTracker)."""

    def find(self, frame: Frame) -> bool: ...

    def align(self, frame: Frame, time_s: float) -> list[Face]: ...

    def reset(self) -> None: ...


@dataclass
class _Look:
    """How one track looks by now; it may be lost and fading."""

    age: Glide
    shown: Glide  # 0 to 1
    matrix: Floats  # [2, 3], frame to crop, where it was last seen
    crop: Frame  # [S, S, 3] RGB, what is there by now


@dataclass(frozen=True)
class _Job:
    """Crops [N, S, S, 3] of N tracks for the generator, and the age in years of each; ``column`` tells the ages of a sheet apart."""

    column: int
    tracks: tuple[int, ...]
    crops: Frame
    ages: tuple[float, ...]
    time: float
    alone: bool  # to be shown as it is, not mixed with what was before
    epoch: int  # resets until then


class FaceFilter:
    """Ages the faces of a frame; every target may be changed between frames, from any thread.

    ``age``: years for all faces without an age of their own; ``ages``: own targets by ``Face.track``.  A new target is reached ``glide_s``
    seconds of the frames' time later; a photo's, and the first of a clip, at once.  ``strength`` 0 to 1: how much of the change is shown;
    ``on``: whether any is.  Faces that come and go, ``strength`` and ``on`` fade over ``fade_s`` seconds.  ``steady``: whether a change is
    calmed where its face does not move.  ``faces`` are the last frame's.
    """

    def __init__(self, ager: Ager, tracker: Tracker, age: float = 70.0, stages: Stages | None = None):
        self.ager, self.tracker, self.age = ager, tracker, age
        self.ages: dict[int, float] = {}
        self.strength, self.on = 1.0, True
        self.glide_s, self.fade_s = GLIDE_S, FADE_S
        self.steady = True
        self.stages = stages or Stages()
        self.faces: list[Face] = []
        self.faces_seen = 0  # summed over the frames
        self._epoch = 0
        self._background: Background[list[_Job]] | None = None
        self._forget()

    def __call__(self, frame: Frame, time: float = 0.0) -> Frame:
        """frame uint8 [H, W, 3] BGR at ``time`` seconds -> a new frame, or the very same one where there is nothing to change.

        Where ``time`` does not advance the frame stands alone: nothing glides or fades.
        """
        return self._aged(frame, time, [None])[0]

    def at_ages(self, frame: Frame, time: float, ages: Sequence[float]) -> list[Frame]:
        """One frame for each target age, which all faces have, finding and aligning the faces once."""
        return self._aged(frame, time, list(ages))

    def face_at(self, x: float, y: float) -> Face | None:
        """The face of the last frame whose box holds a point in the frame's pixels, the nearest of several; None where none does."""

        def distance(face: Face) -> float:
            return float(np.hypot(*(face.box[:2] + face.box[2:] / 2 - (x, y))))

        holding = [f for f in self.faces if f.box[0] <= x <= f.box[0] + f.box[2] and f.box[1] <= y <= f.box[1] + f.box[3]]
        return min(holding, key=distance, default=None)

    def reset(self) -> None:
        """Forgets the faces: the next frame has nothing to do with the last."""
        self.tracker.reset()
        self._forget()

    @contextmanager
    def carrying(self) -> Iterator[None]:
        """Meanwhile no frame waits for the generator, which runs in a thread of its own.

        It takes the newest crops as fast as it can, and its newest change is carried to where each face is by now.
        """
        with Background[list[_Job]](self._generate) as self._background:
            try:
                yield
            finally:
                self._background = None

    def _forget(self) -> None:
        self._epoch += 1
        self._time: float | None = None
        self._looks: dict[int, _Look] = {}
        self._gain: Glide | None = None
        self._changes: dict[tuple[int, int], Worn] = {}  # by column and track

    def _aged(self, frame: Frame, time: float, columns: list[float | None]) -> list[Frame]:
        """One frame for each column, where None stands for the faces' own targets."""
        alone = self._time is None or time <= self._time
        self._time = time
        crops = self._follow(frame, time)
        target = self.strength if self.on else 0.0
        self._gain = self._gain or Glide(target, time)
        gain = self._gain(target, time, 0.0 if alone else self.fade_s)
        tracks = tuple(face.track for face in self.faces)
        own = tuple(self._own_age(track, time, alone) for track in tracks)
        preparing = 0.0
        if tracks and gain > 0:
            ages = [own if age is None else (age,) * len(tracks) for age in columns]
            jobs = [_Job(i, tracks, crops, years, time, alone, self._epoch) for i, years in enumerate(ages)]
            if self._background is not None:
                self._background.submit(jobs)
            else:
                preparing = self._generate(jobs)
        self._fade(tracks, time, alone)
        start = perf_counter()
        frames = [self._pasted(frame, column, gain) for column in range(len(columns))]
        if any(aged is not frame for aged in frames):
            self.stages.add("paste", perf_counter() - start + preparing)
        return frames

    def _follow(self, frame: Frame, time: float) -> Frame:
        """Finds and aligns the faces and cuts their crops [N, S, S, 3]."""
        start, size = perf_counter(), self.ager.size
        if self.tracker.find(frame):
            self.stages.add("find", perf_counter() - start)
        with self.stages.measure("align"):
            self.faces = self.tracker.align(frame, time)
            crops = np.empty((len(self.faces), size, size, 3), np.uint8)
            for face, crop in zip(self.faces, crops, strict=True):
                matrix = frame_to_crop(face.landmarks, size)
                crop[:] = cut(frame, matrix, size)
                look = self._looks.get(face.track)
                if look is None:
                    age, shown = Glide(self.ages.get(face.track, self.age), time), Glide(0.0, time)
                    look = self._looks[face.track] = _Look(age, shown, matrix, crop)
                look.matrix, look.crop = matrix, crop
            there = {face.track for face in self.faces}
            for look in (look for track, look in self._looks.items() if track not in there):
                look.crop = cut(frame, look.matrix, size)
        self.faces_seen += len(self.faces)
        return crops

    def _own_age(self, track: int, time: float, alone: bool) -> float:
        return self._looks[track].age(self.ages.get(track, self.age), time, 0.0 if alone else self.glide_s)

    def _generate(self, jobs: list[_Job]) -> float:
        """Runs the generator and keeps its changes; returns the seconds that preparing them took."""
        preparing = 0.0
        for job in jobs:
            with self.stages.measure("infer"):
                change = self.ager(job.crops, job.ages)
            start = perf_counter()
            for i, track in enumerate(job.tracks):
                before = self._changes.get((job.column, track)) if self.steady and not job.alone else None
                after = worn(patch(change.delta[i], change.mask[i]), job.crops[i], job.ages[i], job.time, before)
                if job.epoch == self._epoch:
                    self._changes[job.column, track] = after
            preparing += perf_counter() - start
        return preparing

    def _fade(self, tracks: tuple[int, ...], time: float, alone: bool) -> None:
        """Faces that are there come in, once they have a change; the others go, and are forgotten when they are gone."""
        for track, look in list(self._looks.items()):
            there = track in tracks and (0, track) in self._changes
            look.shown(1.0 if there else 0.0, time, 0.0 if alone else self.fade_s)
            if not look.shown.value and track not in tracks:
                del self._looks[track]
        for key in [key for key in list(self._changes) if key[1] not in self._looks]:
            self._changes.pop(key, None)

    def _pasted(self, frame: Frame, column: int, gain: float) -> Frame:
        """The frame with the newest change of every face, where the face is now."""
        looks = [(look, self._changes.get((column, track))) for track, look in self._looks.items()]
        shown = [
            (change.patch if change.time == self._time else carried(change, look.crop), look.matrix, look.shown.value * gain)
            for look, change in looks
            if change
        ]
        return paste_patches(frame, *zip(*shown, strict=True)) if shown else frame


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
    return filter_with(open_backend(generator_path(model), device, threads), age, threads, detector)


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
