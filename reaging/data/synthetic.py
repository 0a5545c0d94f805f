"""Faces that are made while they are trained on: ``synthetic:`` in place of a path.  No pair need be seen twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from .archive import Span
from .shards import FaceSet, Record, change_mask

if TYPE_CHECKING:
    from .people import PeopleMaker, Person

PEOPLE = {"train": 200_000, "test": 64}
STEPS = 8  # pictures of a person
KEPT = 64  # people whose pictures stay in memory
FIELDS = "weights=WHEEL,age-model=A.onnx[,age-model=B.onnx][,seed=N][,people=N][,device=cpu]"


class _People(Sequence[list[int]]):
    """Index lists into the records, one per person."""

    def __init__(self, people: int):
        self.people = people

    def __len__(self) -> int:
        return self.people

    def __getitem__(self, k):  # type: ignore[no-untyped-def]
        if not -self.people <= k < self.people:
            raise IndexError(k)
        k %= self.people
        return list(range(k * STEPS, (k + 1) * STEPS))


class _Records(Sequence[Record]):
    """A picture's label; to know it, its person is made."""

    def __init__(self, faces: SyntheticFaces):
        self.faces = faces

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, i):  # type: ignore[no-untyped-def]
        person, step = self.faces.person(i // STEPS), i % STEPS
        ages = person.ages
        return Record(f"{i // STEPS:06d}_{step}", ages[step % len(ages)], f"synthetic/{i // STEPS}", self.faces.split, Span(Path()))


class SyntheticFaces(FaceSet):
    """A FaceSet of people who are made when they are asked for; the last ones are kept.

    A person whose steps are fewer than eight (the ends of the direction are near) shows some of them twice.
    """

    def __init__(self, maker: PeopleMaker, people: int, seed: int, split: str):
        self.maker, self.size, self.split = maker, maker.size, split
        self.first = seed * 10_000_000 + (5_000_000 if split == "test" else 0)  # the test people are others
        self.identities = _People(people)  # type: ignore[assignment]
        self.records = _Records(self)  # type: ignore[assignment]
        self._kept: OrderedDict[int, tuple[Person, NDArray[np.float32]]] = OrderedDict()
        self._lock = threading.Lock()  # the loop draws batches in one thread and samples in another

    def __len__(self) -> int:
        return len(self.identities) * STEPS

    def person(self, k: int) -> Person:
        return self._made(k)[0]

    def picture(self, index: int) -> NDArray[np.uint8]:
        """RGB [S, S, 3]."""
        pictures = self.person(index // STEPS).pictures
        return pictures[index % STEPS % len(pictures)]

    def mask(self, index: int) -> NDArray[np.float32] | None:
        """Where this person's pictures differ: [S/4, S/4] in 0..1."""
        return self._made(index // STEPS)[1]

    def _made(self, k: int) -> tuple[Person, NDArray[np.float32]]:
        with self._lock:
            if k not in self._kept:
                person = self.maker(self.first, k)
                self._kept[k] = person, change_mask(person.pictures)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(k)
            return self._kept[k]


def open_synthetic(text: str, size: int, split: str) -> SyntheticFaces:
    """The faces of ``synthetic:`` and then ``FIELDS``; raises ReagingError for anything else.

    Without weights they are fetched; without a device it is the GPU where there is one.
    """
    from ..training.cli import choose_device
    from .facegen import fetch_weights
    from .people import PeopleMaker

    values: dict[str, str] = {}
    models: list[Path] = []
    for field in filter(None, text.split(",")):
        name, _, value = field.partition("=")
        if name == "age-model" and value:
            models.append(Path(value))
        elif name in ("weights", "seed", "people", "device") and value:
            values[name] = value
        else:
            raise ReagingError(f"synthetic:{text} is not usable at {field!r}", f"synthetic:{FIELDS}", "correct it")
    if not models:
        raise ReagingError("synthetic: names no age net", f"synthetic:{FIELDS}", "name one: age-model=A.onnx")
    try:
        seed, people = int(values.get("seed", 0)), int(values.get("people", PEOPLE["train"]))
    except ValueError:
        raise ReagingError(f"synthetic:{text} is not usable", "whole numbers for seed and people", "correct it") from None
    device = choose_device(values.get("device", "auto"))
    weights = Path(values["weights"]) if "weights" in values else fetch_weights()
    maker = PeopleMaker(weights, models, size, device)
    return SyntheticFaces(maker, people if split == "train" else min(people, PEOPLE["test"]), seed, split)
