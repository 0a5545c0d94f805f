"""reaging-data."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click

from ..command import Group
from ..errors import ReagingError


@click.group(cls=Group)
def main() -> None:
    """Make and look at the data that reaging-train eats."""


@main.command("prepare")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--size", default=256, show_default=True, type=click.IntRange(32, 1024), help="Pixels of the square crops.")
@click.option("--detector", type=click.Path(path_type=Path), help="A YuNet ONNX file in place of the bundled finder and aligner.")
def prepare_command(source: Path, out: Path, size: int, detector: Path | None) -> None:
    """Find, align and cut the faces of SOURCE, a folder with a labels.csv (file,age[,identity][,split]), into the shard OUT.tar."""
    from .prepare import prepare

    if out.exists():
        raise ReagingError(f"{out} is there already", "a new file", "choose another name, or delete it")
    if out.suffix != ".tar":
        raise ReagingError(f"{out} is no name of a shard", "a name that ends in .tar", "add .tar")
    left_out: Counter[str] = Counter()
    written = 0
    with click.progressbar(prepare(source, out, size, detector), label="aligning", file=sys.stderr) as bar:
        for name, reason in bar:
            written += not reason
            if reason:
                left_out[reason] += 1
                click.echo(f"{name}: {reason}", err=True)
    click.echo(f"{out}: {written} faces" + "".join(f", {count} left out ({reason})" for reason, count in left_out.items()))


@main.command("inspect")
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a picture: one row of faces per age class.")
@click.option("--size", default=256, show_default=True, type=click.IntRange(32, 1024), help="Pixels of the crops.")
def inspect_command(data: tuple[Path, ...], sheet: Path | None, size: int) -> None:
    """Count what is in DATA: tar shards, or folders with a labels.csv."""
    from .inspect import summary, write_sheet
    from .shards import SPLITS, FaceSet, open_records

    records = open_records(data)
    sets = {split: FaceSet([r for r in records if r.split == split], size) for split in SPLITS}
    click.echo(summary(sets))
    if sheet:
        write_sheet(FaceSet(records, size), sheet)
        click.echo(f"{sheet}: a sheet of faces by age")


if __name__ == "__main__":
    main()
