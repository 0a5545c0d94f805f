"""How well a generator ages held-out faces: age reached, identity kept, nothing touched that should not be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from ..export.pictures import Label, read_pictures, square_crops
from ..export.verify import Runner, as_image
from .judges import TEMPLATE, Crops, Judge, estimate_ages, identity_vectors

TARGETS = (8.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0)
SPAN = (20.0, 70.0)  # the rise is counted between these where both are targets, else between the first and the last
BATCH = 8
PSNR_CAP = 99.0  # dB of a picture that is returned bit for bit
OUTSIDE = 0.5 / 255  # a mask below it is zero in 8 bits
VISIBLE = 0.5 / 127.5  # a change above it can move an 8 bit value


@dataclass(frozen=True)
class Faces:
    """Unedited faces of people that never trained: uint8 [N, 256, 256, 3] RGB, their labelled ages [N] (NaN where not known)."""

    crops: Crops
    ages: NDArray[np.float64]
    names: tuple[str, ...]


@dataclass(frozen=True)
class About:
    """What was judged, for the report."""

    model: str = ""
    data: tuple[str, ...] = ()
    split: str = ""


@dataclass(frozen=True)
class AtTarget:
    """Scores at one target age, means over faces."""

    target: float
    estimate: float  # years
    error: float  # mean |estimate - target|, years
    identity: float  # cosine to the input
    identity_low: float  # its 10th percentile
    change: float  # mean |output - input| over the picture, in 8 bit steps
    mask: float  # mean of the mask
    control_error: float  # mean |estimate of the input - target|: what returning the input scores


@dataclass(frozen=True)
class Scores:
    """What one generator got, with the controls that its figures must be read against."""

    model: str
    data: tuple[str, ...]
    split: str
    faces: int
    age_judge: str
    identity_judge: str
    by_target: tuple[AtTarget, ...]
    error: float  # mean of the targets' errors, years
    control_error: float  # the same for a model that returns its input
    identity: float
    span: tuple[float, float]
    rise: float  # mean over faces of estimate(span's end) - estimate(span's start), years; a model that returns its input: 0
    order: float  # Spearman correlation of target and estimate, mean over faces; a model that returns its input: 0
    own_age_psnr: float  # dB, asked for the age that the face has (capped); a model that returns its input: the cap
    outside_changed: float  # share of the pixels with mask 0 that change visibly
    judge_error: float | None  # the age judge's mean error on these faces against their labels; None without labels
    seconds: float
    estimates: list[list[float]] = field(default_factory=list, repr=False)  # years [face][target]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Judged:
    """The scores, and the pictures behind them: uint8 [target][N, S, S, 3] RGB."""

    scores: Scores
    aged: list[Crops]
    input_estimates: NDArray[np.float64]


def held_out_faces(sources: Sequence[str | Path], split: str = "test", limit: int | None = None) -> Faces:
    """Unedited faces (``step`` 0 where the set has steps) of one split; ``limit`` takes that many, evenly spread over the set.

    Raises ReagingError where a source has none.
    """

    def keep(label: Label) -> bool:
        return label.get("step", "0") == "0" and label.get("split", split) == split

    pictures = [picture for source in sources for picture in read_pictures(source, keep=keep)]
    if limit is not None and limit < len(pictures):
        pictures = [pictures[i] for i in np.linspace(0, len(pictures) - 1, limit).round().astype(int)]
    ages = np.array([_years(p.label) for p in pictures])
    return Faces(square_crops(pictures, TEMPLATE), ages, tuple(p.name for p in pictures))


def _years(label: Label) -> float:
    try:
        return float(label.get("age", ""))
    except ValueError:
        return float("nan")


def judge_model(
    run: Runner,
    size: int,
    faces: Faces,
    targets: Sequence[float],
    age_judge: Judge,
    identity_judge: Judge,
    about: About | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Judged:
    """Runs a generator of ``size`` pixels over faces x targets and scores the outputs; ``progress`` is called after every target.

    Raises ReagingError for fewer than two faces or targets.
    """
    if len(targets) < 2 or len(faces.names) < 2:
        raise ReagingError(
            f"{len(faces.names)} faces and {len(targets)} targets are too few", "at least two of each", "give more of --data, --targets"
        )
    about = about or About()
    start = time.perf_counter()
    targets = sorted(targets)
    image = as_image(_resize(faces.crops, size))
    before = identity_vectors(identity_judge, faces.crops)
    own = estimate_ages(age_judge, faces.crops)
    known = ~np.isnan(faces.ages)
    rows, aged_all, estimates, outside = [], [], [], []
    for target in targets:
        aged, mask = _run(run, image, np.full(len(image), target))
        crops = _as_crops(aged)
        estimate = estimate_ages(age_judge, crops)
        likeness = (identity_vectors(identity_judge, crops) * before).sum(1)
        rows.append(
            AtTarget(
                target=float(target),
                estimate=float(estimate.mean()),
                error=float(np.abs(estimate - target).mean()),
                identity=float(likeness.mean()),
                identity_low=float(np.percentile(likeness, 10)),
                change=float(np.abs(aged - image).mean() * 127.5),
                mask=float(mask.mean()),
                control_error=float(np.abs(own - target).mean()),
            )
        )
        aged_all.append(crops)
        estimates.append(estimate)
        outside.append(_outside_changed(image, aged, mask))
        progress()
    table = np.stack(estimates, 1)  # [face, target]
    span = SPAN if set(SPAN) <= set(targets) else (float(targets[0]), float(targets[-1]))
    same, _ = _run(run, image, np.where(known, faces.ages, own))
    scores = Scores(
        model=about.model,
        data=about.data,
        split=about.split,
        faces=len(faces.names),
        age_judge=age_judge.name,
        identity_judge=identity_judge.name,
        by_target=tuple(rows),
        error=float(np.mean([r.error for r in rows])),
        control_error=float(np.mean([r.control_error for r in rows])),
        identity=float(np.mean([r.identity for r in rows])),
        span=span,
        rise=float((table[:, targets.index(span[1])] - table[:, targets.index(span[0])]).mean()),
        order=float(np.mean([spearman(np.asarray(targets), row) for row in table])),
        own_age_psnr=float(np.mean(_psnr(same, image))),
        outside_changed=float(np.mean(outside)),
        judge_error=float(np.abs(own - faces.ages)[known].mean()) if known.any() else None,
        seconds=time.perf_counter() - start,
        estimates=table.round(2).tolist(),
    )
    return Judged(scores, aged_all, own)


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Rank correlation, -1 to 1; 0 where one of the two does not vary."""
    ranks = [_ranks(v) - (len(v) - 1) / 2 for v in (a, b)]
    scale = float(np.linalg.norm(ranks[0]) * np.linalg.norm(ranks[1]))
    return float(ranks[0] @ ranks[1]) / scale if scale else 0.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0, equal values sharing their mean rank."""
    below = (values[:, None] > values[None]).sum(1)
    return below + ((values[:, None] == values[None]).sum(1) - 1) / 2


def _run(run: Runner, image: NDArray[np.float32], ages: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    years = np.clip(ages, 0, 100).astype(np.float32)
    parts = [run(image[i : i + BATCH], years[i : i + BATCH]) for i in range(0, len(image), BATCH)]
    aged, mask = zip(*parts, strict=True)
    return np.concatenate(aged), np.concatenate(mask)


def _as_crops(image: NDArray[np.float32]) -> Crops:
    pixels = np.clip(np.round((image + 1) * 127.5), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def _resize(crops: Crops, size: int) -> Crops:
    if crops.shape[1] == size:
        return crops
    way = cv2.INTER_AREA if crops.shape[1] > size else cv2.INTER_CUBIC
    return np.stack([cv2.resize(crop, (size, size), interpolation=way) for crop in crops]).astype(np.uint8)


def _outside_changed(image: NDArray[np.float32], aged: NDArray[np.float32], mask: NDArray[np.float32]) -> float:
    outside = mask[:, 0] < OUTSIDE
    changed = (np.abs(aged - image).max(1) > VISIBLE) & outside
    return float(changed.sum() / max(1, outside.sum()))


def _psnr(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    error = np.square((a - b).astype(np.float64)).reshape(len(a), -1).mean(1)
    return np.minimum(10 * np.log10(4 / np.maximum(error, 1e-30)), PSNR_CAP)
