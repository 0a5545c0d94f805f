"""Near-identical pictures: one of each is kept, and none where their labels contradict each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# measured on 1,457 portraits (docs/data.md): copies that were reduced, cut, turned, brightened or compressed pass both, no two people do
LIKELY = 60  # of 256 bits of the perceptual hash that may differ
SAME = 0.97  # correlation of the two 32-pixel pictures from which they are one
SHIFT = 3  # pixels of the 32 that they may be moved against each other
SAME_AGE = 2.0  # years by which two labels of one picture may differ
ROWS = 256  # pictures that are held against all others at a time


@dataclass(frozen=True)
class Look:
    """What of a picture decides whether it is another one's double."""

    hash: bytes  # 256 bits
    gray: bytes  # 32 x 32
    age: float
    range: tuple[float, float] | None
    identity: str
    resolution: float


def find_duplicates(looks: Sequence[Look]) -> dict[int, str]:
    """Indices to leave out, each with its reason.

    Of a cluster of near-identical pictures the one of the highest resolution stays, the first of several; where ages contradict each other
    all go.  A person at several ages is no contradiction: pictures with the same identity count as doubles only at the same age.
    """
    drop: dict[int, str] = {}
    for cluster in _clusters(looks):
        if _contradict([looks[i] for i in cluster]):
            drop |= dict.fromkeys(cluster, "near-identical pictures with contradicting ages")
        else:
            best = max(cluster, key=lambda i: (looks[i].resolution, -i))
            drop |= {i: "a near-identical picture" for i in cluster if i != best}
    return drop


def _contradict(looks: Sequence[Look]) -> bool:
    """Whether there is no age that all labels allow: a year is good to one up or down, an age group to its edges."""
    allowed = [(k.range[0] - 0.4, k.range[1] + 0.4) if k.range else (k.age - SAME_AGE / 2, k.age + SAME_AGE / 2) for k in looks]
    return max(low for low, _ in allowed) > min(high for _, high in allowed)


def _clusters(looks: Sequence[Look]) -> list[list[int]]:
    """Groups of two or more, in the order of their first."""
    parent = list(range(len(looks)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in _doubles(looks):
        first, second = sorted((root(i), root(j)))
        parent[second] = first
    groups: dict[int, list[int]] = defaultdict(list)
    for i in range(len(looks)):
        groups[root(i)].append(i)
    return [members for members in groups.values() if len(members) > 1]


def _doubles(looks: Sequence[Look]) -> list[tuple[int, int]]:
    """Pairs of pictures that show the same."""
    first: dict[bytes, int] = {}
    pairs = []
    for i, look in enumerate(looks):  # equal ones first: any number of copies of a picture makes few pairs
        key = look.hash + look.gray + repr((look.identity, round(look.age))).encode()
        if key in first:
            pairs.append((first[key], i))
        else:
            first[key] = i
    unique = list(first.values())
    words = np.frombuffer(b"".join(looks[i].hash for i in unique), np.uint8).reshape(len(unique), 32)
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    for start in range(0, len(unique), ROWS):
        near = matcher.radiusMatch(words[start : start + ROWS], words, LIKELY) if len(unique) > 1 else ()
        for found in near:
            for match in found:
                i, j = unique[start + match.queryIdx], unique[match.trainIdx]
                if i < j and _comparable(looks[i], looks[j]) and _correlation(looks[i].gray, looks[j].gray) > SAME:
                    pairs.append((i, j))
    return pairs


def _comparable(a: Look, b: Look) -> bool:
    return not a.identity or a.identity != b.identity or abs(a.age - b.age) <= SAME_AGE


def _correlation(a: bytes, b: bytes) -> float:
    """Of two gray pictures [32, 32], at the best of some shifts."""
    one, other = _picture(a), _picture(b)
    return float(cv2.matchTemplate(other, one[SHIFT:-SHIFT, SHIFT:-SHIFT], cv2.TM_CCOEFF_NORMED).max())


def _picture(gray: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(gray, np.uint8).reshape(32, 32)
