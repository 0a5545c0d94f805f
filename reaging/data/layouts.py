"""Data sets as their publishers ship them -> photos with ages, and what cannot be used of them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..ages import CLASS_CENTERS, CLASS_NAMES
from ..errors import ReagingError
from .archive import Dropped, Files, Span, list_files
from .shards import SPLITS

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif")
OLDEST = 120.0


@dataclass(frozen=True)
class Photo:
    """One picture and what its publisher says of it."""

    name: str  # in the source
    span: Span
    age: float  # years; the middle of the range where only a range is known
    range: tuple[float, float] | None = None  # first and last year of an age group
    identity: str = ""
    split: str = ""  # as published; empty: by hash
    sex: str = ""  # f, m or unknown
    source: str = ""  # which part of the data it is from
    trust: dict[str, float] = field(default_factory=dict)  # label confidence and the like, for the filters


Reader = Callable[[Files, str], tuple[list[Photo], list[Dropped]]]


def read_layout(source: Path, layout: str) -> tuple[list[Photo], list[Dropped]]:
    """The photos of a folder or tar in a layout of ``LAYOUTS``, in the order of their names, and what of it is unusable, with reasons.

    Raises ReagingError where the source cannot be read or holds nothing of that layout.
    """
    files, dropped = list_files(source)
    photos, unusable = LAYOUTS[layout](files, source.stem)
    if not photos:
        listed = "".join(f"; {d.name}: {d.reason}" for d in [*dropped, *unusable][:3])
        raise ReagingError(
            f"{source} holds no labelled picture in the layout {layout}{listed}", EXPECTED[layout], "choose another --layout"
        )
    return sorted(photos, key=lambda p: p.name), sorted([*dropped, *unusable], key=lambda d: d.name)


def read_csv(files: Files, source: str) -> tuple[list[Photo], list[Dropped]]:
    """``file,age[,identity][,split][,sex][,source]`` in each labels.csv, or in the only table there is; names are relative to it."""
    tables = [n for n in files if PurePosixPath(n).name == "labels.csv"] or [n for n in files if n.lower().endswith(".csv")]
    if not tables or (len(tables) > 1 and PurePosixPath(tables[0]).name != "labels.csv"):
        raise ReagingError(f"{len(tables)} tables in {source}", EXPECTED["csv"], "write it, or name it labels.csv")
    photos, dropped, named = [], [], set[str]()
    for table in tables:
        for row in _rows(files, table, {"file", "age"}):
            name = _beside(table, row["file"])
            if name is None:
                dropped.append(Dropped(row["file"], "a label whose path climbs out of the source"))
                continue
            reason = _label_problem(name, files, named, _years(row["age"]))
            if reason:
                dropped.append(Dropped(name, reason))
                continue
            split = (row.get("split") or "").lower()
            if split and split not in SPLITS:
                dropped.append(Dropped(name, f"a label with the split {split!r}"))
                continue
            photos.append(
                Photo(name, files[name], _years(row["age"]), None, row.get("identity") or "", split, _sex(row.get("sex")),
                      row.get("source") or source)
            )  # fmt: skip
    return photos, dropped + _unlabelled(files, named)


NUMBER = re.compile(r"[0-9]{1,9}")


def read_ffhq_aging(files: Files, source: str) -> tuple[list[Photo], list[Dropped]]:
    """``ffhq_aging_labels.csv`` and pictures named by their number, in any folder but ``parsings``."""
    table = _one(files, lambda n: PurePosixPath(n).name == "ffhq_aging_labels.csv", "ffhq_aging_labels.csv", source)
    pictures = {
        int(PurePosixPath(n).stem): n
        for n in files
        if PurePosixPath(n).suffix.lower() in PICTURES
        and NUMBER.fullmatch(PurePosixPath(n).stem)
        and "parsings" not in PurePosixPath(n).parts
    }
    photos, dropped, named = [], [], set[str]()
    for row in _rows(files, table, {"image_number", "age_group"}):
        number, known = row["image_number"], _class_name(row["age_group"])
        plain = NUMBER.fullmatch(number)
        group = _group(known) if known in CLASS_NAMES else None
        name = pictures.get(int(number), number) if plain else number
        reason = _label_problem(name, files, named, group[0] if group else math.nan)
        if reason or group is None:
            dropped.append(Dropped(name, reason))
            continue
        photos.append(
            Photo(
                name, files[name], CLASS_CENTERS[CLASS_NAMES.index(known)], group, "", "", _sex(row.get("gender")), source, _ffhq_trust(row)
            )
        )
    parsings = {n for n in files if "parsings" in PurePosixPath(n).parts}
    return photos, dropped + _unlabelled(files, named | parsings)


def _ffhq_trust(row: dict[str, str]) -> dict[str, float]:
    """What FFHQ-Aging's own filter looks at; a column that is missing or no number is not looked at."""
    trust = {}
    for name, column in (("age_confidence", "age_group_confidence"), ("gender_confidence", "gender_confidence"),
                         ("label_pitch", "head_pitch"), ("label_yaw", "head_yaw")):  # fmt: skip
        trust[name] = _years(row.get(column))
    eyes = sorted(_years(row.get(f"{side}_eye_occluded")) for side in ("left", "right"))
    trust["eye_occluded"], trust["other_eye_occluded"] = eyes[1], eyes[0]
    trust["dark_glasses"] = float(row.get("glasses", "").lower().startswith("dark"))
    return {name: value for name, value in trust.items() if math.isfinite(value)}


# [age]_[gender]_[race]_[time].jpg, or .jpg.chip.jpg; the publisher's broken names lack the gender or the race, a dot or a letter of the
# suffix, or have a space too many: the age, which comes first, and the time, which comes last, are in all of them
UTKFACE = re.compile(r"^(\d{1,3})_(?:(\d?)_)?(?:(\d?)_)?\d{17} ?\.?j?pe?g(?:\.chip\.jpg)?$", re.IGNORECASE)


def read_utkface(files: Files, source: str) -> tuple[list[Photo], list[Dropped]]:
    """``[age]_[gender]_[race]_[time].jpg``, with the publisher's broken names; the sex is taken from whole names only."""
    photos, dropped, named = [], [], set[str]()
    for name in files:
        match = UTKFACE.match(PurePosixPath(name).name)
        if match is None:
            continue
        named.add(name)
        age, gender, race = match.groups()
        if not 0 <= int(age) <= OLDEST:
            dropped.append(Dropped(name, f"an age out of range: {age}"))
            continue
        whole = bool(gender and race)
        photos.append(Photo(name, files[name], float(age), None, "", "", "mf"[int(gender)] if whole and gender in "01" else "", source))
    return photos, dropped + _unlabelled(files, named)


def read_fairface(files: Files, source: str) -> tuple[list[Photo], list[Dropped]]:
    """``fairface_label_train.csv`` and ``fairface_label_val.csv``, which becomes the test split; where both crops of the set are there,
    the wide ones (margin 1.25) are taken."""
    tables = [n for n in files if re.fullmatch(r"fairface_label_\w+\.csv", PurePosixPath(n).name)]
    if not tables:
        raise ReagingError(f"{source} has no fairface_label_train.csv", EXPECTED["fairface"], "name the folder that holds it")
    pictures: dict[str, str] = {}
    for name in files:
        tail = "/".join(PurePosixPath(name).parts[-2:])
        if tail not in pictures or "margin125" in name:
            pictures[tail] = name
    photos, dropped, named = [], [], set[str]()
    for table in tables:
        split = "test" if "val" in PurePosixPath(table).stem else "train"
        for row in _rows(files, table, {"file", "age"}):
            name, group = pictures.get(row["file"], row["file"]), _group(row["age"])
            reason = _label_problem(name, files, named, group[0] if group else math.nan)
            if reason or group is None:
                dropped.append(Dropped(name, reason))
                continue
            middle = 78.0 if group[1] >= OLDEST else (group[0] + group[1] + 1) / 2
            photos.append(Photo(name, files[name], middle, group, "", split, _sex(row.get("gender")), f"{source} {split}"))
    copies = {n for n in files if "/".join(PurePosixPath(n).parts[-2:]) in pictures and n not in pictures.values()}
    return photos, dropped + _unlabelled(files, named | copies)


ALL_AGE_FACES = re.compile(r"^(\d{5})A(\d{2,3})\.\w+$")
LAST_WOMAN = 7380  # serial numbers up to here are women's


def read_all_age_faces(files: Files, source: str) -> tuple[list[Photo], list[Dropped]]:
    """``[serial]A[age].jpg``; of a picture that is there as original and as aligned face, the original."""
    found = {n: m for n in files if (m := ALL_AGE_FACES.match(PurePosixPath(n).name)) and PurePosixPath(n).suffix.lower() in PICTURES}
    originals = {PurePosixPath(n).stem for n in found if "aligned" not in PurePosixPath(n).parent.name}
    photos, dropped = [], []
    for name, match in found.items():
        serial, age = int(match[1]), int(match[2])
        if "aligned" in PurePosixPath(name).parent.name and PurePosixPath(name).stem in originals:
            continue
        if age > OLDEST:
            dropped.append(Dropped(name, f"an age out of range: {age}"))
            continue
        photos.append(Photo(name, files[name], float(age), None, "", "", "f" if serial <= LAST_WOMAN else "m", source))
    return photos, dropped + _unlabelled(files, set(found))


LAYOUTS: dict[str, Reader] = {
    "csv": read_csv,
    "ffhq-aging": read_ffhq_aging,
    "utkface": read_utkface,
    "fairface": read_fairface,
    "all-age-faces": read_all_age_faces,
}
EXPECTED = {
    "csv": "a labels.csv with the columns file and age",
    "ffhq-aging": "ffhq_aging_labels.csv and pictures like 00000.png",
    "utkface": "pictures named [age]_[gender]_[race]_[time].jpg",
    "fairface": "fairface_label_train.csv and pictures like train/1.jpg",
    "all-age-faces": "pictures like 00001A23.jpg",
}
TERMS = {
    "csv": "as the source states them",
    "ffhq-aging": "labels CC BY-NC-SA 4.0; each FFHQ picture under its own Flickr licence, the set CC BY-NC-SA 4.0",
    "utkface": "non-commercial research only; the pictures belong to their owners",
    "fairface": "CC BY 4.0",
    "all-age-faces": "no licence stated; gathered for research",
    "synthetic": "research and evaluation only: the generator was distilled from NVIDIA's StyleGAN2, trained on FFHQ",
}


def _rows(files: Files, table: str, columns: set[str]) -> Iterator[dict[str, str]]:
    try:
        text = files[table].read().decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text))
        if not columns <= set(reader.fieldnames or ()):
            raise ReagingError(f"{table} lacks columns", f"the columns {', '.join(sorted(columns))}", "correct its first line")
        yield from ({k: (v or "").strip() for k, v in row.items() if isinstance(k, str) and not isinstance(v, list)} for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReagingError(f"{table} is no readable table ({error})", "CSV in UTF-8", "correct it") from None


def _one(files: Files, wanted: Callable[[str], bool], what: str, source: str) -> str:
    found = [n for n in files if wanted(n)]
    if len(found) != 1:
        raise ReagingError(f"{source} has {len(found)} of {what}", "exactly one", "name the folder that holds it")
    return found[0]


def _label_problem(name: str, files: Files, named: set[str], age: float) -> str:
    """Why a label cannot be used, or nothing; the file counts as named from here on."""
    if name not in files:
        return "a label without a file"
    if name in named:
        return "labelled twice"
    named.add(name)
    return "" if 0 <= age <= OLDEST else "an age that is no number of years from 0 to 120"


def _unlabelled(files: Files, named: set[str]) -> list[Dropped]:
    return [Dropped(n, "a file without a label") for n in files if n not in named and PurePosixPath(n).suffix.lower() in PICTURES]


def _beside(table: str, file: str) -> str | None:
    """The name of a table's file in the source; None where it climbs out of it."""
    parts = list(PurePosixPath(table).parent.parts)
    if file.startswith("/"):
        return None
    for part in PurePosixPath(file.replace("\\", "/")).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _years(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _class_name(group: str) -> str:
    return "70+" if group.strip().startswith("70") else group.strip()


def _group(text: str) -> tuple[float, float] | None:
    """``20-29`` -> its first and last year; ``70-120``, ``70+`` and ``more than 70`` -> from 70 on; None for anything else."""
    text = text.strip()
    if text in ("70+", "70-120", "more than 70"):
        return 70.0, OLDEST
    match = re.fullmatch(r"(\d{1,3})-(\d{1,3})", text)
    return (float(match[1]), float(match[2])) if match and int(match[1]) <= int(match[2]) <= OLDEST else None


def _sex(text: str | None) -> str:
    return {"female": "f", "f": "f", "woman": "f", "male": "m", "m": "m", "man": "m"}.get((text or "").lower(), "")
