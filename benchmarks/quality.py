"""What the judges say of a generator's answers on held-out faces: one number for each face and target.  quality_scores sums them up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from ..export.pictures import Label, Picture, read_pictures, square_crops
from ..export.verify import Runner, as_image
from ..runtime.faces.face import Face, Points
from ..runtime.faces.landmarks import FaceAligner
from .judges import TEMPLATE, Crops, Judge, PerceptualJudge, estimate_ages, identity_vectors

TARGETS = (5.0, 15.0, 25.0, 35.0, 45.0, 55.0, 65.0, 75.0)
BATCH = 8
PSNR_CAP = 99.0  # dB of a picture that is returned bit for bit
BAND = 0.5  # the band around the change: where the mask is over 0 and under this
# FFHQ's mean landmarks in its 256 px crop: where the aligner starts to look
TEMPLATE_LANDMARKS = np.array([[95.8, 120.9], [159.1, 121.0], [127.0, 158.0], [100.8, 186.7], [154.3, 186.6]], np.float32)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Faces:
    """Faces of people that never trained: uint8 [N, 256, 256, 3] RGB.

    ``ages`` [N] as labelled (NaN where not known); ``sexes`` "" where not known; ``people`` says who is the same person.
    """

    crops: Crops
    ages: Numbers
    names: tuple[str, ...]
    sexes: tuple[str, ...]
    people: tuple[str, ...]

    def take(self, chosen: Sequence[int] | NDArray[np.intp]) -> Faces:
        """Some of them, by index."""
        every = [int(i) for i in chosen]
        columns = {f.name: tuple(getattr(self, f.name)[i] for i in every) for f in fields(self) if f.name not in ("crops", "ages")}
        return replace(self, crops=self.crops[every], ages=self.ages[every], **columns)

    def between(self, youngest: float, oldest: float) -> Faces:
        """Those with a labelled age in this range, both ends included; raises ReagingError where there are none."""
        chosen = np.flatnonzero((self.ages >= youngest) & (self.ages <= oldest))
        if not len(chosen):
            raise ReagingError(
                f"no face between {youngest:g} and {oldest:g} years", "a column age with such faces", "choose other --source-ages"
            )
        return self.take(chosen)

    def spread(self, limit: int | None) -> Faces:
        """At most ``limit`` of them, evenly spread over the set."""
        if limit is None or limit >= len(self.names):
            return self
        return self.take(np.linspace(0, len(self.names) - 1, limit).round().astype(int))


@dataclass(frozen=True)
class Judges:
    """Who judges; none of them may have been in a loss of the model."""

    ages: tuple[Judge, ...]
    identity: Judge
    perceptual: PerceptualJudge | None = None


@dataclass(frozen=True)
class Answers:
    """N faces x T targets, with the inputs' own figures beside them."""

    targets: Numbers  # [T]
    estimates: Numbers  # [judge, N, T] years
    input_estimates: Numbers  # [judge, N] years
    identity: Numbers  # [N, T] cosine to the input
    input_vectors: Numbers  # [N, d] unit vectors
    landmarks: Numbers  # [N, T] mean distance of five landmarks between input and output, in eye distances; NaN where no face is seen
    change: Numbers  # [N, T] mean |output - input|, gray levels
    mask: Numbers  # [N, T] mean of the mask
    outside: Numbers  # [N, T] share of the pixels with mask 0 that differ in 8 bits
    band: Numbers  # [N, T] PSNR in the band around the change, dB
    own_psnr: Numbers  # [N] dB, asked for the age that the face has
    own_identity: Numbers  # [N]
    own_perceptual: Numbers | None  # [N]


def held_out_faces(sources: Sequence[str | Path], split: str = "test", edited: bool = False) -> Faces:
    """The faces of one split, without those that an editor made of another picture (``step`` above 0) unless ``edited``.

    Raises ReagingError where a source has none.
    """

    def keep(label: Label) -> bool:
        return (edited or label.get("step", "0") == "0") and label.get("split", split) == split

    rows: list[tuple[Picture, str]] = []
    for source in sources:  # a picture without an identity is a person of its own
        rows += [(p, f"{source}/{p.label.get('identity') or p.name}") for p in read_pictures(source, keep=keep)]
    pictures = [p for p, _ in rows]
    return Faces(
        square_crops(pictures, TEMPLATE),
        np.array([_years(p.label) for p in pictures]),
        tuple(p.name for p in pictures),
        tuple(p.label.get("sex", "") for p in pictures),
        tuple(person for _, person in rows),
    )


def _years(label: Label) -> float:
    try:
        return float(label.get("age", ""))
    except ValueError:
        return float("nan")


def answers(
    run: Runner, size: int, faces: Faces, targets: Sequence[float], judges: Judges, progress: Callable[[], None] = lambda: None
) -> tuple[Answers, list[Crops]]:
    """Runs a generator of ``size`` pixels over faces x targets and asks the judges; ``progress`` is called once for each, and once more.

    Also returns the outputs: uint8 [target][N, S, S, 3] RGB.  Raises ReagingError for fewer than two faces or targets.
    """
    if len(targets) < 2 or len(faces.names) < 2:
        raise ReagingError(
            f"{len(faces.names)} faces and {len(targets)} targets are too few", "at least two of each", "give more of --data, --targets"
        )
    targets = sorted(targets)
    small = _resize(faces.crops, size)
    image, vectors = as_image(small), identity_vectors(judges.identity, faces.crops)
    where = find_landmarks(faces.crops)
    input_estimates = np.stack([estimate_ages(j, faces.crops) for j in judges.ages])
    aged_all: list[Crops] = []
    columns: dict[str, list[Numbers]] = {name: [] for name in ("estimates", "identity", "landmarks", "change", "mask", "outside", "band")}
    for target in targets:
        aged, mask = _run(run, image, np.full(len(image), target))
        crops = _as_crops(aged)
        columns["estimates"].append(np.stack([estimate_ages(j, crops) for j in judges.ages]))
        columns["identity"].append((identity_vectors(judges.identity, crops) * vectors).sum(1))
        columns["landmarks"].append(_moved(where, find_landmarks(_resize(crops, TEMPLATE))))
        columns["change"].append(np.abs(aged - image).mean((1, 2, 3)) * 127.5)
        columns["mask"].append(mask.mean((1, 2, 3)).astype(np.float64))
        columns["outside"].append(_changed_outside(small, crops, mask))
        columns["band"].append(_psnr(aged, image, (mask > 0) & (mask < BAND)))
        aged_all.append(crops)
        progress()
    own = np.where(np.isnan(faces.ages), input_estimates[0], faces.ages)
    same = _run(run, image, own)[0]
    same_crops = _as_crops(same)
    progress()
    found = Answers(
        targets=np.asarray(targets),
        input_estimates=input_estimates,
        input_vectors=vectors,
        own_psnr=_psnr(same, image, np.ones_like(image[:, :1], bool)),
        own_identity=(identity_vectors(judges.identity, same_crops) * vectors).sum(1),
        own_perceptual=judges.perceptual(same_crops, small) if judges.perceptual else None,
        **{name: np.stack(column, -1) for name, column in columns.items()},
    )
    return found, aged_all


def find_landmarks(crops: Crops) -> Numbers:
    """The bundled aligner's landmarks [N, 5, 2] in crops uint8 [N, 256, 256, 3] RGB; NaN where it sees no face."""
    aligner = FaceAligner(threshold=0.0)
    out = np.full((len(crops), 5, 2), np.nan)
    for i, crop in enumerate(crops):
        box: Points = np.array([0, 0, TEMPLATE, TEMPLATE], np.float32)
        faces = aligner(np.ascontiguousarray(crop[:, :, ::-1]), [Face(box, TEMPLATE_LANDMARKS, 1.0)])
        if faces:
            out[i] = faces[0].landmarks
    return out


def _moved(before: Numbers, after: Numbers) -> Numbers:
    eyes = np.linalg.norm(before[:, 1] - before[:, 0], axis=1)
    return np.linalg.norm(after - before, axis=2).mean(1) / eyes


def _run(run: Runner, image: NDArray[np.float32], ages: Numbers) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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


def _changed_outside(before: Crops, after: Crops, mask: NDArray[np.float32]) -> Numbers:
    outside = mask[:, 0] == 0
    changed = (before != after).any(-1) & outside
    return changed.sum((1, 2)) / np.maximum(1, outside.sum((1, 2)))


def _psnr(a: NDArray[np.float32], b: NDArray[np.float32], where: NDArray[np.bool_]) -> Numbers:
    """dB between images [N, 3, S, S] over the pixels of ``where`` [N, 1, S, S]; the cap where there are none."""
    error = (np.square((a - b).astype(np.float64)).mean(1) * where[:, 0]).sum((1, 2)) / np.maximum(1, where.sum((1, 2, 3)))
    return np.minimum(10 * np.log10(4 / np.maximum(error, 1e-30)), PSNR_CAP)
