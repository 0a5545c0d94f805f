"""FaceFilter: a frame in, the same frame with other ages out.  It reads and writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from .ager import Ager
from .backends import open_backend
from .backends.base import Backend, Floats, cores
from .background import Background
from .bundled import generator_path
from .faces.face import Face
from .faces.template import cut, frame_to_crop, resized
from .glide import Glide
from .paste import paste_patches, patch
from .sources.base import Frame
from .stats import Stages
from .steady import FINE, Moment, Worn, carried, moment, remaining, worn

if TYPE_CHECKING:
    from .cuda.frames import GpuFrames
    from .cuda.rows import GpuFace, Kept

GLIDE_S = 0.5  # until a new target age is reached
FADE_S = 0.3  # in which a face's change comes and goes


class Tracker(Protocol):
    """Finds faces and keeps them from frame to frame (faces.track.FaceTracker).

    ``follows``: whether it brings known faces to a new frame without the finder.
    """

    follows: bool

    def due(self) -> bool: ...

    def search(self, frame: Frame) -> list[Face]: ...

    def take(self, found: list[Face]) -> None: ...

    def align(self, frame: Frame, time_s: float) -> list[Face]: ...

    def reset(self) -> None: ...


@dataclass
class _Look:
    """How one track looks by now; it may be lost and fading."""

    age: Glide
    shown: Glide  # 0 to 1
    matrix: Floats  # [2, 3], frame to crop, where it was last seen
    seen: Frame = field(default_factory=lambda: np.empty((FINE, FINE, 3), np.uint8))  # RGB, what is there by now


@dataclass(frozen=True)
class _Job:
    """N tracks of a frame for the generator: frame to crop, what is there in 64 x 64 pixels, and for each column of a sheet (in most cases
    one) the age in years of each."""

    frame: Frame
    tracks: tuple[int, ...]
    matrices: list[Floats]
    seen: list[Frame]
    ages: tuple[tuple[float, ...], ...]
    time: float
    alone: bool  # to be shown as it is, not mixed with what was before
    epoch: int  # resets until then


class FaceFilter:
    """Ages the faces of a frame; every target may be changed between frames, from any thread.

    ``age``: years for all faces without an age of their own; ``ages``: own targets by ``Face.track``.  A new target is reached ``glide_s``
    seconds of the frames' time later; a photo's, and the first of a clip, at once.  ``strength`` 0 to 1: how much of the change is shown;
    ``on``: whether any is.  Faces that come and go, ``strength`` and ``on`` fade over ``fade_s`` seconds.  ``steady``: whether a change is
    calmed where its face does not move.  ``faces`` are the last frame's.

    With ``gpu`` (cuda/frames.py) all that is done to pixels is one pass over the GPU, where the changes stay.
    """

    def __init__(self, ager: Ager, tracker: Tracker, age: float = 70.0, stages: Stages | None = None, gpu: GpuFrames | None = None):
        self.gpu = gpu
        self.ager, self.tracker, self.age = ager, tracker, age
        self.ages: dict[int, float] = {}
        self.strength, self.on = 1.0, True
        self.glide_s, self.fade_s = GLIDE_S, FADE_S
        self.steady = True
        self.stages = stages or Stages()
        self.faces: list[Face] = []
        self.faces_seen = 0  # summed over the frames
        self._epoch = 0
        self._background: Background[_Job] | None = None
        self._searching = False  # the finder is wanted, or what it found is not taken yet
        self._found: tuple[int, list[Face]] | None = None  # in which epoch, and what
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
        """Meanwhile no frame waits for the generator or the finder, which share a thread: two would leave no core to the frames.

        The generator takes the newest frame as fast as it can, and its newest change is carried to where each face is by now; faces that
        the finder saw are followed from a frame or two later on.  With ``gpu`` only the finder has the thread: each frame gets its own
        change, for which it waits.
        """
        self._searching, self._found = False, None
        with opencv_sparing_a_core(), Background[_Job](self._beside) as self._background:
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
        self._kept: dict[tuple[int, int], tuple[Kept, Moment]] = {}  # the same on the GPU

    def _aged(self, frame: Frame, time: float, columns: list[float | None]) -> list[Frame]:
        """One frame for each column, where None stands for the faces' own targets."""
        alone = self._time is None or time <= self._time
        self._time = time
        meanwhile = self._find(frame, self.gpu is not None and self.tracker.follows and bool(self.faces) and not alone)
        with self.stages.measure("align"):
            self._follow(frame, time)
        target = self.strength if self.on else 0.0
        self._gain = self._gain or Glide(target, time)
        gain = self._gain(target, time, 0.0 if alone else self.fade_s)
        tracks = tuple(face.track for face in self.faces)
        own = tuple(self._own_age(track, time, alone) for track in tracks)
        wanted = tracks if gain > 0 else ()
        ages = tuple(own if age is None else (age,) * len(tracks) for age in columns)
        looks = [self._looks[track] for track in wanted]
        job = _Job(frame, wanted, [look.matrix for look in looks], [look.seen for look in looks], ages, time, alone, self._epoch)
        if self.gpu is not None:
            frames = self._over_gpu(self.gpu, job, tracks, gain, meanwhile)
            job = replace(job, tracks=())
        else:
            frames = self._over_cpu(job, tracks, gain)
        if self._background is not None and (job.tracks or self._searching):
            self._background.submit(job)  # not before: a thread that wakes up may take this one's core
        return frames

    def _over_cpu(self, job: _Job, there: tuple[int, ...], gain: float) -> list[Frame]:
        if job.tracks and self._background is None:
            self._generate(job)
        self._fade(there, self._changes, job)
        start = perf_counter()
        frames = [self._pasted(job.frame, column, gain) for column in range(len(job.ages))]
        if any(aged is not job.frame for aged in frames):
            self.stages.add("paste", perf_counter() - start)
        return frames

    def _find(self, frame: Frame, later: bool) -> Callable[[], None]:
        """Lets the finder look at the frame where it is time for that, and the tracker know what was found in it or the last ones.

        What has to be done ``later``, while the GPU is at work on faces that are known already, is what it returns.
        """

        def search() -> None:
            self.tracker.take(self._search(frame))

        if self._background is None:
            if not self.tracker.due():
                return _nothing
            if later:
                return search
            search()
            return _nothing
        if self._found is not None:
            epoch, found = self._found
            self._searching, self._found = False, None
            if epoch == self._epoch:
                self.tracker.take(found)
        self._searching = self._searching or self.tracker.due()
        return _nothing

    def _search(self, frame: Frame) -> list[Face]:
        with self.stages.measure("find"):
            return self.tracker.search(frame)

    def _beside(self, job: _Job) -> None:
        """What the thread beside the frames does with the newest one."""
        if self._searching and self._found is None:
            self._found = job.epoch, self._search(job.frame)
        if job.tracks:
            self._generate(job)

    def _follow(self, frame: Frame, time: float) -> None:
        """Aligns the faces and looks at the place of each, of one that was lost where it was last."""
        self.faces = self.tracker.align(frame, time)
        size = self.ager.size
        for face in self.faces:
            matrix = frame_to_crop(face.landmarks, size)
            look = self._looks.get(face.track)
            if look is None:
                age, shown = Glide(self.ages.get(face.track, self.age), time), Glide(0.0, time)
                look = self._looks[face.track] = _Look(age, shown, matrix)
            look.matrix = matrix
        for look in self._looks.values():
            look.seen = cut(frame, resized(look.matrix, FINE / size), FINE)
        self.faces_seen += len(self.faces)

    def _own_age(self, track: int, time: float, alone: bool) -> float:
        return self._looks[track].age(self.ages.get(track, self.age), time, 0.0 if alone else self.glide_s)

    def _generate(self, job: _Job) -> None:
        """Runs the generator and keeps its changes."""
        start = perf_counter()
        cuts = [cut(job.frame, matrix, self.ager.size) for matrix in job.matrices]
        crops = np.stack(cuts) if len(cuts) > 1 else cuts[0][None]
        preparing = perf_counter() - start
        for column, ages in enumerate(job.ages):
            with self.stages.measure("infer"):
                change = self.ager(crops, ages)
            start = perf_counter()
            for i, track in enumerate(job.tracks):
                before = self._changes.get((column, track)) if self.steady and not job.alone else None
                after = worn(patch(change.delta[i], change.mask[i]), job.seen[i], ages[i], job.time, before)
                if job.epoch == self._epoch:
                    self._changes[column, track] = after
            preparing += perf_counter() - start
        self.stages.add("prepare", preparing)

    def _fade(self, there: tuple[int, ...], changes: dict[tuple[int, int], Any], job: _Job) -> None:
        """Faces that are there come in, once they have a change; the others go, and are forgotten when they are gone."""
        for track, look in list(self._looks.items()):
            comes = track in there and (0, track) in changes
            look.shown(1.0 if comes else 0.0, job.time, 0.0 if job.alone else self.fade_s)
            if not look.shown.value and track not in there:
                del self._looks[track]
        for key in [key for key in list(changes) if key[1] not in self._looks]:
            changes.pop(key, None)

    def _over_gpu(self, gpu: GpuFrames, job: _Job, there: tuple[int, ...], gain: float, meanwhile: Callable[[], None]) -> list[Frame]:
        """The same in one pass over the GPU, where the changes are kept: it makes each frame's own, and shows them at once."""
        new: dict[tuple[int, int], tuple[float, Floats | None]] = {}
        for column, ages in enumerate(job.ages):
            for track, seen, age in zip(job.tracks, job.seen, ages, strict=False):
                kept, before = self._kept.get((column, track)) or (gpu.keep(), None)
                now, weight = moment(seen, age, job.time, before if self.steady and not job.alone else None)
                self._kept[column, track], new[column, track] = (kept, now), (age, weight)
        self._fade(there, self._kept, job)
        try:
            with self.stages.measure("infer"):
                frames = [
                    gpu(job.frame, self._on_gpu(column, gain, new), _nothing if column else meanwhile) for column in range(len(job.ages))
                ]
        except Exception as error:  # pycuda's and the engines' own stand straight below Exception
            self._kept.clear()  # nobody knows what is there by now
            self.ager.count(error)
            return [job.frame] * len(job.ages)
        self.ager.note = ""
        return frames

    def _on_gpu(self, column: int, gain: float, new: dict[tuple[int, int], tuple[float, Floats | None]]) -> list[GpuFace]:
        """The faces as they are shown now: with an age and a weight where they get a new change."""
        from .cuda.rows import GpuFace

        faces = []
        for track, look in self._looks.items():
            if (column, track) in self._kept:
                kept, made = self._kept[column, track]
                age, weight = new.get((column, track), (None, None))
                share = remaining(made, look.seen) if made.time != self._time else None
                faces.append(GpuFace(look.matrix, kept, age, look.shown.value * gain, weight, share))
        return faces

    def _pasted(self, frame: Frame, column: int, gain: float) -> Frame:
        """The frame with the newest change of every face, where the face is now."""
        looks = [(look, self._changes.get((column, track))) for track, look in self._looks.items()]
        shown = [
            (change.patch if change.time == self._time else carried(change, look.seen), look.matrix, look.shown.value * gain)
            for look, change in looks
            if change
        ]
        return paste_patches(frame, *zip(*shown, strict=True)) if shown else frame


def _nothing() -> None:
    pass


def spare_core() -> int:
    """Threads that leave one core to somebody else: what the generator should have while frames do not wait for it."""
    return max(1, cores() - 1)


@contextmanager
def opencv_sparing_a_core() -> Iterator[None]:
    """Meanwhile OpenCV leaves one core to the decoder, or to the generator: its steps on a face are shorter than a thread's awakening."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(spare_core())
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def open_filter(
    model: str | Path | None = None,
    age: float = 70.0,
    device: str = "auto",
    threads: int = 0,
    detector: str | Path | None = None,
    live: bool = False,
) -> FaceFilter:
    """A filter with its model, device and tracker: what a program needs in most cases.

    ``model`` and ``detector`` (a YuNet ONNX) default to the bundled generator, finder and aligner; 0 threads means all cores, and all but
    one of a filter that is used ``live``.  Raises ReagingError where a file or the device is missing.
    """
    count = threads or (spare_core() if live else 0)
    return filter_with(open_backend(generator_path(model), device, count), age, threads, detector)


def filter_with(
    backend: Backend,
    age: float = 70.0,
    threads: int = 0,
    detector: str | Path | None = None,
    says: Callable[[str], None] = lambda line: None,
) -> FaceFilter:
    """The same around a backend that is open already; ``says`` hears why frames do not stay on its GPU, where they do not."""
    from .cuda.frames import gpu_frames
    from .faces.track import FaceTracker

    gpu = gpu_frames(backend, says)
    if detector is not None:
        from .faces.find import YuNetFinder

        return FaceFilter(Ager(backend), FaceTracker(YuNetFinder(detector)), age, gpu=gpu)
    from .faces.find import FaceFinder
    from .faces.landmarks import FaceAligner

    count = threads or 1  # both nets are too small to be worth a second thread
    return FaceFilter(Ager(backend), FaceTracker(FaceFinder(threads=count), FaceAligner(threads=count)), age, gpu=gpu)
