"""Faces from a picture, a folder or a tar: what exports are verified with, int8 is calibrated with and scores are taken on."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.shards import MANIFEST, manifest_shards
from ..errors import ReagingError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
Label = Mapping[str, str]
Entries = dict[str, Callable[[], bytes]]


@dataclass(frozen=True)
class Picture:
    """One picture: uint8 [H, W, 3] RGB, and its row of labels.csv (empty where there is none)."""

    name: str
    image: NDArray[np.uint8]
    label: Label = field(default_factory=dict)


def read_pictures(source: str | Path, limit: int | None = None, keep: Callable[[Label], bool] = lambda label: True) -> list[Picture]:
    """The pictures of ``source`` in the order of their names: a picture file, a folder (searched to its leaves or, where reaging-data
    wrote it, its shards) or a tar.

    A ``labels.csv`` in the folder or tar names its pictures relative to itself (column ``file``); ``keep`` chooses by its rows.
    Raises ReagingError where there is nothing to read, a picture is damaged, or none is kept.
    """
    entries, labels = _entries(Path(source))
    pictures: list[Picture] = []
    for name in sorted(entries):
        if limit is not None and len(pictures) >= limit:
            break
        label = labels.get(name, {})
        if keep(label):
            pictures.append(_picture(source, name, entries, label))
    if not pictures:
        raise _none(source, len(entries))
    return pictures


def spread_pictures(source: str | Path, count: int) -> list[Picture]:
    """At most ``count`` pictures of ``source``, evenly from the youngest to the oldest where labels name an age, else by name.

    Only those are decoded.  Raises what read_pictures raises.
    """
    entries, labels = _entries(Path(source))
    if not entries:
        raise _none(source, 0)
    names = sorted(entries, key=lambda name: (_age(labels.get(name, {})), name))
    chosen = {round(i * (len(names) - 1) / max(1, count - 1)) for i in range(count)} if count < len(names) else range(len(names))
    return [_picture(source, names[i], entries, labels.get(names[i], {})) for i in sorted(chosen)]


def _age(label: Label) -> float:
    try:
        return float(label.get("age", ""))
    except ValueError:
        return -1.0


def _none(source: str | Path, seen: int) -> ReagingError:
    return ReagingError(
        f"no usable picture in {source} ({seen} looked at)",
        f"pictures ({', '.join(SUFFIXES)}) of the chosen split",
        "choose another file, folder or split",
    )


def _picture(source: str | Path, name: str, entries: Entries, label: Label) -> Picture:
    return Picture(name, _decode(entries[name](), f"{source}/{name}" if name != Path(source).name else str(source)), label)


def _entries(source: Path) -> tuple[Entries, dict[str, Label]]:
    """What reads each picture, and its label, by name."""
    if not source.exists():
        raise ReagingError(f"{source} does not exist", "a picture, a folder of pictures or a tar", "check the path")
    if (source / MANIFEST).is_file():
        entries: Entries = {}
        labels: dict[str, Label] = {}
        for shard in manifest_shards(source):
            more, rows = _tar(shard)
            entries, labels = entries | more, labels | rows
        return entries, labels
    if source.is_dir():
        return _folder(source)
    if source.suffix.lower() == ".tar":
        return _tar(source)
    return {source.name: source.read_bytes}, {}


def square_crops(pictures: list[Picture], size: int) -> NDArray[np.uint8]:
    """The middle square of each picture, resized: uint8 [N, size, size, 3] RGB.  FFHQ-aligned squares stay as they are."""
    return np.stack([_square(p.image, size) for p in pictures])


def _square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC).astype(np.uint8)


def _decode(data: bytes, where: str) -> NDArray[np.uint8]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise ReagingError(f"{where} is not a readable picture", f"one of {', '.join(SUFFIXES)}", "remove or replace it")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def _folder(folder: Path) -> tuple[Entries, dict[str, Label]]:
    pictures = [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
    entries: Entries = {str(p.relative_to(folder)): p.read_bytes for p in pictures}
    labels: dict[str, Label] = {}
    for table in folder.rglob("labels.csv"):
        labels |= _rows(table.read_bytes(), table.parent.relative_to(folder), str(table))
    return entries, labels


def _tar(path: Path) -> tuple[Entries, dict[str, Label]]:
    entries: Entries = {}
    labels: dict[str, Label] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                if stream is None:
                    continue
                data = stream.read()
                if Path(member.name).suffix.lower() in SUFFIXES:
                    entries[str(Path(member.name))] = lambda data=data: data  # type: ignore[misc]
                elif Path(member.name).name == "labels.csv":
                    labels |= _rows(data, Path(member.name).parent, f"{path}:{member.name}")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ReagingError(f"{path} is not a readable tar ({error})", "a tar of pictures", "fetch or make it again") from None
    return entries, labels


def _rows(table: bytes, folder: Path, where: str) -> dict[str, Label]:
    try:
        rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReagingError(f"{where} is no readable table ({error})", "CSV in UTF-8", "correct it") from None
    return {str(folder / row["file"]): row for row in rows if row.get("file")}
