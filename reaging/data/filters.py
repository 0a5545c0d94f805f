"""Which photos are left out, and why."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ReagingError
from .layouts import Photo
from .measures import Measures


@dataclass(frozen=True)
class Filters:
    """Limits; ``--filter NAME=VALUE`` changes one, ``--filter off`` takes all away.

    The first eight are FFHQ-Aging's rule for its labels (its pitch and yaw are also held against those read off the landmarks); the others
    look at the face that was found.
    """

    age_confidence: float = 0.6  # the publisher's, at least
    gender_confidence: float = 0.66
    dark_glasses: float = 0.0  # 1 lets them pass
    eye_occluded: float = 90.0  # percent of the more hidden eye, less than
    other_eye_occluded: float = 50.0
    pitch: float = 30.0  # degrees, less than
    yaw: float = 40.0
    roll: float = 45.0
    score: float = 0.8  # of the detector, at least
    resolution: float = 0.75  # the source's pixels to one of the crop's, at least
    sharpness: float = 0.008  # at least; see measures.py
    chroma: float = 4.0
    outside: float = 0.2  # share of the crop beyond the source's edge, at most: tight crops have no hair
    black: float = 0.03
    rival: float = 0.8  # height of a second face over the first's, at most: whose age would it be


OFF = Filters(
    age_confidence=-math.inf, gender_confidence=-math.inf, dark_glasses=1, eye_occluded=math.inf, other_eye_occluded=math.inf,
    pitch=math.inf, yaw=math.inf, roll=math.inf, score=0, resolution=0, sharpness=0, chroma=0, outside=math.inf, black=math.inf,
    rival=math.inf,
)  # fmt: skip


def parse_filters(changes: Iterable[str]) -> Filters:
    """``name=value`` and ``off``, in order, on top of the defaults; raises ReagingError for anything else."""
    filters = Filters()
    names = [f.name for f in dataclasses.fields(Filters)]
    for change in changes:
        if change == "off":
            filters = OFF
            continue
        name, _, text = change.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if name not in names or math.isnan(value):
            raise ReagingError(f"--filter {change!r} is not usable", f"off, or name=number with a name of {', '.join(names)}", "correct it")
        filters = dataclasses.replace(filters, **{name: value})
    return filters


def refuse_label(photo: Photo, f: Filters) -> str:
    """Why what the publisher says of a photo is not trusted, or nothing.  What is not said is not held against it."""
    told = photo.trust
    if told.get("age_confidence", math.inf) <= f.age_confidence:
        return "an unsure age label"
    if told.get("gender_confidence", math.inf) <= f.gender_confidence:
        return "an unsure gender label"
    if told.get("dark_glasses", 0) > f.dark_glasses:
        return "dark glasses"
    if told.get("eye_occluded", -1) >= f.eye_occluded or told.get("other_eye_occluded", -1) >= f.other_eye_occluded:
        return "hidden eyes"
    if abs(told.get("label_pitch", 0)) >= f.pitch or abs(told.get("label_yaw", 0)) >= f.yaw:
        return "a turned head, as labelled"
    return ""


def refuse_face(m: Measures, f: Filters) -> str:
    """Why a face is left out, or nothing."""
    if m.score < f.score:
        return "an unsure detection"
    if m.rival > f.rival:
        return "two faces of like size"
    if m.outside > f.outside:
        return "a tight crop: hair and chin lie outside the picture"
    if m.resolution < f.resolution:
        return "too small a face"
    if abs(m.yaw) >= f.yaw or abs(m.pitch) >= f.pitch or abs(m.roll) >= f.roll:
        return "a turned head"
    if m.black > f.black:
        return "black wedges"
    if m.chroma < f.chroma:
        return "gray or toned"
    if m.sharpness < f.sharpness:
        return "blurred"
    return ""
