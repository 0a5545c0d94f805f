"""Which number a face has: the same for as long as it is seen, when it comes back, and after another face has passed before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .face import Face, Picture, Points
from .find import overlap
from .look import likeness, look

REMEMBERED_S = 3.0  # seconds for which a face that is gone may come back and be the same
TOUCH = 0.05  # overlap of boxes from which faces may be mistaken for each other
DOUBT_S = 1.0  # seconds after a touch for which they may have been
LIKE, LIKE_NEAR = 0.6, 0.3  # likeness from which a face is one that was lost: anywhere, and near to where it was lost
NEAR, SPEED = 1.0, 2.0  # how near, in heights of its box, and how much farther it may be with each second
CLEARER = 0.1  # by how much the other of two must be more like, to be it
RENEWAL = 0.3  # weight of the newest look in a track's


@dataclass
class _Known:
    """A face that has a number."""

    face: Face
    seen: float  # seconds, when it was last there
    look: Points | None = None
    touched: float = -np.inf  # seconds, when it was last near another


class Identities:
    """Gives the faces of each frame their numbers."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._next = 0
        self._time = 0.0

    def __call__(self, frame: Picture, faces: list[Face], time: float, renew: bool) -> list[Face]:
        """Faces of the frame at ``time`` seconds, new ones with track -1 -> the same faces with their numbers, in the same order.

        ``renew``: whether to look at faces that are in no danger to be mistaken.
        """
        if time < self._time:  # another clip
            self._known = {face.track: self._known[face.track] for face in faces if face.track in self._known}
        self._time = time
        self._known = {n: k for n, k in self._known.items() if k.seen >= time - REMEMBERED_S}
        doubtful = self._doubtful(faces, time)
        looks = [look(frame, f) if renew or f.track < 0 or f.track in doubtful else None for f in faces]
        numbers = [face.track for face in faces]
        if doubtful:
            self._exchange(numbers, looks, doubtful)
        for i, face in enumerate(faces):
            if numbers[i] < 0:
                numbers[i] = self._returned(face, looks[i], numbers, time)
        named = [replace(face, track=number) for face, number in zip(faces, numbers, strict=True)]
        for face, seen in zip(named, looks, strict=True):
            self._remember(face, seen, time)
        return named

    def _doubtful(self, faces: list[Face], time: float) -> set[int]:
        """Numbers of the tracks that touch another one, or did a moment ago; a lost face counts where it was lost."""
        there = [face for face in faces if face.track in self._known]
        lost = [k.face for n, k in self._known.items() if n not in {f.track for f in there} and k.seen >= time - DOUBT_S]
        for i, face in enumerate(there):
            for other in [*there[:i], *lost]:
                if overlap(face.box, other.box) > TOUCH:
                    self._known[face.track].touched = self._known[other.track].touched = time
        return {n for n, k in self._known.items() if k.touched >= time - DOUBT_S}

    def _exchange(self, numbers: list[int], looks: list[Points | None], doubtful: set[int]) -> None:
        """Where a face looks like another one that it touched more than like itself, the two numbers were mixed up."""
        for i, number in enumerate(numbers):
            if number < 0:
                self._claim(i, numbers, looks, doubtful)
                continue
            if number not in doubtful:
                continue
            for other in doubtful - {number}:
                own, theirs = self._known[number].look, self._known[other].look
                gain = likeness(looks[i], theirs) - likeness(looks[i], own)
                j = numbers.index(other) if other in numbers else None
                if j is not None:
                    gain += likeness(looks[j], own) - likeness(looks[j], theirs)
                if gain > (CLEARER if j is None else 2 * CLEARER):
                    numbers[i] = other
                    if j is not None:
                        numbers[j] = number
                    break

    def _claim(self, i: int, numbers: list[int], looks: list[Points | None], doubtful: set[int]) -> None:
        """A new face takes the number of a track that slid onto another face and no longer shows its own."""
        for j, number in enumerate(numbers):
            own = self._known[number].look if number in doubtful else None
            if likeness(looks[i], own) > max(LIKE, likeness(looks[j], own) + 2 * CLEARER):
                numbers[i], numbers[j] = number, -1
                return

    def _returned(self, face: Face, seen: Points | None, numbers: list[int], time: float) -> int:
        """The number of the lost face that this one is, or a new number."""
        best, most = None, 0.0
        for number, known in self._known.items():
            alike = likeness(seen, known.look)
            reach = (NEAR + SPEED * (time - known.seen)) * known.face.box[3]
            needed = LIKE_NEAR if np.hypot(*(face.landmarks - known.face.landmarks).mean(axis=0)) < reach else LIKE
            if number not in numbers and alike >= needed and alike > most:
                best, most = number, alike
        if best is None:
            best, self._next = self._next, self._next + 1
        return best

    def _remember(self, face: Face, seen: Points | None, time: float) -> None:
        known = self._known.setdefault(face.track, _Known(face, time))
        known.face, known.seen = face, time
        if seen is None or (known.look is not None and known.touched >= time - DOUBT_S):
            return  # what a face looks like while another one is before it is not its look
        mixed = seen if known.look is None else known.look + RENEWAL * (seen - known.look)
        known.look = (mixed / max(1e-6, float(np.linalg.norm(mixed)))).astype(np.float32)
