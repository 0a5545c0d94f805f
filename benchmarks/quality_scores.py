"""Scores from the judges' answers: by target, by group, by age gap, each beside the control that it must be read against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from .judges import Crops, estimate_ages, identity_vectors
from .quality import Answers, Faces, Judges, Numbers

CURVE_WIDTH = 3.0  # years: standard deviation of the window in which real faces count for an age
CURVE_FACES = 5.0  # so many must be in it
FALSE_MATCHES = 0.01
NEAR = 20.0  # years: a gap up to this is a near one
REAL_TARGETS = (25.0, 75.0)  # the range of targets over which the error against real faces is averaged
GAPS = (0, 10, 20, 30, 40, 50, 60, 100)
TONES = ((41.0, "light (ITA over 41)"), (10.0, "medium (10 to 41)"), (-181.0, "dark (under 10)"))
# cheeks in the FFHQ template, 256 px: left, top, right, bottom
CHEEKS = ((80, 150, 104, 176), (150, 150, 174, 176))


@dataclass(frozen=True)
class AgeScore:
    """One judge at one target; errors in years, means over faces."""

    estimate: float
    error: float  # |estimate - target|
    control_error: float  # the same for a model that returns its input
    real: float | None  # what this judge says of real faces of the target age; None where the data has too few
    error_real: float | None  # |estimate - real|
    control_error_real: float | None


@dataclass(frozen=True)
class AtTarget:
    """Scores at one target age, means over faces."""

    target: float
    ages: tuple[AgeScore, ...]  # by judge
    identity: float  # cosine to the input
    identity_low: float  # its 10th percentile
    verified: float  # share of faces over the threshold of 1 % false matches
    landmarks: float  # how far the landmarks moved, in eye distances
    change: float  # gray levels
    mask: float
    band_psnr: float  # dB


@dataclass(frozen=True)
class Group:
    """Scores of some of the faces, by the first judge; None without real faces or labels."""

    name: str
    faces: int
    error: float
    error_real: float | None
    identity: float
    order: float


@dataclass(frozen=True)
class AtGap:
    """Identity across a gap of years between input and target, beside that of the same people's pictures in ``--pairs``."""

    youngest: int  # years, this included
    oldest: int  # this not
    pairs: int
    identity: float | None
    same_people: float | None


@dataclass(frozen=True)
class Edits:
    """What the paired data itself scores: pictures of one person at several ages, against their labels and the unedited picture."""

    pictures: int
    errors: tuple[float, ...]  # by judge: mean |estimate - label|, years
    gaps: Numbers  # [P] years from the unedited picture
    identity: Numbers  # [P] cosine to it


@dataclass(frozen=True)
class Scores:
    """What one generator got."""

    model: str
    data: tuple[str, ...]
    split: str
    source_ages: tuple[float, float] | None
    faces: int
    age_judges: tuple[str, ...]
    identity_judge: str
    judge_errors: tuple[float | None, ...]  # mean |estimate - label| of each judge on all unedited faces of the split
    by_target: tuple[AtTarget, ...]
    errors: tuple[float, ...]  # by judge, mean over targets
    control_errors: tuple[float, ...]
    errors_real: tuple[float | None, ...]  # by judge, targets in REAL_TARGETS
    control_errors_real: tuple[float | None, ...]
    order: float  # Spearman correlation of target and estimate, mean over faces; a model that returns its input: 0
    neighbors: float  # share of neighboring targets whose estimates are in the right order; returning the input: 0
    rise: float  # years from the first to the last target
    identity: float
    identity_near: float | None  # gaps up to 20 years
    threshold: float  # cosine that 1 % of different people reach
    verified: float
    landmarks: float
    own_psnr: float
    own_identity: float
    own_perceptual: float | None
    outside_changed: float
    band_psnr: float
    by_gap: tuple[AtGap, ...]
    groups: dict[str, tuple[Group, ...]]
    edits: tuple[float, ...] | None  # by judge: the paired data's own error against its labels

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def age_curve(ages: Numbers, estimates: Numbers, targets: Numbers) -> list[float | None]:
    """What a judge says of real faces around each target: a Gaussian window over the labelled ages; None where too few are in it."""
    out: list[float | None] = []
    known = ~np.isnan(ages)
    for target in targets:
        weight = np.exp(-0.5 * ((ages[known] - target) / CURVE_WIDTH) ** 2)
        out.append(float(weight @ estimates[known] / weight.sum()) if weight.sum() >= CURVE_FACES else None)
    return out


def summarize(
    found: Answers,
    faces: Faces,
    every: Faces,
    judges: Judges,
    model: str = "",
    data: Sequence[str] = (),
    split: str = "",
    source_ages: tuple[float, float] | None = None,
    edits: Edits | None = None,
) -> Scores:
    """``every``: all unedited faces of the split, from which the judge's curve over real ages comes; ``faces`` are those that were aged."""
    all_estimates = _input_estimates(found, faces, every, judges)
    labelled = ~np.isnan(every.ages)
    curves = [age_curve(every.ages, e, found.targets) for e in all_estimates]
    threshold = match_threshold(found.input_vectors, faces.people)
    rows = tuple(_at_target(found, t, [c[t] for c in curves], threshold) for t in range(len(found.targets)))
    age = np.where(np.isnan(faces.ages), found.input_estimates[0], faces.ages)
    gaps = np.abs(found.targets[None] - age[:, None])
    wide = [row for row in rows if REAL_TARGETS[0] <= row.target <= REAL_TARGETS[1]]
    count = range(len(judges.ages))
    return Scores(
        model=model,
        data=tuple(data),
        split=split,
        source_ages=source_ages,
        faces=len(faces.names),
        age_judges=tuple(j.name for j in judges.ages),
        identity_judge=judges.identity.name,
        judge_errors=tuple(float(np.abs(e - every.ages)[labelled].mean()) if labelled.any() else None for e in all_estimates),
        by_target=rows,
        errors=tuple(float(np.mean([r.ages[j].error for r in rows])) for j in count),
        control_errors=tuple(float(np.mean([r.ages[j].control_error for r in rows])) for j in count),
        errors_real=tuple(_mean([r.ages[j].error_real for r in wide]) for j in count),
        control_errors_real=tuple(_mean([r.ages[j].control_error_real for r in wide]) for j in count),
        order=float(np.mean([spearman(found.targets, row) for row in found.estimates[0]])),
        neighbors=float((np.diff(found.estimates[0], axis=1) > 0).mean()),
        rise=float((found.estimates[0, :, -1] - found.estimates[0, :, 0]).mean()),
        identity=float(found.identity.mean()),
        identity_near=float(found.identity[gaps <= NEAR].mean()) if (gaps <= NEAR).any() else None,
        threshold=threshold,
        verified=float((found.identity > threshold).mean()),
        landmarks=float(np.nanmean(found.landmarks)),
        own_psnr=float(found.own_psnr.mean()),
        own_identity=float(found.own_identity.mean()),
        own_perceptual=None if found.own_perceptual is None else float(found.own_perceptual.mean()),
        outside_changed=float(found.outside.mean()),
        band_psnr=float(found.band.mean()),
        by_gap=tuple(_at_gap(low, high, gaps, found.identity, edits) for low, high in pairwise(GAPS)),
        groups=_groups(found, faces, curves[0]),
        edits=edits.errors if edits else None,
    )


def _input_estimates(found: Answers, faces: Faces, every: Faces, judges: Judges) -> Numbers:
    """[judge, N] years of ``every`` face: those that were aged have been judged already."""
    known = {key: i for i, key in enumerate(zip(faces.names, faces.people, strict=True))}
    at = np.array([known.get(key, -1) for key in zip(every.names, every.people, strict=True)])
    estimates = found.input_estimates[:, at]
    left = np.flatnonzero(at < 0)
    if len(left):
        estimates[:, left] = np.stack([estimate_ages(j, every.crops[left]) for j in judges.ages])
    return estimates


def judge_edits(faces: Faces, judges: Judges) -> Edits:
    """Scores the pictures of people that the data has at several ages; the first picture of each person is the unedited one."""
    vectors = identity_vectors(judges.identity, faces.crops)
    first: dict[str, int] = {}
    for i, person in enumerate(faces.people):
        first.setdefault(person, i)
    start = np.array([first[p] for p in faces.people])
    edited = start != np.arange(len(start))
    errors = tuple(float(np.abs(estimate_ages(j, faces.crops) - faces.ages)[edited].mean()) for j in judges.ages)
    gaps = np.abs(faces.ages - faces.ages[start])[edited]
    return Edits(int(edited.sum()), errors, gaps, (vectors * vectors[start]).sum(1)[edited])


def match_threshold(vectors: Numbers, people: Sequence[str]) -> float:
    """The cosine that 1 % of the pairs of different people reach."""
    _, person = np.unique(np.array(people), return_inverse=True)
    different = np.triu(person[:, None] != person[None], 1)
    return float(np.quantile((vectors @ vectors.T)[different], 1 - FALSE_MATCHES)) if different.any() else 1.0


def skin_tone(crop: NDArray[np.uint8]) -> float:
    """Individual typology angle of the cheeks of one RGB crop [256, 256, 3], degrees: arctan((L* - 50) / b*), light skin high."""
    patches = np.concatenate([crop[top:bottom, left:right].reshape(-1, 3) for left, top, right, bottom in CHEEKS])
    lab = cv2.cvtColor((patches[None].astype(np.float32) / 255), cv2.COLOR_RGB2LAB)[0]
    lightness, _, blue_yellow = np.median(lab, axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, blue_yellow)))


def spearman(a: Numbers, b: Numbers) -> float:
    """Rank correlation, -1 to 1; 0 where one of the two does not vary."""
    ranks = [_ranks(v) - (len(v) - 1) / 2 for v in (a, b)]
    scale = float(np.linalg.norm(ranks[0]) * np.linalg.norm(ranks[1]))
    return float(ranks[0] @ ranks[1]) / scale if scale else 0.0


def _ranks(values: Numbers) -> Numbers:
    """Ranks from 0, equal values sharing their mean rank."""
    below = (values[:, None] > values[None]).sum(1)
    return below + ((values[:, None] == values[None]).sum(1) - 1) / 2


def _at_target(found: Answers, t: int, real: list[float | None], threshold: float) -> AtTarget:
    target, identity = float(found.targets[t]), found.identity[:, t]
    ages = []
    for estimates, own, curve in zip(found.estimates[:, :, t], found.input_estimates, real, strict=True):
        ages.append(
            AgeScore(
                float(estimates.mean()),
                _distance(estimates, target),
                _distance(own, target),
                curve,
                None if curve is None else _distance(estimates, curve),
                None if curve is None else _distance(own, curve),
            )
        )
    return AtTarget(
        target=target,
        ages=tuple(ages),
        identity=float(identity.mean()),
        identity_low=float(np.percentile(identity, 10)),
        verified=float((identity > threshold).mean()),
        landmarks=float(np.nanmean(found.landmarks[:, t])),
        change=float(found.change[:, t].mean()),
        mask=float(found.mask[:, t].mean()),
        band_psnr=float(found.band[:, t].mean()),
    )


def _at_gap(low: int, high: int, gaps: Numbers, identity: Numbers, edits: Edits | None) -> AtGap:
    inside = (gaps >= low) & (gaps < high)
    same = None
    if edits is not None:
        theirs = (edits.gaps >= low) & (edits.gaps < high)
        same = float(edits.identity[theirs].mean()) if theirs.any() else None
    return AtGap(low, high, int(inside.sum()), float(identity[inside].mean()) if inside.any() else None, same)


def _groups(found: Answers, faces: Faces, curve: list[float | None]) -> dict[str, tuple[Group, ...]]:
    """Faces by source age, sex and measured skin tone; groups of one kind are left out where there is but one."""
    decades = [f"{10 * int(a // 10)} to {10 * int(a // 10) + 9}" if not np.isnan(a) else "" for a in faces.ages]
    tones = [_tone(crop) for crop in faces.crops]
    kinds = {"source age": decades, "sex": list(faces.sexes), "skin tone": tones}
    out = {}
    for kind, names in kinds.items():
        present = sorted(set(names) - {""}, key=lambda n: (int(n.split()[0]) if n[:1].isdigit() else 0, n))
        if len(present) > 1:
            out[kind] = tuple(_group(name, np.array(names) == name, found, curve) for name in present)
    return out


def _group(name: str, inside: NDArray[np.bool_], found: Answers, curve: list[float | None]) -> Group:
    estimates = found.estimates[0][inside]
    wide = [t for t, c in enumerate(curve) if c is not None and REAL_TARGETS[0] <= found.targets[t] <= REAL_TARGETS[1]]
    real = np.array([curve[t] for t in wide], np.float64)
    return Group(
        name,
        int(inside.sum()),
        float(np.abs(estimates - found.targets).mean()),
        float(np.abs(estimates[:, wide] - real).mean()) if wide else None,
        float(found.identity[inside].mean()),
        float(np.mean([spearman(found.targets, row) for row in estimates])),
    )


def _tone(crop: Crops) -> str:
    angle = skin_tone(crop)
    return next(name for limit, name in TONES if angle > limit)


def _distance(values: Numbers, to: float) -> float:
    return float(np.abs(values - to).mean())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
