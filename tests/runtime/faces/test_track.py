"""The tracker: when it searches, how it keeps faces apart, and when it lets one go.  Finder and aligner are scripted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reaging.runtime.faces import track
from reaging.runtime.faces.face import Face
from reaging.runtime.faces.identity import Identities
from reaging.runtime.faces.template import face_box
from reaging.runtime.faces.track import FaceTracker, convincing

SHAPE = np.float32([[-30, -30], [30, -30], [0, 0], [-25, 35], [25, 35]])
FRAME = np.zeros((480, 640, 3), np.uint8)


def face_at(x: float, y: float) -> Face:
    points = SHAPE + np.float32([x, y])
    return Face(face_box(points), points, 0.97)


class World:
    """Where the faces really are; both networks see them, the aligner up to 40 pixels away."""

    def __init__(self, *places: tuple[float, float]):
        self.places = list(places)
        self.searches = 0
        self.blind = False

    def finder(self, frame: np.ndarray) -> list[Face]:
        self.searches += 1
        return [] if self.blind else [face_at(*place) for place in self.places]

    def aligner(self, frame: np.ndarray, faces: list[Face]) -> list[Face]:
        aligned = []
        for face in faces:
            near = [p for p in self.places if np.hypot(*(face.landmarks[2] - p)) < 40]
            if near:
                aligned.append(replace(face_at(*near[0]), track=face.track))
        return aligned


def run(tracker: FaceTracker, frames: int, start: int = 0) -> list[list[Face]]:
    result = []
    for i in range(start, start + frames):
        tracker.find(FRAME)
        result.append(tracker.align(FRAME, i / 30))
    return result


def test_the_finder_runs_on_every_fifth_frame_only() -> None:
    world = World((200, 200))
    found = run(FaceTracker(world.finder, world.aligner), 20)
    assert world.searches == 4
    assert all(len(faces) == 1 for faces in found)


def test_without_a_face_it_searches_every_frame() -> None:
    world = World()
    assert run(FaceTracker(world.finder, world.aligner), 7) == [[]] * 7
    assert world.searches == 7


def test_a_moving_face_keeps_its_number_and_is_followed_between_searches() -> None:
    world = World((100, 100))
    tracker = FaceTracker(world.finder, world.aligner, every=1000, smooth=False)
    for i in range(30):
        world.places = [(100 + 15 * i, 100)]
        (face,) = run(tracker, 1, i)[0]
        assert face.track == 0
        assert face.landmarks[2] == pytest.approx(world.places[0])


def test_two_faces_keep_their_numbers_when_the_finder_turns_them_round() -> None:
    world = World((150, 200), (450, 200))
    tracker = FaceTracker(world.finder, world.aligner, every=1)
    first = {face.track: face.landmarks[2, 0] for face in run(tracker, 1)[0]}
    world.places.reverse()
    second = {face.track: face.landmarks[2, 0] for face in run(tracker, 1, 1)[0]}
    assert first == pytest.approx(second) and len(first) == 2


def test_a_face_that_leaves_is_dropped_at_once_and_searched_for_on_the_next_frame() -> None:
    world = World((200, 200))
    tracker = FaceTracker(world.finder, world.aligner)
    run(tracker, 2)
    world.places = []
    searches = world.searches
    assert run(tracker, 1, 2) == [[]]
    run(tracker, 1, 3)
    assert world.searches == searches + 1
    world.places = [(400, 300)]
    assert [face.track for face in run(tracker, 1, 4)[0]] == [1]


def test_the_aligner_alone_carries_a_face_over_some_misses_of_the_finder_not_over_many() -> None:
    world = World((200, 200))
    tracker = FaceTracker(world.finder, world.aligner, every=1)
    run(tracker, 1)
    world.blind = True
    assert [len(faces) for faces in run(tracker, 6, 1)] == [1, 1, 1, 0, 0, 0]


def test_two_tracks_that_run_into_one_face_become_one() -> None:
    world = World((200, 200), (275, 200))
    tracker = FaceTracker(world.finder, world.aligner, every=1000)
    assert len(run(tracker, 1)[0]) == 2
    world.places = [(237.5, 200)]
    assert [face.track for face in run(tracker, 1, 1)[0]] == [0]


def test_a_mistake_of_the_finder_is_dropped_and_does_not_make_it_run_more_often() -> None:
    world = World((200, 200))

    def mistaken(frame: np.ndarray) -> list[Face]:
        return [*world.finder(frame), face_at(500, 100)]  # the aligner sees nothing there

    found = run(FaceTracker(mistaken, world.aligner), 10)
    assert all(len(faces) == 1 for faces in found)
    assert world.searches == 2


@pytest.mark.parametrize(
    ("found", "aligned", "sure"),
    [(0.97, 0.97, True), (0.72, 0.999, True), (0.95, 0.96, True), (0.72, 0.98, False), (0.9, 0.9, False), (0.7, 0.0, False)],
)
def test_a_face_is_new_where_finder_and_aligner_together_are_sure(found: float, aligned: float, sure: bool) -> None:
    assert convincing(found, aligned) is sure


def test_what_neither_is_sure_of_opens_no_track_until_one_is() -> None:
    world = World((200, 200))
    doubted = 0.72
    tracker = FaceTracker(lambda frame: [replace(face, score=doubted) for face in world.finder(frame)], world.aligner)
    assert run(tracker, 3) == [[], [], []]
    doubted = 0.95
    assert [len(faces) for faces in run(tracker, 2, 3)] == [1, 1]


def test_without_an_aligner_the_finder_leads_on_every_frame() -> None:
    world = World((200, 200))
    tracker = FaceTracker(world.finder, smooth=False)
    for i in range(6):
        world.places = [(200 + 5 * i, 200)]
        (face,) = run(tracker, 1, i)[0]
        assert (face.track, face.landmarks[2, 0]) == (0, 200 + 5 * i)
    assert world.searches == 6


def test_what_the_finder_saw_frames_ago_opens_a_track_where_the_face_is_by_now() -> None:
    world = World((200, 200))
    tracker = FaceTracker(world.finder, world.aligner, smooth=False)
    assert tracker.due()
    found = tracker.search(FRAME)
    for i in range(3):  # the loop goes on meanwhile
        assert tracker.align(FRAME, i / 30) == []
        world.places = [(200 + 5 * i, 200)]
    tracker.take(found)
    (face,) = tracker.align(FRAME, 0.1)
    assert face.landmarks[2] == pytest.approx((210, 200))


def test_what_the_finder_saw_before_a_face_was_lost_does_not_put_off_the_next_search() -> None:
    world = World((200, 200), (450, 200))
    tracker = FaceTracker(world.finder, world.aligner)
    run(tracker, 6)
    found = tracker.search(FRAME)
    world.places = [(200, 200)]
    tracker.align(FRAME, 0.3)  # here the second one is lost
    tracker.take(found)
    tracker.align(FRAME, 0.4)
    assert tracker.due()


def test_faces_are_looked_at_anew_on_frames_on_which_the_finder_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[int, bool]] = []

    class Watched(Identities):
        def __call__(self, frame: np.ndarray, faces: list[Face], time: float, renew: bool) -> list[Face]:
            looked.append((world.searches, renew))
            return super().__call__(frame, faces, time, renew)

    monkeypatch.setattr(track, "Identities", Watched)
    world = World((200, 200))
    run(FaceTracker(world.finder, world.aligner), 10)
    assert [renew for _, renew in looked] == [False, False, True, False, False] * 2
    assert [searches for searches, _ in looked] == [1] * 5 + [2] * 5


def test_reset_forgets() -> None:
    world = World((200, 200))
    tracker = FaceTracker(world.finder, world.aligner)
    run(tracker, 3)
    world.places = [(400, 200)]
    tracker.reset()
    (face,) = run(tracker, 1, 0)[0]
    assert face.landmarks[2] == pytest.approx((400, 200))
