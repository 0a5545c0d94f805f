"""The loop: files lose nothing, cameras never lag, and the filter's own promises."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from script import Script, face_at

from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.faces.face import Face
from reaging.runtime.faces.find import YuNetFinder
from reaging.runtime.faces.track import FaceTracker
from reaging.runtime.filter import FaceFilter, spare_core
from reaging.runtime.live import _Clock, ahead, newest, play
from reaging.runtime.sheet import ages_view, compare_view, sheet
from reaging.runtime.sinks.base import Null
from reaging.runtime.sources import Shot, open_source
from reaging.runtime.stats import KEPT, Stages


class Ticking:
    """A source of numbered frames, one every ``wait`` seconds."""

    fps, size, note = 100.0, (8, 8), ""

    def __init__(self, count: int, wait: float, live: bool = False, still: bool = False):
        self.total, self.wait, self.live, self.still = count, wait, live, still

    def __iter__(self) -> Iterator[Shot]:
        for number in range(self.total):
            time.sleep(self.wait)
            yield Shot(np.full((8, 8, 3), number, np.uint8), number / self.fps, str(number))

    def close(self) -> None:
        pass


class Keep(Null):
    """Keeps what is written; each takes ``wait`` seconds."""

    def __init__(self, wait: float = 0.0):
        self.wait, self.shots = wait, []

    def write(self, frame: np.ndarray, time: float, name: str) -> None:
        threading.Event().wait(self.wait)
        self.shots.append(Shot(frame, time, name))


@pytest.fixture
def ager(tinting: Path) -> Ager:
    return Ager(open_backend(tinting, "cpu", 1))


def test_a_file_loses_no_frame_however_slow_the_sink(ager: Ager) -> None:
    sink, face_filter = Keep(0.01), FaceFilter(ager, Script(due=True))
    assert play(Ticking(40, 0), face_filter, face_filter, sink) == 40
    assert [s.name for s in sink.shots] == [str(n) for n in range(40)]
    assert [int(s.frame[0, 0, 0]) for s in sink.shots] == list(range(40))


def test_a_camera_shows_the_newest_frame(ager: Ager) -> None:
    sink, face_filter = Keep(0.1), FaceFilter(ager, Script(due=True))
    count = play(Ticking(60, 0.01, live=True), face_filter, face_filter, sink)
    numbers = [int(s.name) for s in sink.shots]
    assert 4 <= count <= 20 and numbers == sorted(set(numbers))
    assert numbers[-1] == 59  # the last one is never dropped
    assert max(np.diff(numbers)) > 4  # frames were skipped, not queued


class Slow:
    """A generator that takes ``wait`` seconds more."""

    def __init__(self, ager: Ager, wait: float):
        self._run, self.card, self.device, self.wait = ager.backend.run, ager.backend.card, ager.backend.device, wait

    def run(self, image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(self.wait)
        return self._run(image, age)


class Wandering(Script):
    """A tracker of one face that goes to the right by two pixels a frame."""

    def __init__(self) -> None:
        super().__init__(due=True)
        self.x = 40.0

    def align(self, frame: np.ndarray, time_s: float) -> list[Face]:
        self.x += 2
        return [face_at(self.x, 100)]


class Still(Ticking):
    """Gray frames large enough for a face."""

    def __iter__(self) -> Iterator[Shot]:
        for shot in super().__iter__():
            yield shot._replace(frame=np.full((200, 400, 3), 120, np.uint8))


def test_a_slow_generator_does_not_slow_a_camera_and_its_change_stays_on_the_face(ager: Ager) -> None:
    """The camera gives a frame every 20 ms, the generator one every 200."""
    sink, tracker = Keep(), Wandering()
    face_filter = FaceFilter(Ager(Slow(ager, 0.2)), tracker, 90)
    before = set(threading.enumerate())
    shown = play(Still(60, 0.02, live=True), face_filter, face_filter, sink)
    runs = face_filter.stages.count("infer")
    assert 1 <= runs <= 12 and shown > 2 * runs
    assert [s.time for s in sink.shots] == sorted(s.time for s in sink.shots)
    last = sink.shots[-1].frame[..., 2].astype(int) - 120
    columns = np.flatnonzero((last > 20).any(axis=0))
    assert abs(columns.mean() - tracker.x) < 4  # its eyes' middle is the crop's
    assert face_filter.stages.count("delay") == shown
    assert set(threading.enumerate()) <= before


def test_every_frame_of_a_file_waits_for_its_own_change(ager: Ager) -> None:
    sink, tracker = Keep(), Wandering()
    face_filter = FaceFilter(Ager(Slow(ager, 0.01)), tracker, 90)
    assert play(Still(12, 0), face_filter, face_filter, sink) == 12
    assert face_filter.stages.count("infer") == 12 and face_filter.stages.count("delay") == 0
    assert all((shot.frame != 120).any() for shot in sink.shots)


def test_delay_is_from_the_time_stamp_until_the_sink_has_the_frame(ager: Ager) -> None:
    class Stamped(Ticking):
        """Stamps as a camera does, by the clock."""

        def __iter__(self) -> Iterator[Shot]:
            start = time.monotonic()
            for shot in super().__iter__():
                yield shot._replace(time=time.monotonic() - start)

    face_filter = FaceFilter(ager, Script(due=True))
    play(Stamped(30, 0.01, live=True), face_filter, face_filter, Keep(0.05))
    delay = face_filter.stages.summary()["delay"]
    assert delay["p50"] >= 49  # the sink alone takes 50 ms


def test_a_camera_that_counts_anew_is_not_taken_for_a_delay() -> None:
    clock = _Clock()
    frame = np.zeros((1, 1, 3), np.uint8)
    shots = [Shot(frame, stamp, "") for stamp in (100.0, 100.01, 0.0, 0.01)]
    assert [clock.age(shot) < 1 for shot in clock.watch(shots)] == [True] * 4


def test_of_a_clip_too_opencv_leaves_a_core_to_who_decodes_and_then_has_it_back(ager: Ager) -> None:
    threads, before = [], cv2.getNumThreads()

    def view(frame: np.ndarray, time: float) -> np.ndarray:
        threads.append(cv2.getNumThreads())
        return frame

    try:
        cv2.setNumThreads(spare_core() + 1)
        assert play(Ticking(3, 0.001, False), FaceFilter(ager, Script()), view, Keep()) == 3
        assert threads == [spare_core()] * 3 and cv2.getNumThreads() == spare_core() + 1
    finally:
        cv2.setNumThreads(before)


def test_frames_can_be_limited_and_stopped(ager: Ager) -> None:
    face_filter = FaceFilter(ager, Script(due=True))
    before = set(threading.enumerate())
    for live in (False, True):
        assert play(Ticking(1000, 0.001, live), face_filter, face_filter, Keep(), max_frames=5) == 5
        stop = threading.Event()
        assert play(Ticking(1000, 0.001, live), face_filter, face_filter, Keep(), stop=stop, tick=stop.set) == 1
        closing = Keep()
        closing.closed = True
        assert play(Ticking(1000, 0.001, live), face_filter, face_filter, closing) == 1
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before  # no thread is left behind


@pytest.mark.parametrize("through", [ahead, newest])
def test_an_error_in_the_thread_comes_out(through: object) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    seen = []
    with pytest.raises(OSError, match="unplugged"):
        for item in through(broken()):
            seen.append(item)
    assert seen == [1]


def test_pictures_of_a_folder_do_not_know_each_other(ager: Ager) -> None:
    tracker = Script(due=True)
    face_filter = FaceFilter(ager, tracker)
    play(Ticking(3, 0, still=True), face_filter, face_filter, Keep())
    assert tracker.resets == 3


def test_a_frame_without_a_face_is_the_very_frame(ager: Ager) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    assert FaceFilter(ager, Script(due=True))(frame) is frame


def test_the_filter_ages_a_real_face_and_follows_its_target(ager: Ager, yunet: Path, astronaut: Path) -> None:
    frame = cv2.imread(str(astronaut))
    face_filter = FaceFilter(ager, FaceTracker(YuNetFinder(yunet)), 90)
    old = face_filter(frame, 0.0).astype(int) - frame
    assert len(face_filter.faces) == 1 and old[110, 222, 2] > 20 > -20 > old[110, 222, 0]  # redder
    face_filter.age = 10
    halfway = face_filter(frame, 0.25).astype(int) - frame
    assert np.abs(halfway[110, 222]).max() < 10  # the stand-in changes nothing at 50
    young = face_filter(frame, 0.5).astype(int) - frame
    assert young[110, 222, 2] < -20 < 20 < young[110, 222, 0]
    both = face_filter.at_ages(frame, 0.53, [10, 90])
    assert np.abs(both[0].astype(int) - frame - young).max() <= 2 and (both[0] != both[1]).any()
    assert face_filter.faces_seen == 4
    times = face_filter.stages.summary()
    assert set(times) == {"find", "align", "prepare", "infer", "paste"} and all(0 < v["p50"] <= v["p99"] for v in times.values())


def test_both_faces_of_a_frame_change(ager: Ager, yunet: Path, shared: object) -> None:
    shot = next(iter(open_source(str(shared("video/two_faces.mp4")))))
    face_filter = FaceFilter(ager, FaceTracker(YuNetFinder(yunet)), 90)
    change = np.abs(face_filter(shot.frame, 0).astype(int) - shot.frame).max(-1)
    assert len(face_filter.faces) == 2
    for face in face_filter.faces:
        x, y = face.landmarks[2].astype(int)  # the nose
        assert change[y, x] > 20


def test_faces_in_an_8k_frame(ager: Ager, yunet: Path, astronaut: Path) -> None:
    frame = cv2.resize(cv2.imread(str(astronaut)), (7680, 4320), interpolation=cv2.INTER_LINEAR)
    face_filter = FaceFilter(ager, FaceTracker(YuNetFinder(yunet)), 90)
    aged = face_filter(frame, 0)
    assert len(face_filter.faces) == 1 and (aged != frame).any() and np.array_equal(aged[3000:], frame[3000:])


def test_sheets_have_the_original_first(ager: Ager, yunet: Path, astronaut: Path) -> None:
    frame = cv2.imread(str(astronaut))
    face_filter = FaceFilter(ager, FaceTracker(YuNetFinder(yunet)), 90)
    picture = ages_view(face_filter, [5, 50, 90])(frame, 0)
    assert picture.shape == (544, 2048, 3) and np.array_equal(picture[32:, :512], frame)
    assert picture[:32, :512].max() > 200  # its label
    middle = [picture[32 + 110, 512 * n + 222].astype(int) for n in range(4)]
    assert middle[1][0] > middle[0][0] and (middle[2] == middle[0]).all() and middle[3][2] > middle[0][2]
    face_filter.reset()
    pair = compare_view(face_filter)(frame, 0)
    assert pair.shape == (544, 1024, 3) and np.array_equal(pair[32:, :512], frame) and (pair[32:, 512:] != frame).any()


def test_sheets_wrap_and_fit_and_take_tiny_pictures() -> None:
    labels = [str(n) for n in range(8)]
    assert sheet([np.zeros((1080, 1920, 3), np.uint8)] * 8, labels).shape[:2] == (2 * (32 + 225), 2400)
    assert sheet([np.zeros((1, 1, 3), np.uint8)] * 2, labels[:2]).shape == (33, 192, 3)


def test_stages_are_milliseconds() -> None:
    stages = Stages()
    for n in range(1, 101):
        stages.add("infer", n / 1000)
    assert stages.summary() == {"infer": {"p50": 50.5, "p90": 90.1, "p95": 95.05, "p99": 99.01}}


def test_stages_of_the_last_second() -> None:
    stages = Stages()
    assert stages.recent("infer") == 0 == stages.fps
    for _ in range(6):
        time.sleep(0.02)
        stages.add("frame", 0.004)
    assert stages.recent("frame") == pytest.approx(4) and 5 < stages.fps <= 50


def test_stages_do_not_grow_for_ever() -> None:
    stages = Stages()
    for n in range(KEPT + 10):
        stages.add("infer", n)
    assert stages.count("infer") == KEPT and stages.summary()["infer"]["p50"] == pytest.approx((KEPT / 2 + 9.5) * 1000)
