"""Pieces: what the workers have done so far, one whole file for every few photos, so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ReagingError
from ..files import whole_file, write_text
from .archive import Span
from .crops import Crop
from .layouts import Photo
from .measures import Measures

PHOTOS = 16  # to a piece
THUMBS = 6  # pictures of dropped photos kept for the report, to a piece and reason


@dataclass(frozen=True)
class Done:
    """A photo that went through: its crop's numbers, and where its pictures lie."""

    photo: Photo
    reason: str
    measures: Measures | None
    content: str
    hash: bytes
    gray: bytes
    landmarks: tuple[float, ...]
    picture: Span | None = None
    mask: Span | None = None
    thumb: Span | None = None


def piece_path(folder: Path, index: int) -> Path:
    return folder / f"{index:06d}.tar"


def write_piece(path: Path, crops: Sequence[Crop]) -> None:
    """Whole or not at all; raises ReagingError where the disk is full."""
    rows, members, thumbs = [], [], dict[str, int]()
    for i, crop in enumerate(crops):
        thumb = crop.thumb if thumbs.get(crop.reason, 0) < THUMBS else b""
        thumbs[crop.reason] = thumbs.get(crop.reason, 0) + 1
        points = [] if crop.landmarks is None else [round(float(v), 1) for v in crop.landmarks.ravel()]
        rows.append(
            {"reason": crop.reason, "measures": asdict(crop.measures) if crop.measures else None, "content": crop.content,
             "hash": crop.hash.hex(), "gray": crop.gray.hex(), "landmarks": points}
        )  # fmt: skip
        named = ((f"{i}.jpg", crop.encoded), (f"{i}.mask", crop.mask), (f"{i}.thumb", thumb))
        members += [(name, content) for name, content in named if content]
    with whole_file(path) as part, tarfile.open(part, "w") as tar:
        for name, content in [("rows.json", json.dumps(rows).encode()), *members]:
            add_member(tar, name, content)


def read_piece(path: Path, photos: Sequence[Photo]) -> list[Done]:
    """The photos of a piece as they were done."""
    try:
        with tarfile.open(path, "r:") as tar:
            spans = {m.name: Span(path, m.offset_data, m.size) for m in tar}
        rows: list[dict[str, Any]] = json.loads(spans["rows.json"].read())
        return [
            Done(
                photo, row["reason"], Measures(**row["measures"]) if row["measures"] else None, row["content"], bytes.fromhex(row["hash"]),
                bytes.fromhex(row["gray"]), tuple(row["landmarks"]), spans.get(f"{i}.jpg"), spans.get(f"{i}.mask"), spans.get(f"{i}.thumb"),
            )
            for i, (photo, row) in enumerate(zip(photos, rows, strict=True))
        ]  # fmt: skip
    except (tarfile.TarError, KeyError, TypeError, ValueError, RecursionError):
        raise ReagingError(f"{path} is damaged", "a piece of the run that is to go on", "delete it, and resume") from None


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Without times and owners: the same photos give the same bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def plan_of(photos: Sequence[Photo], settings: dict[str, Any]) -> dict[str, Any]:
    """What a run is of: the same plan means the same result, and only then may a run be resumed."""
    digest = hashlib.sha256()
    for p in photos:
        size = p.span.size if p.span.size >= 0 else p.span.path.stat().st_size
        digest.update(repr((p.name, size, p.age, p.range, p.identity, p.split, p.sex, p.source, sorted(p.trust.items()))).encode())
    return {"settings": settings, "photos": len(photos), "digest": digest.hexdigest()}


def keep_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Writes the plan into the folder, or holds it against the one there; raises ReagingError where they differ."""
    path = folder / "plan.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(plan, indent=1))
        return
    try:
        known = json.loads(path.read_bytes())
        if not isinstance(known["settings"], dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ReagingError(f"{path} is damaged", "the plan of the run that is to go on", "begin anew with --force") from None
    if known != json.loads(json.dumps(plan)):
        changed = [k for k, v in plan["settings"].items() if known["settings"].get(k) != json.loads(json.dumps(v))] or ["the photos"]
        raise ReagingError(
            f"{folder.parent} was begun with another {', '.join(changed)}",
            "the same source and options",
            "repeat them, or begin anew with --force",
        )
