"""What is in a data set: counts, ages, a picture of it, and how fast it is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..ages import CLASS_NAMES, age_class
from ..runtime.sinks.picture import write_picture
from .augment import augment_picture, draw_augmentation
from .shards import FaceSet, Record

SECONDS = 3.0  # of each measurement


def summary(sets: dict[str, FaceSet]) -> str:
    """A table: pictures and people per split and age class, the range of the ages, and how many people have pictures at several."""
    lines = [f"{'':<8}{'pictures':>9}{'people':>8}  " + "".join(f"{name:>7}" for name in CLASS_NAMES)]
    for split, faces in sets.items():
        counts = np.bincount(age_class([r.age for r in faces.records]), minlength=len(CLASS_NAMES))
        lines.append(f"{split:<8}{len(faces):>9}{len(faces.identities):>8}  " + "".join(f"{c:>7}" for c in counts))
    records = [r for faces in sets.values() for r in faces.records]
    ages = np.array([r.age for r in records])
    several = sum(len({faces.records[i].age for i in members}) > 1 for faces in sets.values() for members in faces.identities)
    low, first, middle, third, high = np.percentile(ages, [0, 25, 50, 75, 100])
    lines.append(f"ages     {low:g} to {high:g}, quartiles {first:g}, {middle:g}, {third:g}")
    lines.append(f"people   {several} with pictures at several ages; {sum(r.mask is not None for r in records)} pictures with a mask")
    return "\n".join(lines)


def write_sheet(faces: FaceSet, path: Path, columns: int = 8, side: int = 128) -> None:
    """One row of pictures per age class, evenly taken; a class without pictures is left black."""
    classes = age_class([r.age for r in faces.records])
    sheet = np.zeros((len(CLASS_NAMES) * side, columns * side, 3), np.uint8)
    for row in range(len(CLASS_NAMES)):
        members = np.flatnonzero(classes == row)
        evenly = members[np.linspace(0, len(members) - 1, min(columns, len(members))).astype(int)] if len(members) else []
        for column, index in enumerate(evenly):
            picture = cv2.resize(faces.picture(int(index)), (side, side), interpolation=cv2.INTER_AREA)
            sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = picture[:, :, ::-1]
        cv2.putText(sheet, CLASS_NAMES[row], (4, row * side + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    write_picture(path, sheet)


def measure_speed(records: Sequence[Record], size: int, seconds: float = SECONDS) -> str:
    """How many pictures a second one thread decodes, augments (a webcam's faults on half of them), and both, each picture once."""
    faces = FaceSet(records, size)
    order = np.random.default_rng(0).permutation(len(faces))
    kept = [faces.picture(int(i)) for i in order[:64]]

    def decode(k: int) -> np.ndarray:
        return FaceSet([faces.records[int(order[k % len(order)])]], size).picture(0)  # a set of its own: nothing is kept

    def augment(k: int, picture: np.ndarray) -> None:
        augment_picture(picture, draw_augmentation(np.random.default_rng(k), 1.0, 0.5))

    read = _rate(decode, seconds)
    augmented = _rate(lambda k: augment(k, kept[k % len(kept)]), seconds)
    both = _rate(lambda k: augment(k, decode(k)), seconds)
    share = (1 / read) / (1 / read + 1 / augmented)
    return (
        f"speed    {read:.0f} pictures/s decoded, {augmented:.0f}/s augmented, {both:.0f}/s both, at {size} px on one thread of "
        f"{cv2.getNumThreads()} (OpenCV); decoding is {share:.0%} of it"
    )


def _rate(work: Callable[[int], object], seconds: float) -> float:
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work(count)
        count += 1
    return count / (time.perf_counter() - start)
