"""Long runs: one clip over and over into each sink, and whether anything grows, slows down or is left behind."""

from __future__ import annotations

import gc
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import ReagingError
from ..runtime.backends.base import Backend
from ..runtime.filter import FaceFilter, filter_with
from ..runtime.live import play
from ..runtime.sinks import Sink, open_sink
from ..runtime.sinks.several import Several
from ..runtime.sinks.web import Web
from ..runtime.sources import Shot, open_source
from ..runtime.sources.base import Frame
from .report import markdown_table

GROWTH, SLOWDOWN = 0.05, 0.20  # of memory after the first tenth, and of the frame time's p99: above, a run has failed
SAMPLES = 200  # of the memory, over a run
PACE_EVERY, PACE_OVER = 10, 5  # frames between two looks at the machine's own pace; so many neighbors' median counts
SINKS = ("null", "video", "pictures", "http", "virtual", "video+http+null")


@dataclass(frozen=True)
class Soaked:
    """One sink's run.  Times are of each frame's view and sink, on the clock and of the processor; tenths leave out the first hundredth."""

    sink: str
    frames: int
    faces: int
    seconds: float
    memory: list[tuple[int, int]]  # after so many frames, so many bytes resident
    growth: float  # of the memory's mean over the last tenth over that of the second
    p99_ms: tuple[float, float]  # of the first and the last tenth
    processor_p99_ms: tuple[float, float]
    paced_p99: tuple[float, float]  # the same in times of a fixed piece of work, done there and then
    times_ms: list[float]  # p99 of each hundredth, of the processor
    threads: tuple[int, int]  # before and after
    handles: tuple[int, int]
    left: list[str]  # temporary files that were not there before

    @property
    def failed(self) -> list[str]:
        """What does not hold, in words.  Of the times those in fixed pieces of work count: they see neither other programs nor how the
        processor's clock moves."""
        first, last = self.paced_p99
        wrong = {
            f"memory grew by {100 * self.growth:.1f} %": self.growth > GROWTH,
            f"the last tenth is {last / first:.2f} times as slow": last > (1 + SLOWDOWN) * first,
            f"{self.threads[1] - self.threads[0]} threads are left": self.threads[1] > self.threads[0],
            f"{self.handles[1] - self.handles[0]} file handles are left": self.handles[1] > self.handles[0],
            f"left: {', '.join(self.left)}": bool(self.left),
        }
        return [words for words, holds in wrong.items() if holds]


class Looped:
    """A clip over and over, opened anew each time, with times that go on; scaled to ``size`` (width, height) where that is given."""

    live = still = False
    note = ""

    def __init__(self, name: str, size: tuple[int, int] | None = None):
        self._name, self._size = name, size
        with self._opened() as clip:
            self.fps, self.size = clip.fps, size or clip.size
            if clip.live or clip.still:
                raise ReagingError(f"{name} has no end to begin again at", "a clip", "name a video file, or demo")
        self.total: int | None = None

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        clip = open_source(self._name)
        try:
            yield clip
        finally:
            clip.close()

    def __iter__(self) -> Iterator[Shot]:
        seen = 0
        while True:
            with self._opened() as clip:
                for shot in clip:
                    seen += 1
                    frame = cv2.resize(shot.frame, self._size, interpolation=cv2.INTER_AREA) if self._size else shot.frame
                    yield Shot(frame, seen / self.fps, f"soak_{seen:06d}.png")

    def close(self) -> None:
        """Nothing is open between two rounds."""


class Timed:
    """A view and a sink that note how long each frame takes in both; ``each`` is called after every one."""

    note = ""

    def __init__(self, face_filter: FaceFilter, sink: Sink, frames: int, each: Callable[[int], None]):
        self._filter, self._sink, self._each = face_filter, sink, each
        self.times = np.zeros((frames, 2))  # seconds on the clock, and of the processor
        self.paces: list[tuple[int, float]] = []  # after so many frames, so many seconds of the processor
        self._seen = 0

    @property
    def closed(self) -> bool:
        return self._sink.closed

    def view(self, frame: Frame, at: float) -> Frame:
        with self._timed():
            return self._filter(frame, at)

    def write(self, frame: Frame, at: float, name: str) -> None:
        with self._timed():
            self._sink.write(frame, at, name)
        self._seen += 1
        if self._seen % PACE_EVERY == 1:
            self.paces.append((self._seen, _fixed_work()))
        self._each(self._seen)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        clock, processor = time.perf_counter(), time.thread_time()
        yield
        self.times[self._seen] += time.perf_counter() - clock, time.thread_time() - processor

    def __enter__(self) -> Timed:
        return self

    def __exit__(self, *error: object) -> None:
        """The sink is ended by whoever opened it."""


def soak(
    clip: str, sink: str, backend: Backend, age: float, frames: int, size: tuple[int, int] | None = None,
    step: Callable[[], None] = lambda: None,
) -> Soaked:  # fmt: skip
    """Runs ``frames`` frames of the clip, over and over, into one kind of ``SINKS``; everything written goes to a folder that is removed.

    The web sink has a client that takes every picture it can.  Where there is no virtual camera a stand-in takes its place, and the name
    says so.  Raises ReagingError where the clip or the sink cannot be opened.
    """
    import psutil

    process = psutil.Process()
    with _own_temporary_folder() as temporary:
        gc.collect()
        before = threading.active_count(), _handles(process)
        memory: list[tuple[int, int]] = []

        def each(seen: int) -> None:
            if seen % max(1, frames // SAMPLES) == 0:
                memory.append((seen, process.memory_info().rss))
            step()

        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            source = Looped(clip, size)
            output = stack.enter_context(_open(sink, source, Path(name), stack))
            face_filter = filter_with(backend, age, threads=1)
            timed = Timed(face_filter, output, frames, each)
            start = time.perf_counter()
            play(source, face_filter, timed.view, timed, frames)
            seconds = time.perf_counter() - start
        faces, shown = face_filter.faces_seen, _name(sink)
        times, paces = timed.times, timed.paces
        del output, timed, face_filter, source
        gc.collect()
        after = threading.active_count(), _handles(process)
        left = sorted(p.name for p in temporary.iterdir())
    return _soaked(shown, faces, seconds, memory, times, paces, (before[0], after[0]), (before[1], after[1]), left)


def _fixed_work() -> float:
    """Seconds of the processor that a small blur and a short loop take: as a frame does, some in OpenCV and some in Python."""
    picture = np.zeros((120, 160, 3), np.uint8)
    start = time.thread_time()
    for sigma in range(1, 4):
        cv2.GaussianBlur(picture, (0, 0), sigma)
    sum(i * i for i in range(1000))
    return time.thread_time() - start


def _local(paces: list[tuple[int, float]], frames: int) -> Any:
    """For each frame [frames] the median of the looks nearest to it."""
    seen, seconds = np.array(paces).T
    around = np.lib.stride_tricks.sliding_window_view(np.pad(seconds, PACE_OVER // 2, "edge"), PACE_OVER)
    return np.interp(np.arange(1, frames + 1), seen, np.median(around, axis=1))


def _soaked(
    sink: str, faces: int, seconds: float, memory: list[tuple[int, int]], times: Any, paces: list[tuple[int, float]],
    threads: tuple[int, int], handles: tuple[int, int], left: list[str],
) -> Soaked:  # fmt: skip
    frames, tenth = len(times), max(1, len(times) // 10)
    resident = np.array([held for _, held in memory], float)
    some = max(1, len(resident) // 10)
    ms = np.column_stack([1000 * times, times[:, 1] / _local(paces, frames)])  # and the last column in fixed work
    first, last = ms[frames // 100 : frames // 100 + tenth], ms[-tenth:]
    clock, processor, paced = np.percentile([first, last], 99, axis=1).round(3).T.tolist()
    hundredths = [round(float(np.percentile(part, 99)), 3) for part in np.array_split(ms[:, 1], min(100, frames))]
    return Soaked(
        sink, frames, faces, round(seconds, 1), memory, round(float(resident[-some:].mean() / resident[some : 2 * some].mean() - 1), 4),
        tuple(clock), tuple(processor), tuple(paced), hundredths, threads, handles, left,
    )  # fmt: skip


def _open(sink: str, source: Looped, folder: Path, stack: ExitStack) -> Sink:
    """The sink of a kind, or several with + between; the web's client is stopped with the stack."""
    parts = sink.split("+")
    if len(parts) > 1:
        return Several([_open(part, source, folder, stack) for part in parts])
    if sink == "virtual":
        return _virtual(source)
    (folder / "pictures").mkdir(exist_ok=True)
    targets = {"null": "null", "video": str(folder / "soak.mp4"), "pictures": str(folder / "pictures"), "http": "http:0"}
    if sink not in targets:
        raise ReagingError(f"there is no sink {sink!r} to soak", f"some of {', '.join(SINKS)}", "choose from them, with + for several")
    output = open_sink(targets[sink], source.fps, size=source.size)
    if isinstance(output, Web):
        stack.callback(_client(output.url).join, 10)
    return output


def _client(url: str) -> threading.Thread:
    """A thread that takes the stream until the server ends it."""

    def take() -> None:
        with suppress(OSError), urllib.request.urlopen(url + "stream", timeout=30) as answer:  # nosec B310: our own server
            while answer.read(65536):
                pass

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    return thread


class _StandIn:
    """What pyvirtualcam asks of a backend, for a machine without one."""

    used = False

    def __init__(self, width: int, height: int, fps: float, fourcc: int, device: str | None):
        type(self).used = True

    def device(self) -> str:
        return "stand-in"

    def native_fourcc(self) -> None:
        return None

    def send(self, frame: Frame) -> None:
        frame.copy()

    def close(self) -> None:
        pass


def _virtual(source: Looped) -> Sink:
    _StandIn.used = False
    try:
        return open_sink("virtual", source.fps, size=source.size)
    except ReagingError:
        with suppress(ImportError):
            from pyvirtualcam import camera

            kept = dict(camera.BACKENDS)
            camera.BACKENDS.clear()
            camera.BACKENDS["stand-in"] = _StandIn
            try:
                return open_sink("virtual", source.fps, size=source.size)
            finally:
                camera.BACKENDS.clear()
                camera.BACKENDS.update(kept)
        raise


def _name(sink: str) -> str:
    return f"{sink} (stand-in)" if "virtual" in sink and _StandIn.used else sink


def _handles(process: Any) -> int:
    return int(process.num_handles() if hasattr(process, "num_handles") else process.num_fds())


@contextmanager
def _own_temporary_folder() -> Iterator[Path]:
    """Meanwhile everything that makes temporary files makes them here, where they can be counted."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as name:
        tempfile.tempdir = name
        try:
            yield Path(name)
        finally:
            tempfile.tempdir = before


def soak_markdown(runs: list[Soaked]) -> str:
    """The table, and what failed below it."""
    head = [
        "sink", "frames", "faces", "memory MB", "growth", "p99 first, last ms", "processor p99 ms", "in fixed work", "threads", "handles",
        "left",
    ]  # fmt: skip
    rows = [
        [
            r.sink, str(r.frames), str(r.faces), f"{r.memory[-1][1] / 1e6:.0f}", f"{100 * r.growth:+.1f} %",
            f"{r.p99_ms[0]:.1f}, {r.p99_ms[1]:.1f}", f"{r.processor_p99_ms[0]:.1f}, {r.processor_p99_ms[1]:.1f}",
            f"{r.paced_p99[0]:.1f}, {r.paced_p99[1]:.1f}", f"{r.threads[0]}, {r.threads[1]}",
            f"{r.handles[0]}, {r.handles[1]}", str(len(r.left)),
        ]
        for r in runs
    ]  # fmt: skip
    failed = [f"\n{r.sink}: {'; '.join(r.failed)}" for r in runs if r.failed]
    return "\n".join([markdown_table(head, rows), *(failed or ["\nall hold"])])


def soak_dict(runs: list[Soaked]) -> list[dict[str, Any]]:
    """What goes into a JSON file."""
    return [asdict(r) | {"failed": r.failed} for r in runs]


def draw_soak(runs: list[Soaked], path: Path) -> None:
    """Memory, and the p99 of the frames' processor time, over the frames of each run."""
    from .charts import figure

    with figure(path, 2, 1, figsize=(8, 6), sharex=True) as (above, below):
        for r in runs:
            above.plot([seen for seen, _ in r.memory], [held / 1e6 for _, held in r.memory], label=r.sink, lw=1)
            at = np.linspace(0, r.frames, len(r.times_ms), endpoint=False) + r.frames / len(r.times_ms) / 2
            below.plot(at, r.times_ms, lw=1)
        above.set_ylabel("resident memory, MB")
        above.set_ylim(0, 1.15 * max(held for r in runs for _, held in r.memory) / 1e6)
        above.legend(fontsize=8, ncols=3)
        below.set(xlabel="frames", ylabel="processor time, ms a frame, p99", ylim=(0, None))
