"""Collects pictures without a face, for the surroundings that the finder and the aligner train on.

    python -m reaging.data.backgrounds --detector yunet.onnx --out runs/faces/backgrounds FOLDER...

Wallpapers, scikit-image's pictures and clip art do well; docs/training.md names what the bundled models were trained with.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import click
import cv2
import numpy as np

from ..command import Command
from ..errors import ReagingError
from ..runtime.faces.find import YuNetFinder
from ..runtime.sinks.picture import write_picture
from .scenes import PICTURES, Image

LONG_SIDE = {"picture": 720, "cutout": 300}
SMALLEST = 60  # pixels of the shorter side


def collect_backgrounds(folders: list[Path], detector: Path, out: Path) -> dict[str, int]:
    """Writes each picture under the folders, reduced, as JPEG, or as PNG with its alpha channel where at least 3 % of it is transparent.

    Left out: those in which YuNet sees something like a face (score 0.3), those that are too small, and all but the largest of a picture's
    several sizes (same folder, all named like 1920x1080).  Returns how many were written and left out.
    """
    finder = YuNetFinder(detector, threshold=0.3)
    out.mkdir(parents=True, exist_ok=True)
    counts = {"pictures": 0, "cutouts": 0, "with a face": 0, "too small or unreadable": 0}
    files = [p for folder in folders for p in sorted(folder.rglob("*")) if p.suffix.lower() in PICTURES and not p.is_symlink()]
    if not files:
        raise ReagingError(f"no picture in {', '.join(map(str, folders))}", f"files {', '.join(PICTURES)}", "name other folders")
    for path in _one_of_each_size(files):
        picture = _read_reduced(path)
        if picture is None:
            counts["too small or unreadable"] += 1
            continue
        cutout = picture.shape[2] == 4 and (picture[..., 3] < 128).mean() > 0.03
        seen = np.ascontiguousarray(picture[..., :3])
        if cutout:
            seen[picture[..., 3] < 128] = 200
        if finder(seen):
            counts["with a face"] += 1
            continue
        kept, suffix = (picture, ".png") if cutout else (picture[..., :3], ".jpg")
        name = f"{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}{suffix}".replace(" ", "_")
        write_picture(out / name, kept)
        counts["cutouts" if cutout else "pictures"] += 1
    return counts


def _one_of_each_size(files: list[Path]) -> list[Path]:
    """Wallpapers lie in folders as 1024x768.jpg, 1920x1080.jpg ...: of each such folder one."""
    sized = {p for p in files if p.stem.replace("x", "").isdigit() and "x" in p.stem}
    largest = {p.parent: max((q for q in sized if q.parent == p.parent), key=lambda q: q.stat().st_size) for p in sized}
    return [p for p in files if p not in sized or largest[p.parent] == p]


def _read_reduced(path: Path) -> Image | None:
    """BGR or BGRA; None where OpenCV cannot read the file or too little is left."""
    picture: Image | None = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        return None
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    transparent = picture.shape[2] == 4 and (picture[..., 3] < 128).mean() > 0.03
    factor = LONG_SIDE["cutout" if transparent else "picture"] / max(picture.shape[:2])
    if factor < 1:
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return picture if min(picture.shape[:2]) >= SMALLEST and picture.dtype == np.uint8 else None


@click.command(cls=Command)
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--detector", required=True, type=click.Path(path_type=Path), help="YuNet ONNX file.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
def main(folders: tuple[Path, ...], detector: Path, out: Path) -> None:
    """Collects pictures without a face from FOLDERS."""
    for name, count in collect_backgrounds(list(folders), detector, out).items():
        click.echo(f"{count:6d} {name}")


if __name__ == "__main__":
    main()
