"""The loop from source to sink: for a camera the newest frame wins and the steps overlap; of a file every frame is taken, in order."""

from __future__ import annotations

import math
import queue
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

from .filter import FaceFilter, opencv_sparing_a_core
from .sheet import View
from .sinks import Sink
from .sources import Shot, Source

T = TypeVar("T")
AHEAD = 2  # frames of a file that are decoded in advance
DRIFT = 1e-4  # by how much a source's clock may be slower than ours
PATIENCE = 0.1  # seconds between two looks at whether to stop


class Shown(NamedTuple):
    """A shot after the filter, and the seconds that took."""

    shot: Shot
    seconds: float


def ahead(items: Iterable[T], depth: int = AHEAD) -> Generator[T, None, None]:
    """The same items in the same order, made by a thread that runs at most ``depth`` items in advance."""

    def put(line: queue.Queue[Any], item: object, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                line.put(item, timeout=PATIENCE)
                return
            except queue.Full:
                continue

    return _threaded(items, depth, put)


def newest(items: Iterable[T]) -> Generator[T, None, None]:
    """The newest item whenever one is asked for, made by a thread that never waits: what nobody took in time is dropped."""

    def put(line: queue.Queue[Any], item: object, stop: threading.Event) -> None:
        while True:
            try:
                line.put_nowait(item)
                return
            except queue.Full:
                try:
                    stale = line.get_nowait()
                except queue.Empty:
                    continue
                if isinstance(item, _End):  # the end must not push out the last frame
                    item.last = stale

    return _threaded(items, 1, put)


class _End:
    """The last thing in the line: why there is no more."""

    def __init__(self, error: BaseException | None):
        self.error, self.last = error, self


def _threaded(items: Iterable[T], depth: int, put: Callable[[queue.Queue[Any], object, threading.Event], None]) -> Generator[T, None, None]:
    line: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                put(line, item, stop)
                if stop.is_set():
                    break
        except BaseException as caught:  # raised again in the thread that asks for the items
            error = caught
        if isinstance(items, Generator):
            items.close()  # here, where it ran: it may have a thread of its own to end
        put(line, _End(error), stop)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield from _until_end(line)
    finally:
        stop.set()
        thread.join(timeout=5)


def _until_end(line: queue.Queue[Any]) -> Iterator[Any]:
    while True:
        try:
            item = line.get(timeout=PATIENCE)
        except queue.Empty:
            continue
        if not isinstance(item, _End):
            yield item
            continue
        if item.last is not item:
            yield item.last
        if item.error is not None:
            raise item.error
        return


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that the loop can end properly; a second one interrupts as usual."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


class _Clock:
    """How old a live source's frames are.

    A source counts from a start of its own, so the arrival that came soonest after its time stamp counts as one without delay.
    """

    def __init__(self) -> None:
        self._lag, self._arrived, self._stamp = math.inf, 0.0, -math.inf

    def watch(self, shots: Iterable[Shot]) -> Generator[Shot, None, None]:
        """The same shots; runs in the thread that captures them."""
        for shot in shots:
            now = perf_counter()
            if shot.time < self._stamp:  # the source was opened anew
                self._lag = math.inf
            drifted = self._lag + DRIFT * (now - self._arrived)
            self._lag, self._arrived, self._stamp = min(drifted, now - shot.time), now, shot.time
            yield shot

    def age(self, shot: Shot) -> float:
        """Seconds since the shot's time stamp."""
        return max(0.0, perf_counter() - shot.time - self._lag)


def play(
    source: Source,
    face_filter: FaceFilter,
    view: View,
    sink: Sink,
    max_frames: int | None = None,
    stop: threading.Event | None = None,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Runs the source through ``view`` into the sink and returns the number of frames written; times go to the filter's stages.

    Of a live source the newest frame is taken, and the generator's changes are carried forward, so that no frame waits for it; of a file
    every frame is taken, in order.  Stage ``frame`` is view plus sink for each frame, without waiting for the source; ``delay``, of live
    sources, is from the frame's time stamp until the sink has it.  ``tick`` is called after every frame.
    """
    clock = _Clock()
    shots = newest(clock.watch(source)) if source.live else ahead(islice(source, max_frames))
    views = _views(shots, face_filter, view, source.still)
    count = 0
    with face_filter.carrying() if source.live else opencv_sparing_a_core(), closing(newest(views) if source.live else views) as shown:
        for shot, seconds in islice(shown, max_frames):
            start = perf_counter()
            sink.write(*shot)
            writing = perf_counter() - start
            face_filter.stages.add("sink", writing)
            face_filter.stages.add("frame", seconds + writing)
            if source.live:
                face_filter.stages.add("delay", clock.age(shot))
            count += 1
            tick()
            if sink.closed or (stop is not None and stop.is_set()):
                break
    return count


def _views(shots: Generator[Shot, None, None], face_filter: FaceFilter, view: View, still: bool) -> Generator[Shown, None, None]:
    with closing(shots):
        for frame, time, name in shots:
            start = perf_counter()
            if still:
                face_filter.reset()
            picture = view(frame, time)
            yield Shown(Shot(picture, time, name), perf_counter() - start)
