"""FaceFilter's targets, fades and carried changes; faces are scripted and the generator tints by age."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from script import Script, face_at

from reaging.runtime.ager import Ager
from reaging.runtime.backends import open_backend
from reaging.runtime.backends.base import cores
from reaging.runtime.faces.face import Face
from reaging.runtime.filter import FaceFilter, spare_core

FRAME = np.full((240, 320, 3), 120, np.uint8)


@pytest.fixture
def ager(tinting: Path) -> Ager:
    return Ager(open_backend(tinting, "cpu", 1))


def red(aged: np.ndarray, x: int = 100, y: int = 100) -> int:
    """How much redder a pixel became: 100 gray levels are 100 years."""
    return int(aged[y, x, 2]) - 120


def test_a_new_target_glides_over_half_a_second(ager: Ager) -> None:
    face_filter = FaceFilter(ager, Script(face_at(100, 100)), 50)
    assert red(face_filter(FRAME, 0.0)) == 0
    face_filter.age = 90
    values = [red(face_filter(FRAME, i / 10)) for i in range(1, 8)]
    assert values == pytest.approx([8, 16, 24, 33, 41, 41, 41], abs=3) and values[4:] == [values[4]] * 3


def test_every_face_may_have_its_own_age_and_a_new_face_starts_at_its_target(ager: Ager) -> None:
    script = Script(face_at(100, 100, 4), face_at(220, 100, 7))
    face_filter = FaceFilter(ager, script, 90)
    face_filter.ages[7] = 10
    aged = face_filter(FRAME, 0.0)
    assert red(aged) > 35 and red(aged, 220) < -35
    script.faces = script.faces[::-1]  # the order does not matter
    assert red(face_filter(FRAME, 0.1), 220) < -35
    del face_filter.ages[7]
    assert red(face_filter(FRAME, 1.0), 220) > 35


def test_a_face_that_comes_late_fades_in_and_one_that_is_lost_fades_out_within_half_a_second(ager: Ager) -> None:
    script = Script()
    face_filter = FaceFilter(ager, script, 90)
    assert face_filter(FRAME, 0.0) is FRAME
    script.faces = [face_at(100, 100)]
    coming = [red(face_filter(FRAME, i / 10)) for i in range(1, 7)]
    assert coming[0] < 10 < coming[1] < 30 and coming == sorted(coming) and coming[4] == coming[5] > 35
    script.faces = []
    going = [red(face_filter(FRAME, i / 10)) for i in range(7, 13)]
    assert coming[5] > going[0] > 10 and going == sorted(going, reverse=True) and going[4] == 0
    assert face_filter(FRAME, 1.3) is FRAME


def test_a_face_that_was_lost_for_a_moment_comes_back_from_where_its_fade_was(ager: Ager) -> None:
    script = Script(face_at(100, 100))
    face_filter = FaceFilter(ager, script, 90)
    full = red(face_filter(FRAME, 0.0))
    kept, script.faces = script.faces, []
    faded = red(face_filter(FRAME, 0.1))
    script.faces = kept
    assert 0 < faded < full and faded < red(face_filter(FRAME, 0.2)) <= full


def test_strength_and_off(ager: Ager) -> None:
    face_filter = FaceFilter(ager, Script(face_at(100, 100)), 90)
    face_filter.strength = 0.5
    assert red(face_filter(FRAME, 0.0)) == pytest.approx(20, abs=2)
    face_filter.on = False
    assert 0 < red(face_filter(FRAME, 0.1)) < 18
    runs = face_filter.stages.count("infer")
    assert face_filter(FRAME, 1.0) is FRAME and face_filter(FRAME, 1.1) is FRAME
    assert face_filter.stages.count("infer") == runs  # the generator rests
    face_filter.on, face_filter.strength = True, 1.0
    face_filter(FRAME, 1.2)
    assert red(face_filter(FRAME, 2.0)) > 35


def test_pictures_that_stand_alone_neither_glide_nor_fade(ager: Ager) -> None:
    script = Script(face_at(100, 100))
    face_filter = FaceFilter(ager, script, 90)
    old = red(face_filter(FRAME))
    face_filter.age = 10
    assert red(face_filter(FRAME)) == pytest.approx(-old, abs=2)
    script.faces = [face_at(220, 100, 1)]
    aged = face_filter(FRAME)
    assert red(aged) == 0 and red(aged, 220) < -35


def test_the_face_under_a_click(ager: Ager) -> None:
    face_filter = FaceFilter(ager, Script(face_at(100, 100, 1), face_at(125, 100, 2)))
    assert face_filter.face_at(100, 100) is None
    face_filter(FRAME)
    found = [face_filter.face_at(x, 100) for x in (90, 135, 300)]
    assert [f and f.track for f in found] == [1, 2, None]


class Gate:
    """A backend that lets a run through only when it is told to."""

    def __init__(self, ager: Ager):
        self._backend, self.card, self.device = ager.backend, ager.backend.card, ager.backend.device
        self.open, self.entered, self.ran = threading.Semaphore(0), threading.Semaphore(0), threading.Semaphore(0)
        self.images: list[np.ndarray] = []

    def run(self, image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.entered.release()
        assert self.open.acquire(timeout=5)
        self.images.append(image)
        result = self._backend.run(image, age)
        self.ran.release()
        return result


def eventually(face_filter: FaceFilter, frame: np.ndarray, time: float) -> np.ndarray:
    """The first frame that shows a change."""
    for i in range(400):
        aged = face_filter(frame, time + i / 1e4)
        if aged is not frame:
            return aged
        threading.Event().wait(0.005)
    raise AssertionError("no change came")


def test_a_change_is_carried_to_where_the_face_is_by_now(ager: Ager) -> None:
    gate, script = Gate(ager), Script(face_at(100, 100))
    face_filter = FaceFilter(Ager(gate), script, 90)
    face_filter.fade_s = 0.0
    with face_filter.carrying():
        assert face_filter(FRAME, 0.0) is FRAME  # nothing is there yet, and nothing waits for it
        assert gate.entered.acquire(timeout=5)
        gate.open.release()
        aged = eventually(face_filter, FRAME, 0.1)
        assert red(aged) > 35
        script.faces = [face_at(200, 120)]  # the generator is held up: this is the change of the frame before
        moved = face_filter(FRAME, 0.5)
        assert red(moved, 200, 120) > 35 and red(moved) == 0
        assert np.array_equal(moved[60:180, 140:260], aged[40:160, 40:160])
        assert len(gate.images) == 1
        gate.open.release(10)
    assert face_filter(FRAME, 1.0) is not FRAME  # and without the thread it works as before


def test_the_generator_takes_the_newest_frame(ager: Ager) -> None:
    gate = Gate(ager)
    face_filter = FaceFilter(Ager(gate), Script(face_at(100, 100)), 90)
    with face_filter.carrying():
        for i in range(6):
            face_filter(np.full_like(FRAME, 100 + i), i / 30)
            if i == 0:
                assert gate.entered.acquire(timeout=5)
        gate.open.release(2)
        assert gate.ran.acquire(timeout=5) and gate.ran.acquire(timeout=5)
    levels = [round(float((image[0, 0, 0, 0] + 1) * 127.5)) for image in gate.images]
    assert levels == [100, 105]


def test_what_the_generator_makes_of_frames_before_a_reset_is_not_shown_after_it(ager: Ager) -> None:
    gate = Gate(ager)
    face_filter = FaceFilter(Ager(gate), Script(face_at(100, 100)), 90)
    with face_filter.carrying():
        face_filter(FRAME, 0.0)
        assert gate.entered.acquire(timeout=5)
        face_filter.reset()
        gate.open.release()
        assert gate.ran.acquire(timeout=5)
        threading.Event().wait(0.05)
        assert face_filter(FRAME, 0.1) is FRAME
        gate.open.release(10)


def test_no_frame_waits_for_the_finder_while_changes_are_carried(ager: Ager) -> None:
    class Slow(Script):
        entered, searched, taken = threading.Semaphore(0), threading.Semaphore(0), 0

        def due(self) -> bool:
            return True

        def search(self, frame: np.ndarray) -> list[Face]:
            self.entered.release()
            assert self.searched.acquire(timeout=5)
            return [face_at(100, 100)]

        def take(self, found: list[Face]) -> None:
            self.taken += len(found)

    tracker = Slow()
    face_filter = FaceFilter(ager, tracker, 90)
    with face_filter.carrying():
        for i in range(5):
            face_filter(FRAME, i / 30)
        assert tracker.entered.acquire(timeout=5) and tracker.taken == 0
        tracker.searched.release()
        for i in range(400):
            face_filter(FRAME, 1 + i / 30)
            threading.Event().wait(0.005)
            if tracker.taken:
                break
        assert tracker.taken == 1
        assert tracker.entered.acquire(timeout=5)  # the finder looks at that frame by now
        face_filter.reset()  # and what it sees there is of no use after it
        tracker.searched.release()
        for i in range(20):
            face_filter(FRAME, 2 + i / 30)
            threading.Event().wait(0.005)
        assert tracker.taken == 1
        tracker.searched.release(100)


def test_an_error_of_the_generator_ends_the_loop(ager: Ager) -> None:
    class Broken(Gate):
        def run(self, image: np.ndarray, age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            raise RuntimeError("device lost")

    face_filter = FaceFilter(Ager(Broken(ager)), Script(face_at(100, 100)), 90)
    with face_filter.carrying(), pytest.raises(RuntimeError, match="device lost"):
        for i in range(400):
            face_filter(FRAME, i / 30)
            threading.Event().wait(0.005)


def test_outside_the_mask_a_carried_change_leaves_the_frame_as_it_is(ager: Ager) -> None:
    noise = np.random.default_rng(0).integers(0, 256, FRAME.shape, np.uint8)
    script = Script(face_at(100, 100))
    face_filter = FaceFilter(ager, script, 90)
    for i in range(5):
        script.faces = [replace(face_at(100 + 4 * i, 100))]
        aged = face_filter(noise, i / 30)
    changed = (aged != noise).any(-1)
    assert changed.any() and not changed[:, :50].any() and not changed[:, 190:].any() and not changed[180:].any()


def test_while_changes_are_carried_opencv_leaves_a_core_to_the_generator_and_then_has_it_back(ager: Ager) -> None:
    before = cv2.getNumThreads()
    with FaceFilter(ager, Script()).carrying():
        assert cv2.getNumThreads() == spare_core() == max(1, cores() - 1)
    assert cv2.getNumThreads() == before
