"""Numbers of faces that cross, come back and leave; the two networks are scripted, what the faces look like is drawn."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from reaging.runtime.faces.face import Face
from reaging.runtime.faces.identity import Identities
from reaging.runtime.faces.look import likeness, look
from reaging.runtime.faces.template import face_box
from reaging.runtime.faces.track import FaceTracker

SHAPE = np.float32([[-30, -30], [30, -30], [0, 0], [-25, 35], [25, 35]])
SIDE = 160


def portrait(seed: int) -> np.ndarray:
    """Soft blotches: a look of its own."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE, 3)).astype(np.float32), (0, 0), 12)
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def face_at(x: float, y: float) -> Face:
    points = SHAPE + np.float32([x, y])
    return Face(face_box(points), points, 0.97)


class Scene:
    """People by name at their places, the first in front; whoever is mostly behind another one is not seen."""

    def __init__(self) -> None:
        self.looks = {name: portrait(i) for i, name in enumerate("abc")}
        self.places: dict[str, tuple[int, int]] = {}
        self.tracker = FaceTracker(self.finder, self.aligner)
        self.time = 0.0

    def visible(self) -> list[tuple[int, int]]:
        places = list(self.places.values())
        return [p for i, p in enumerate(places) if all(np.hypot(p[0] - q[0], p[1] - q[1]) > 60 for q in places[:i])]

    def finder(self, frame: np.ndarray) -> list[Face]:
        return [face_at(*place) for place in self.visible()]

    def aligner(self, frame: np.ndarray, faces: list[Face]) -> list[Face]:
        """As the real one does, it goes to whatever face is near."""
        found = []
        for face in faces:
            gaps = [(float(np.hypot(*(face.landmarks[2] - p))), p) for p in self.visible()]
            if gaps and min(gaps)[0] < 60:
                found.append(replace(face_at(*min(gaps)[1]), track=face.track))
        return found

    def step(self, **places: tuple[int, int]) -> dict[str, int]:
        """The next frame -> numbers by name of those that are seen."""
        self.places = places
        frame = np.full((480, 800, 3), 110, np.uint8)
        for name, (x, y) in reversed(places.items()):
            frame[y - SIDE // 2 : y + SIDE // 2, x - SIDE // 2 : x + SIDE // 2] = self.looks[name]
        self.tracker.find(frame)
        faces = self.tracker.align(frame, self.time)
        self.time += 1 / 30
        at = {name: min(faces, key=lambda f: float(np.hypot(*(f.landmarks[2] - p))), default=None) for name, p in places.items()}
        return {n: f.track for n, f in at.items() if f is not None and np.hypot(*(f.landmarks[2] - places[n])) < 30}


@pytest.mark.parametrize("front", ["a", "b"])
def test_two_faces_that_cross_keep_their_numbers(front: str) -> None:
    scene = Scene()
    for i in range(61):
        places = {"a": (120 + 9 * i, 240), "b": (660 - 9 * i, 250)}
        numbers = scene.step(**({"a": places["a"], "b": places["b"]} if front == "a" else {"b": places["b"], "a": places["a"]}))
        if i == 5:
            first = numbers
            assert len(set(first.values())) == 2
    assert numbers == first


@pytest.mark.parametrize("front", ["a", "b"])
def test_two_faces_that_meet_and_part_again_keep_theirs(front: str) -> None:
    scene = Scene()
    for i in range(61):
        gap = 270 - 9 * min(i, 60 - i)
        places = {"a": (400 - gap, 240), "b": (400 + gap, 250)}
        numbers = scene.step(**({"a": places["a"], "b": places["b"]} if front == "a" else {"b": places["b"], "a": places["a"]}))
        if i == 5:
            first = numbers
    assert numbers == first and len(first) == 2


def test_a_face_that_comes_back_is_the_same_and_another_in_its_place_is_not() -> None:
    scene = Scene()
    for _ in range(10):
        first = scene.step(a=(200, 240))
    for _ in range(20):
        assert scene.step() == {}
    assert scene.step(a=(600, 200)) == first
    for _ in range(20):
        scene.step()
    assert scene.step(c=(600, 200))["c"] != first["a"]


def test_a_face_is_forgotten_after_some_seconds() -> None:
    scene = Scene()
    first = scene.step(a=(200, 240))
    scene.time += 10
    scene.step()
    assert scene.step(a=(200, 240)) != first


def test_looks_tell_faces_apart_in_any_light() -> None:
    frame = np.full((400, 800, 3), 90, np.uint8)
    frame[120:280, 120:280], frame[120:280, 520:680] = portrait(0), portrait(1)
    one, other = look(frame, face_at(200, 200)), look(frame, face_at(600, 200))
    darker = look((frame * 0.6 + 10).astype(np.uint8), face_at(201, 199))
    assert likeness(one, darker) > 0.95 > 0.5 > likeness(one, other)
    assert likeness(look(np.zeros_like(frame), face_at(200, 200)), one) == 0 == likeness(None, one)


def test_a_face_takes_its_number_back_from_a_track_that_slid_onto_another_face() -> None:
    identities = Identities()
    frame = np.full((480, 800, 3), 110, np.uint8)
    frame[160:320, 120:280], frame[160:320, 420:580] = portrait(0), portrait(1)
    left, right = identities(frame, [face_at(200, 240), face_at(500, 240)], 0.0, renew=True)
    # the second track hangs on the first face's chin; whom it followed is found anew
    numbers = [
        f.track for f in identities(frame, [left, replace(face_at(230, 290), track=right.track), face_at(500, 240)], 0.1, renew=True)
    ]
    assert numbers == [left.track, 2, right.track]
