"""FaceSet: aligned faces with ages, read from what reaging-data writes, from tar shards, or from folders that hold a labels.csv."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError
from .archive import Span
from .foreground import ellipse, foreground

SPLITS = ("train", "test")
CACHE_BYTES = 4 << 30  # decoded pictures kept in memory
MANIFEST = "manifest.json"
SYNTHETIC = "synthetic:"  # in place of a path: faces that are made while they are trained on


@dataclass(frozen=True)
class Record:
    """One picture: its label and where its bytes are."""

    name: str
    age: float
    identity: str
    split: str  # train or test
    encoded: Span = field(repr=False)
    mask: Span | None = field(default=None, repr=False)  # PNG, gray: where this picture's face may change


class FaceSet:
    """Aligned faces (FFHQ template) of one split; pictures are decoded when asked for and then kept.

    ``identities``: index lists into ``records``, one per person, in a fixed order.
    """

    def __init__(self, records: Iterable[Record], size: int):
        self.records = sorted(records, key=lambda r: (r.identity, r.name))
        self.size = size
        groups: dict[str, list[int]] = {}
        for i, record in enumerate(self.records):
            groups.setdefault(record.identity, []).append(i)
        self.identities = list(groups.values())
        self._person = {i: members for members in self.identities for i in members}
        self._pictures: dict[int, NDArray[np.uint8]] = {}
        self._masks: dict[str, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self.records)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """RGB [S, S, 3]; raises ReagingError where the file cannot be decoded."""
        if index in self._pictures:
            return self._pictures[index]
        record = self.records[index]
        try:
            encoded = record.encoded.read()
            bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
        except (OSError, cv2.error):
            bgr = None
        if bgr is None:
            raise ReagingError(f"picture {record.name} cannot be decoded", "a JPEG, PNG or WebP file", "remove its row from labels.csv")
        if bgr.shape[:2] != (self.size, self.size):
            way = cv2.INTER_AREA if bgr.shape[0] > self.size else cv2.INTER_CUBIC
            bgr = cv2.resize(bgr, (self.size, self.size), interpolation=way)
        rgb = np.ascontiguousarray(bgr[:, :, ::-1], np.uint8)
        if (len(self._pictures) + 1) * rgb.nbytes < CACHE_BYTES:
            self._pictures[index] = rgb
        return rgb

    def mask(self, index: int) -> NDArray[np.float32] | None:
        """Where this person's pictures may change: [S/4, S/4] in 0..1; None where the data does not tell.

        The masks that the data brings, all of the person's together; without them, what ``change_mask`` makes of the pictures.
        """
        identity, members = self.records[index].identity, self._person[index]
        if identity not in self._masks:
            brought = [m for m in (self._brought(i) for i in members) if m is not None]
            self._masks[identity] = np.max(brought, axis=0) if brought else change_mask([self.picture(i) for i in members])
        return self._masks[identity]

    def _brought(self, index: int) -> NDArray[np.float32] | None:
        span, side = self.records[index].mask, self.size // 4
        if span is None:
            return None
        try:
            gray = cv2.imdecode(np.frombuffer(span.read(), np.uint8), cv2.IMREAD_GRAYSCALE)
        except (OSError, cv2.error):
            gray = None
        if gray is None:
            name = self.records[index].name
            raise ReagingError(f"the mask of {name} cannot be decoded", "a gray PNG", "make the shard again")
        return cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)


def change_mask(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """RGB pictures [S, S, 3] of one person, in the FFHQ template -> [S/4, S/4] in 0..1: where the face may change.

    The face itself, always; hair, ears and neck around it where they are the foreground of some picture and, with three pictures at several
    ages or more, where these differ; the background never.
    """
    side = pictures[0].shape[0] // 4
    face, person = ellipse(side, (0.5, 0.58), (0.27, 0.36)), ellipse(side, (0.5, 0.50), (0.42, 0.50))
    some = [pictures[i] for i in sorted({0, len(pictures) // 2, len(pictures) - 1})]
    front = np.max([foreground(p) for p in some], axis=0)
    person = person * cv2.resize(front, (side, side), interpolation=cv2.INTER_AREA)
    if len(pictures) >= 3:
        small = np.stack([cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in pictures]).astype(np.float32) / 255
        spread = cv2.GaussianBlur(np.ascontiguousarray(small.std(0).mean(-1)), (0, 0), side / 32)
        low, high = 0.02, 0.06  # below: what the background of an edited face drifts by; above: what age changes
        differs = np.maximum(face, np.clip((spread - low) / (high - low), 0, 1).astype(np.float32))
        # smooth skin between face and hair differs little: a gap as wide as a forehead is closed
        wide = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side // 4 + 1, side // 4 + 1))
        person = person * cv2.morphologyEx(differs, cv2.MORPH_CLOSE, wide)
    return cv2.GaussianBlur(np.maximum(face, person).astype(np.float32), (0, 0), side / 64)


def open_faces(paths: Iterable[str | Path], size: int, split: str = "train") -> FaceSet:
    """The faces of one split; raises ReagingError where there are none.

    ``synthetic:...`` alone in place of the paths gives faces that are made when they are asked for (see synthetic.py).
    """
    paths = list(paths)
    if len(paths) == 1 and str(paths[0]).startswith(SYNTHETIC):
        from .synthetic import open_synthetic

        return open_synthetic(str(paths[0]).removeprefix(SYNTHETIC), size, split)
    chosen = [r for r in open_records(paths) if r.split == split]
    if not chosen:
        raise ReagingError(f"no {split} faces in the data", f"rows of labels.csv that are in split {split!r}", "add data")
    return FaceSet(chosen, size)


def open_records(paths: Iterable[str | Path]) -> list[Record]:
    """Reads tars, folders with a labels.csv (``file,age[,identity][,split]``) and folders that reaging-data wrote.

    Raises ReagingError for anything else.  Without a split column one person in ten, by hash, is ``test``.
    """
    records: list[Record] = []
    for path in map(Path, paths):
        if (path / MANIFEST).is_file():
            records += [r for shard in manifest_shards(path) for r in read_tar(shard)]
        elif path.is_dir():
            records += read_folder(path)
        elif path.is_file() and tarfile.is_tarfile(path):
            records += read_tar(path)
        else:
            raise ReagingError(f"{path} is no data", "a tar shard or a folder, with a labels.csv in it", "see docs/data.md")
    return records


def manifest_shards(folder: Path) -> list[Path]:
    """The shards of a folder that reaging-data wrote; raises ReagingError where one is missing or cut off."""
    try:
        listed = [(folder / Path(s["file"]).name, int(s["bytes"])) for s in json.loads((folder / MANIFEST).read_bytes())["shards"]]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise ReagingError(f"{folder / MANIFEST} is damaged", "what reaging-data wrote", "make the data again") from None
    for shard, size in listed:
        if not shard.is_file() or shard.stat().st_size != size:
            raise ReagingError(f"{shard} is missing or not whole", f"{size} bytes, as {MANIFEST} says", "copy or make it again")
    return [shard for shard, _ in listed]


def read_folder(folder: Path) -> list[Record]:
    """The records of a folder; the pictures stay on the disk until they are asked for."""
    table = folder / "labels.csv"
    if not table.is_file():
        raise ReagingError(f"{folder} has no labels.csv", "a table file,age[,identity][,split] in it", "write it: docs/data.md")
    root = folder.resolve()
    records = []
    for row in _read_table(table.read_bytes(), str(table)):
        path = folder / row["file"]
        if not _inside(path, root):
            raise ReagingError(f"{table} names {row['file']}", "files inside that folder", "correct the table")
        records.append(_record(row, str(folder), Span(path)))
    return records


def _inside(path: Path, root: Path) -> bool:
    """Whether it is a file there; not so where no file can have that name (too long, a NUL in it, a link to itself)."""
    try:
        return path.resolve().is_relative_to(root) and path.is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def read_tar(path: Path) -> list[Record]:
    """The records of a shard; the pictures stay in it until they are asked for.  Links are not followed."""
    try:
        with tarfile.open(path, "r:") as tar:
            files = [(m.name.removeprefix("./"), Span(path, m.offset_data, m.size)) for m in tar if m.isreg() and not m.sparse]
    except (tarfile.TarError, OSError, EOFError):
        raise ReagingError(f"{path} is a damaged or compressed tar", "a whole, plain shard", "copy, unpack or make it again") from None
    members = dict(files)
    if len(members) < len(files):
        raise ReagingError(f"{path} holds {_double(name for name, _ in files)} twice", "each name once", "make the shard again")
    tables = [name for name in members if PurePosixPath(name).name == "labels.csv"]
    if not tables:
        raise ReagingError(f"{path} has no labels.csv", "a table file,age[,identity][,split] in it", "make the shard with reaging-data")
    records = []
    for table in tables:
        base = PurePosixPath(table).parent
        for row in _read_table(members[table].read(), f"{path}:{table}"):
            member = str(base / row["file"])
            if member not in members:
                raise ReagingError(f"{path}:{table} names {row['file']}", "files that are in the shard", "make the shard again")
            mask = members.get(str(PurePosixPath(member).with_suffix(".mask")))
            records.append(_record(row, f"{path.name}/{base}", members[member], mask))
    return records


def _read_table(text: bytes, where: str) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise ReagingError(f"{where} is no readable table", "CSV in UTF-8", "correct it") from None
    if not rows or not {"file", "age"} <= rows[0].keys():
        raise ReagingError(f"{where} lacks columns or rows", "the columns file and age", "correct its first line")
    if any(row["file"] is None for row in rows):
        raise ReagingError(f"{where} has a row that ends before its file name", "as many fields as the first line has", "correct it")
    if double := _double(row["file"] for row in rows):
        raise ReagingError(f"{where} names {double} twice", "a row for each picture", "correct it")
    return rows


def _double(names: Iterable[str]) -> str:
    """The first name that occurs again; empty where each occurs once."""
    return next((name for name, count in Counter(names).items() if count > 1), "")


def _record(row: dict[str, str], where: str, encoded: Span, mask: Span | None = None) -> Record:
    try:
        age = float(row["age"])
    except (TypeError, ValueError):
        age = float("nan")
    if not 0 <= age <= 120:
        raise ReagingError(f"{where}: {row['file']} has the age {row['age']!r}", "years from 0 to 120", "correct labels.csv")
    # a person is a person across the shards of one set; a picture without identity is a person of its own
    identity = f"id/{row['identity']}" if row.get("identity") else f"{where}/{row['file']}"
    split = row.get("split") or person_split(identity)
    if split not in SPLITS:
        raise ReagingError(f"{where}: {row['file']} is in split {split!r}", " or ".join(SPLITS), "correct labels.csv")
    return Record(row["file"], age, identity, split, encoded, mask)


def person_split(identity: str) -> str:
    """One person in ten, by hash, is held out."""
    return "test" if hashlib.sha1(identity.encode(), usedforsecurity=False).digest()[0] < 26 else "train"
