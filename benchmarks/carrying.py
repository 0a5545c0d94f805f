"""What a generator that is slower than the camera costs, with its changes carried to where the faces are by now and without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..card import ModelCard
from ..runtime.ager import Ager
from ..runtime.backends.base import Backend, Floats
from ..runtime.faces.find import FaceFinder
from ..runtime.faces.landmarks import FaceAligner
from ..runtime.faces.template import cut, frame_to_crop
from ..runtime.faces.track import FaceTracker
from ..runtime.filter import FaceFilter
from ..runtime.live import play
from ..runtime.sinks.base import Null
from ..runtime.sources.base import Frame, Shot
from .steadiness import SIZE, averaged, on_the_face, read_shots, sheet, whole_tracks

UNTOUCHED = 2  # gray levels up to which a pixel counts as left alone


class _Late:
    """In place of the thread beside the frames: has its change so many frames later, on any machine alike; only the finder is in time."""

    def __init__(self, face_filter: FaceFilter, frames: int):
        self._filter, self._frames, self._left = face_filter, frames, 0
        self._job: Any = None

    def submit(self, job: Any) -> None:
        if self._filter._searching and self._filter._found is None:
            self._filter._found = job.epoch, self._filter._search(job.frame)
        if not job.tracks:
            return
        if self._job is None:
            self._job, self._left = job, self._frames
        self._left -= 1  # what is made now is shown from the next frame on
        if self._left <= 0:
            self._filter._generate(self._job)
            self._job = None


class _Left(FaceFilter):
    """Shows each change where its face was when the generator got it: what carrying it forward is against."""

    def _follow(self, frame: Frame, time: float) -> None:
        super()._follow(frame, time)
        self._places = getattr(self, "_places", {}) | {(n, time): look.matrix for n, look in self._looks.items()}

    def _pasted(self, frame: Frame, column: int, gain: float) -> Frame:
        for track, look in self._looks.items():
            change = self._changes.get((column, track))
            look.matrix = look.matrix if change is None else self._places[track, change.time]
        return super()._pasted(frame, column, gain)


def measure_carrying(clip: str, backend: Backend, age: float, late: int = 3, frames: int = 150) -> tuple[dict[str, Any], Frame]:
    """What a generator that is ``late`` frames behind costs, with its change carried forward and without, and a sheet of both.

    In gray levels: ``off`` is the mean difference on the face to the frames of a generator that is never late, ``halo`` the mean change
    beside it of what that generator leaves alone.
    """
    shots = read_shots(clip, frames)
    finder, aligner = FaceFinder(), FaceAligner()
    tracks = whole_tracks(shots, FaceTracker(finder, aligner, smooth=False))
    matrices = [[frame_to_crop(points, SIZE) for points in averaged(track)] for track in tracks.values()]
    shown: dict[str, list[Frame]] = {}
    for name, kind in (("in time", FaceFilter), ("carried", FaceFilter), ("left", _Left)):
        face_filter = kind(Ager(backend), FaceTracker(finder, aligner), age)
        if name != "in time":
            face_filter._background = _Late(face_filter, late)  # type: ignore[assignment]
        shown[name] = [face_filter(shot.frame, shot.time) for shot in shots]
    inside, warm = on_the_face(), 4 * late + 10
    report: dict[str, Any] = {"clip": Path(clip).name, "frames_late": late}
    for name in ("carried", "left"):
        off, halo = [], []
        for along in matrices:
            for shot, m, late_frame, frame in list(zip(shots, along, shown[name], shown["in time"], strict=True))[warm:]:
                clip_crop, wrong, right = (cut(f, m, SIZE).astype(np.int16) for f in (shot.frame, late_frame, frame))
                off.append(np.abs(wrong - right)[inside].mean())
                untouched = (np.abs(right - clip_crop).max(axis=2) <= UNTOUCHED) & ~inside
                halo.append(np.abs(wrong - clip_crop)[untouched].mean() if untouched.any() else 0.0)
        report[f"off_{name}"], report[f"halo_{name}"] = round(float(np.mean(off)), 2), round(float(np.mean(halo)), 2)
    return report, sheet(*shown.values())


class SlowBackend:
    """A generator that takes so many milliseconds more."""

    def __init__(self, backend: Backend, milliseconds: float):
        self.card: ModelCard = backend.card
        self.device = backend.device
        self._backend, self._seconds = backend, milliseconds / 1000

    def run(self, image: Floats, age: Floats) -> tuple[Floats, Floats]:
        """See Backend.run."""
        time.sleep(self._seconds)
        return self._backend.run(image, age)


class _Waiting(FaceFilter):
    """Waits for the generator on every frame, live or not."""

    @contextmanager
    def carrying(self) -> Iterator[None]:
        yield


class ClipAsCamera:
    """A clip whose frames come when their time has come, whether or not anybody is ready for them."""

    live, still, note = True, False, ""

    def __init__(self, clip: str, frames: int):
        self._shots = read_shots(clip, frames)
        height, width = self._shots[0].frame.shape[:2]
        self.size = (width, height)
        self.total: int | None = len(self._shots)
        self.fps = (len(self._shots) - 1) / (self._shots[-1].time - self._shots[0].time)

    def __iter__(self) -> Iterator[Shot]:
        start = time.monotonic() - self._shots[0].time
        for shot in self._shots:
            time.sleep(max(0.0, start + shot.time - time.monotonic()))
            yield shot

    def close(self) -> None:
        """Nothing to end."""


def measure_live(clip: str, backend: Backend, age: float, slow_ms: float, frames: int = 150) -> dict[str, Any]:
    """A clip played as a camera through the live loop with a generator that is ``slow_ms`` slower, its change carried forward and not:
    frames a second shown, the generator's runs a second, and milliseconds of delay.  Times depend on what else the machine does."""
    result: dict[str, Any] = {"clip": Path(clip).name, "slow_ms": slow_ms}
    finder, aligner = FaceFinder(), FaceAligner()
    for name, kind in (("carried", FaceFilter), ("waiting", _Waiting)):
        camera = ClipAsCamera(clip, frames)
        face_filter = kind(Ager(SlowBackend(backend, slow_ms)), FaceTracker(finder, aligner), age)
        start = time.perf_counter()
        count = play(camera, face_filter, face_filter, Null())
        seconds = time.perf_counter() - start
        summary = face_filter.stages.summary()
        result[name] = {
            "camera_fps": round(camera.fps, 1),
            "shown_fps": round(count / seconds, 1),
            "generator_runs": round(face_filter.stages.count("infer") / seconds, 1),
            "delay_p50": summary["delay"]["p50"],
            "delay_p95": summary["delay"]["p95"],
        }
    return result
