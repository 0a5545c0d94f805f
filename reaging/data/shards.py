"""FaceSet: aligned faces with ages, read from tar shards or folders that hold a labels.csv."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ReagingError

SPLITS = ("train", "test")
CACHE_BYTES = 4 << 30  # decoded pictures kept in memory


@dataclass(frozen=True)
class Record:
    """One picture: its label and where its bytes are."""

    name: str
    age: float
    identity: str
    split: str  # train or test
    encoded: bytes | Path = field(repr=False)


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
            encoded = record.encoded if isinstance(record.encoded, bytes) else record.encoded.read_bytes()
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
        """Where this person's pictures differ: [S/4, S/4] in 0..1; None for a person with fewer than three pictures."""
        record = self.records[index]
        if record.identity not in self._masks:
            members = self._person[index]
            if len(members) < 3:
                return None
            self._masks[record.identity] = change_mask([self.picture(i) for i in members])
        return self._masks[record.identity]


def change_mask(pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """RGB pictures [S, S, 3] of one person at several ages, in the FFHQ template -> [S/4, S/4] in 0..1: where the face may change.

    The face itself, always; hair, ears and neck around it where the pictures differ; the background never.
    """
    side = pictures[0].shape[0] // 4
    small = np.stack([cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in pictures]).astype(np.float32) / 255
    spread = cv2.GaussianBlur(np.ascontiguousarray(small.std(0).mean(-1)), (0, 0), side / 32)
    low, high = 0.02, 0.06  # below: what the background of an edited face drifts by; above: what age changes
    differs = np.clip((spread - low) / (high - low), 0, 1)
    face, head = _ellipse(side, (0.5, 0.58), (0.27, 0.36)), _ellipse(side, (0.5, 0.50), (0.42, 0.50))
    return cv2.GaussianBlur(np.maximum(face, differs * head).astype(np.float32), (0, 0), side / 64)


def _ellipse(side: int, center: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.float32]:
    """A soft ellipse [side, side] in the template; center and radii in shares of the side, x first."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    distance = np.hypot((x - center[0]) / radii[0], (y - center[1]) / radii[1])
    return np.clip((1.1 - distance) / 0.2, 0, 1).astype(np.float32)


def open_faces(paths: Iterable[str | Path], size: int, split: str = "train") -> FaceSet:
    """The faces of one split; raises ReagingError where there are none."""
    chosen = [r for r in open_records(paths) if r.split == split]
    if not chosen:
        raise ReagingError(f"no {split} faces in the data", f"rows of labels.csv that are in split {split!r}", "add data")
    return FaceSet(chosen, size)


def open_records(paths: Iterable[str | Path]) -> list[Record]:
    """Reads tars and folders with a labels.csv (``file,age[,identity][,split]``); raises ReagingError for anything else.

    Without a split column one person in ten, by hash, is ``test``.
    """
    records: list[Record] = []
    for path in map(Path, paths):
        if path.is_dir():
            records += read_folder(path)
        elif path.is_file() and tarfile.is_tarfile(path):
            records += read_tar(path)
        else:
            raise ReagingError(f"{path} is no data", "a tar shard or a folder, with a labels.csv in it", "see docs/training.md")
    return records


def read_folder(folder: Path) -> list[Record]:
    """The records of a folder; the pictures stay on the disk until they are asked for."""
    table = folder / "labels.csv"
    if not table.is_file():
        raise ReagingError(f"{folder} has no labels.csv", "a table file,age[,identity][,split] in it", "write it: docs/training.md")
    root = folder.resolve()
    records = []
    for row in _read_table(table.read_bytes(), str(table)):
        path = folder / row["file"]
        if not path.resolve().is_relative_to(root) or not path.is_file():
            raise ReagingError(f"{table} names {row['file']}", "files inside that folder", "correct the table")
        records.append(_record(row, str(folder), path))
    return records


def read_tar(path: Path) -> list[Record]:
    """The records of a shard.  Members are read by name, never unpacked, and links are not followed."""
    try:
        with tarfile.open(path) as tar:
            encoded = {m.name.removeprefix("./"): tar.extractfile(m).read() for m in tar if m.isreg()}  # type: ignore[union-attr]
    except (tarfile.TarError, OSError, EOFError):
        raise ReagingError(f"{path} is a damaged tar", "a whole shard", "copy or make it again") from None
    tables = [name for name in encoded if PurePosixPath(name).name == "labels.csv"]
    if not tables:
        raise ReagingError(f"{path} has no labels.csv", "a table file,age[,identity][,split] in it", "make the shard with reaging-data")
    records = []
    for table in tables:
        base = PurePosixPath(table).parent
        for row in _read_table(encoded[table], f"{path}:{table}"):
            member = str(base / row["file"])
            if member not in encoded:
                raise ReagingError(f"{path}:{table} names {row['file']}", "files that are in the shard", "make the shard again")
            records.append(_record(row, f"{path.name}/{base}", encoded[member]))
    return records


def _read_table(text: bytes, where: str) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise ReagingError(f"{where} is no readable table", "CSV in UTF-8", "correct it") from None
    if not rows or not {"file", "age"} <= rows[0].keys():
        raise ReagingError(f"{where} lacks columns or rows", "the columns file and age", "correct its first line")
    return rows


def _record(row: dict[str, str], where: str, encoded: bytes | Path) -> Record:
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
    return Record(row["file"], age, identity, split, encoded)


def person_split(identity: str) -> str:
    """One person in ten, by hash, is held out."""
    return "test" if hashlib.sha1(identity.encode()).digest()[0] < 26 else "train"
