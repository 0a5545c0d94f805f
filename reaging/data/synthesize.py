"""A data set of people who do not exist, each at several ages, written person by person: interruptible, and always the same."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .. import __version__
from ..errors import ReagingError
from ..files import write_text
from .archive import Dropped, Span
from .crops import JPEG, Crop, Cutting, FaceCutter, measure
from .filters import OFF
from .layouts import Photo
from .people import PeopleMaker, Person
from .pieces import Done, keep_plan, piece_path, read_piece, write_piece
from .prepare import WORK, claim_folder, remove_work
from .report import write_report
from .shards import person_split
from .write import Face, shard_bytes, write_dropped, write_manifest, write_shards

SCORE = 0.9  # of the aligner, for every picture of a person


def synthesize(
    out: Path, maker: PeopleMaker, weights: Path, age_models: list[Path], identities: int, seed: int = 0, shard_mb: float = 256,
    resume: bool = False, force: bool = False, progress: bool = True,
) -> tuple[int, int, float]:  # fmt: skip
    """Writes ``identities`` people into the folder ``out``; returns people, pictures and pictures per second of this run.

    A person in one of whose pictures the bundled nets find no clear face is left out and another drawn.  The same seed, nets and device
    give the same shards.  Raises ReagingError as ``prepare`` does.
    """
    from tqdm import tqdm

    settings = _settings(maker, weights, age_models, identities, seed, shard_mb)
    claim_folder(out, resume, force)
    work = out / WORK
    keep_plan(work, {"settings": settings})
    cutter = FaceCutter(Cutting(maker.size, OFF))
    made, started = 0, time.perf_counter()
    people: list[tuple[int, list[Done]]] = []
    dropped = []
    with tqdm(total=identities, unit="person", desc="synthesizing", disable=not progress) as bar:
        for k in itertools.count():
            if len(people) == identities:
                break
            path = piece_path(work, k)
            if not path.exists():
                person = maker(seed, k)
                made += len(person.pictures)
                _write_person(path, person, cutter)
            done = _read_person(path, k)
            if all(not d.reason for d in done):
                people.append((k, done))
                bar.update(1)
            else:
                dropped.append(next(d for d in done if d.reason))
    rate = made / max(time.perf_counter() - started, 1e-9)
    faces = [Face(d, f"synthetic-{seed}/{k}", person_split(f"synthetic-{seed}/{k}")) for k, done in people for d in done]
    shards = write_shards(out, faces, settings, shard_bytes(shard_mb))
    listed = [Dropped(d.photo.name, d.reason) for d in dropped]
    write_dropped(out / "dropped.csv", listed)
    write_report(out / "report.html", settings, faces, listed, {d.photo.name: d for d in dropped})
    write_manifest(out, shards, settings, faces, listed)
    remove_work(work)
    return len(people), len(faces), rate


def _write_person(path: Path, person: Person, cutter: FaceCutter) -> None:
    """The labels first: where the piece is, they are too."""
    rows = [{"age": a, "estimates": e, "alpha": x} for a, e, x in zip(person.ages, person.estimates, person.alphas, strict=True)]
    write_text(path.with_suffix(".json"), json.dumps(rows))
    write_piece(path, [_crop(np.ascontiguousarray(picture[:, :, ::-1]), cutter) for picture in person.pictures])


def _crop(picture: np.ndarray, cutter: FaceCutter) -> Crop:
    """A picture BGR that is in the template already; it only has to show a face."""
    faces = cutter.faces(picture)
    if not faces or faces[0].score < SCORE:
        return Crop("a person without a clear face at every age", thumb=cv2.imencode(".jpg", picture)[1].tobytes())
    measures = measure(picture, picture[:, :, ::-1], faces, np.eye(2, 3, dtype=np.float32))
    encoded = cv2.imencode(".jpg", picture, JPEG)[1].tobytes()
    return Crop("", measures, hashlib.sha256(encoded).hexdigest(), landmarks=faces[0].landmarks, encoded=encoded)


def _read_person(path: Path, k: int) -> list[Done]:
    beside = path.with_suffix(".json")
    try:
        rows: list[dict[str, Any]] = json.loads(beside.read_bytes())
        photos = [Photo(f"{k:06d}_{i}", Span(path), row["age"], source="synthetic") for i, row in enumerate(rows)]
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        raise ReagingError(
            f"{beside} is damaged", "the ages of a piece of the run that is to go on", f"delete {path.name}, and resume"
        ) from None
    return read_piece(path, photos)


def _settings(maker: PeopleMaker, weights: Path, age_models: list[Path], identities: int, seed: int, shard_mb: float) -> dict[str, Any]:
    def digest(path: Path) -> str:
        return f"{path.name} sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}" if path.is_file() else path.name

    return {
        "source": f"synthetic-{seed}",
        "layout": "synthetic",
        "size": maker.size,
        "generator": digest(weights),
        "age_models": ", ".join(map(digest, age_models)),
        "identities": identities,
        "seed": seed,
        "device": maker.device.type,
        "shard_mb": shard_mb,
        "version": __version__,
    }
