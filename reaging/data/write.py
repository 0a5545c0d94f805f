"""Shards: plain tars of faces, each with its table and card first, and a manifest beside them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..ages import CLASS_NAMES, age_class
from ..files import whole_file, write_text
from .archive import Dropped
from .layouts import TERMS
from .pieces import Done, add_member
from .shards import MANIFEST, person_split

FORMAT = 1
COLUMNS = [
    "file", "identity", "split", "age", "age_low", "age_high", "sex", "source", "name",
    "lx1", "ly1", "lx2", "ly2", "nx", "ny", "mx1", "my1", "mx2", "my2",
]  # fmt: skip


@dataclass(frozen=True)
class Face:
    """A photo that went through, and where it goes."""

    done: Done
    identity: str  # empty: a person of its own
    split: str  # train or test


def split_of(done: Done, identity: str) -> str:
    """As published; otherwise one person in ten is held out, by the hash of the identity or else of the photo itself."""
    return done.photo.split or person_split(identity or done.content)


def shard_bytes(megabytes: float) -> int:
    return max(1, int(megabytes * 2**20))


def write_shards(out: Path, faces: Sequence[Face], settings: dict[str, Any], limit: int) -> list[Path]:
    """Writes ``shard-00000.tar`` and so on, each of about ``limit`` bytes of pictures; raises ReagingError where the disk is full."""
    shards: list[list[Face]] = [[]]
    size = 0
    for face in faces:
        picture = face.done.picture
        assert picture is not None
        if shards[-1] and size + picture.size > limit:
            shards.append([])
            size = 0
        shards[-1].append(face)
        size += picture.size
    paths = []
    for number, members in enumerate(shards if faces else []):
        paths.append(out / f"shard-{number:05d}.tar")
        _write_shard(paths[-1], members, settings | {"shard": number})
    return paths


def _write_shard(path: Path, faces: Sequence[Face], settings: dict[str, Any]) -> None:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(COLUMNS)
    names = [f"{i:06d}-{f.done.content[:8]}" for i, f in enumerate(faces)]  # by content: no two sets' pictures are taken for one
    for name, face in zip(names, faces, strict=True):
        p = face.done.photo
        low, high = p.range or ("", "")
        rows.writerow([f"{name}.jpg", face.identity, face.split, f"{p.age:g}", low, high, p.sex, p.source, p.name, *face.done.landmarks])
    card = {
        "kind": "faces",
        "format": FORMAT,
        "template": "FFHQ",
        "terms": TERMS.get(settings["layout"], ""),
        "pictures": len(faces),
    } | settings
    with whole_file(path) as part, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
        add_member(tar, "labels.csv", table.getvalue().encode())
        add_member(tar, "card.json", json.dumps(card, indent=1, sort_keys=True).encode())
        for name, face in zip(names, faces, strict=True):
            for suffix, span in ((".jpg", face.done.picture), (".mask", face.done.mask)):
                if span is not None:
                    add_member(tar, name + suffix, span.read())


def write_dropped(path: Path, dropped: Sequence[Dropped]) -> None:
    """Every file that is not in the shards, and why."""
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", "reason"])
        rows.writerows((d.name, d.reason) for d in dropped)


def write_manifest(out: Path, shards: Sequence[Path], settings: dict[str, Any], faces: Sequence[Face], dropped: Sequence[Dropped]) -> None:
    """What the folder holds; written last: a folder with a manifest is whole."""
    counts = {
        split: {name: sum(f.split == split and int(age_class(f.done.photo.age)) == k for f in faces) for k, name in enumerate(CLASS_NAMES)}
        for split in ("train", "test")
    }
    listed = []
    for shard in shards:
        with shard.open("rb") as file:
            listed.append({"file": shard.name, "bytes": shard.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()})
    manifest = {
        "format": FORMAT,
        "settings": settings,
        "terms": TERMS.get(settings["layout"], ""),
        "shards": listed,
        "pictures": counts,
        "dropped": dict(sorted(Counter(d.reason for d in dropped).items())),
    }
    write_text(out / MANIFEST, json.dumps(manifest, indent=1) + "\n")
