"""Following faces from frame to frame: the finder now and then, the aligner on every frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from .face import Face, Picture, Points
from .find import overlap
from .identity import Identities
from .smooth import OneEuro
from .template import face_box

Finder = Callable[[Picture], list[Face]]
Aligner = Callable[[Picture, list[Face]], list[Face]]

CONVINCING = 6.0  # log odds of a face, by finder and aligner together, that open a track; to go on, the aligner's threshold is enough
SAME = 0.3  # overlap from which two boxes are of one face
ONE = 0.4  # eye distances between the landmarks of two tracks, below which they ran into one face
MISSES = 3  # finder runs in a row that may miss a face which the aligner still sees (a hand before it, a turned head)


@dataclass
class _Track:
    face: Face  # as aligned last, not smoothed: the next frame's crop is cut around it
    fresh: bool = True  # the landmarks are the finder's: rough
    misses: int = 0
    smooth: OneEuro = field(default_factory=OneEuro)


class FaceTracker:
    """Keeps the faces of a stream of frames; for each frame call ``find``, then ``align``.

    ``find`` is ``search`` and ``take`` where ``due`` says so; a loop that does not want to wait calls ``search`` in another thread, and
    ``take`` a frame or two later.

    ``every``: the finder runs on every so manieth frame, on each where there is no face or one was just lost, and on each where there is no
    aligner, whose place the finder's own landmarks then take.
    """

    def __init__(self, finder: Finder, aligner: Aligner | None = None, every: int = 5, smooth: bool = True):
        self.finder, self.aligner, self.smooth = finder, aligner, smooth
        self.follows = aligner is not None  # known faces, without the finder
        self.every = every if aligner is not None else 1
        self.reset()

    def reset(self) -> None:
        """Forgets every face: the next frame has nothing to do with the last."""
        self._tracks: list[_Track] = []
        self._identities = Identities()
        self._since = 0  # frames since the finder ran
        self._lost = True

    def find(self, frame: Picture) -> bool:
        """Runs the finder on a frame [H, W, 3] BGR where it is due; returns whether it ran."""
        due = self.due()
        if due:
            self.take(self.search(frame))
        return due

    def due(self) -> bool:
        """Whether the finder should run on this frame; if so, it is taken to be done."""
        if self._tracks and not self._lost and self._since < self.every:
            return False
        self._since, self._lost = 0, False
        return True

    def search(self, frame: Picture) -> list[Face]:
        """The finder's faces of a frame [H, W, 3] BGR; it touches no track."""
        return self.finder(frame)

    def align(self, frame: Picture, time_s: float) -> list[Face]:
        """All faces of the frame at a time in seconds, each with its landmarks and the number of its track, oldest track first."""
        if self.aligner is not None:
            self._align(frame, self.aligner)
        named = self._identities(frame, [track.face for track in self._tracks], time_s, renew=self._since == self.every // 2)
        self._since += 1
        faces = []
        for track, face in zip(self._tracks, named, strict=True):
            track.face = face
            if self.smooth:
                landmarks = track.smooth(face.landmarks, time_s)
                face = Face(face_box(landmarks), landmarks, face.score, face.track)
            faces.append(face)
        return faces

    def take(self, found: list[Face]) -> None:
        """Matches the finder's faces with the tracks, those that overlap most first; opens tracks for what is left over."""
        pairs = [(overlap(track.face.box, face.box), i, j) for i, track in enumerate(self._tracks) for j, face in enumerate(found)]
        matched: dict[int, int] = {}
        for shared, i, j in sorted(pairs, reverse=True):
            if shared >= SAME and i not in matched and j not in matched.values():
                matched[i] = j
        kept = []
        for i, track in enumerate(self._tracks):
            if i in matched:
                track.misses = 0
                if self.aligner is None:
                    track.face = replace(found[matched[i]], track=track.face.track)
            else:
                track.misses += 1
            if track.misses <= (MISSES if self.aligner is not None else 0):
                kept.append(track)
        for j, face in enumerate(found):
            # a face that overlaps one track but was matched to another is that track's shadow, not a new face
            if j not in matched.values() and all(overlap(face.box, track.face.box) < SAME for track in kept):
                kept.append(_Track(replace(face, track=-1)))
        self._tracks = kept

    def _align(self, frame: Picture, aligner: Aligner) -> None:
        """Brings every track to this frame, and drops those that show no face any more."""
        places = [replace(track.face, track=i) for i, track in enumerate(self._tracks)]  # the aligner keeps a face's number
        fresh = [face for face, track in zip(places, self._tracks, strict=True) if track.fresh]
        if fresh:  # from rough landmarks the aligner needs two looks
            places = [face for face, track in zip(places, self._tracks, strict=True) if not track.fresh] + aligner(frame, fresh)
        aligned = {face.track: face for face in (aligner(frame, places) if places else [])}
        kept: list[_Track] = []
        for i, track in enumerate(self._tracks):
            face = aligned.get(i)
            if face is None or (track.fresh and not convincing(track.face.score, face.score)):
                self._lost |= not track.fresh  # a mistake of the finder is no reason to ask it again at once
                continue
            if any(_apart(face.landmarks, other.face.landmarks) < ONE for other in kept):
                continue
            track.face, track.fresh = replace(face, track=track.face.track), False
            kept.append(track)
        self._tracks = kept


def convincing(found: float, aligned: float) -> bool:
    """Whether a face is new for certain, by the scores 0..1 of finder and aligner: two witnesses, so their log odds add up."""
    scores = np.clip((found, aligned), 1e-6, 1 - 1e-6)
    return bool(np.log(scores / (1 - scores)).sum() >= CONVINCING)


def _apart(first: Points, second: Points) -> float:
    """Mean distance of two faces' landmarks in eye distances of the larger."""
    eyes = max(float(np.hypot(*(points[1] - points[0]))) for points in (first, second))
    return float(np.hypot(*(first - second).T).mean()) / max(eyes, 1e-6)
