"""The loop: files lose nothing, cameras never lag, and the filter's own promises."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.faces.face import Face
from reaging.runtime.faces.find import YuNetFinder
from reaging.runtime.faces.track import FaceTracker
from reaging.runtime.filter import FaceFilter
from reaging.runtime.live import ahead, newest, play
from reaging.runtime.sheet import ages_view, compare_view, sheet
from reaging.runtime.sinks.base import Null
from reaging.runtime.sources import Shot, open_source
from reaging.runtime.stats import Stages


class NoFaces:
    """A tracker that never sees a face."""

    resets = 0

    def find(self, frame: np.ndarray) -> bool:
        return True

    def align(self, frame: np.ndarray, time_s: float) -> list[Face]:
        return []

    def reset(self) -> None:
        self.resets += 1


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
    sink, face_filter = Keep(0.01), FaceFilter(ager, NoFaces())
    assert play(Ticking(40, 0), face_filter, face_filter, sink) == 40
    assert [s.name for s in sink.shots] == [str(n) for n in range(40)]
    assert [int(s.frame[0, 0, 0]) for s in sink.shots] == list(range(40))


def test_a_camera_shows_the_newest_frame(ager: Ager) -> None:
    sink, face_filter = Keep(0.1), FaceFilter(ager, NoFaces())
    count = play(Ticking(60, 0.01, live=True), face_filter, face_filter, sink)
    numbers = [int(s.name) for s in sink.shots]
    assert 4 <= count <= 20 and numbers == sorted(set(numbers))
    assert numbers[-1] == 59  # the last one is never dropped
    assert max(np.diff(numbers)) > 4  # frames were skipped, not queued


def test_frames_can_be_limited_and_stopped(ager: Ager) -> None:
    face_filter = FaceFilter(ager, NoFaces())
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
    tracker = NoFaces()
    face_filter = FaceFilter(ager, tracker)
    play(Ticking(3, 0, still=True), face_filter, face_filter, Keep())
    assert tracker.resets == 3


def test_a_frame_without_a_face_is_the_very_frame(ager: Ager) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    assert FaceFilter(ager, NoFaces())(frame) is frame


def test_the_filter_ages_a_real_face_and_follows_its_target(ager: Ager, yunet: Path, astronaut: Path) -> None:
    frame = cv2.imread(str(astronaut))
    face_filter = FaceFilter(ager, FaceTracker(YuNetFinder(yunet)), 90)
    old = face_filter(frame, 0.0).astype(int) - frame
    assert len(face_filter.faces) == 1 and old[110, 222, 2] > 20 > -20 > old[110, 222, 0]  # redder
    face_filter.age = 10
    young = face_filter(frame, 0.03).astype(int) - frame
    assert young[110, 222, 2] < -20 < 20 < young[110, 222, 0]
    both = face_filter.at_ages(frame, 0.06, [10, 90])
    assert np.abs(both[0].astype(int) - frame - young).max() <= 2 and (both[0] != both[1]).any()
    assert face_filter.faces_seen == 3
    times = face_filter.stages.summary()
    assert set(times) == {"find", "align", "infer", "paste"} and all(0 < v["p50"] <= v["p99"] for v in times.values())


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
