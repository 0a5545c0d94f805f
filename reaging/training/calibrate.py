"""Asks a trained generator for the age that it takes to look as old as real faces do.

    python -m reaging.training.calibrate CHECKPOINT DATA... --age-net age.onnx --out CALIBRATED

A generator that learned from pairs falls a little short of the ages it is asked for, and a net that estimates ages errs in its own way.
Both are measured with the same net: what it says of real faces of every age, and of the generator's at the centers of its age classes.
A center then moves to the age at which real faces are judged as the generator's are.  Only numbers of the age code change, no weights.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from ..ages import CLASS_CENTERS
from ..command import Command
from ..data.shards import FaceSet, open_faces
from ..errors import ReagingError
from ..nets.blocks import AgeCode
from ..nets.frozen import FrozenNet
from .checkpoint import generator_of, load_checkpoint, write_checkpoint

Array = NDArray[np.float64]
MOVED = (20.0, 70.0)  # years: centers between them move; beyond, real faces are few and the nets at odds
SOURCES = (20.0, 60.0)  # years: whose faces are given other ages
MOST_SOURCES = 96
WINDOW = 3.0  # years: standard deviation of the window that means over real faces are taken in
FEWEST = 10  # faces that such a mean must rest on
BATCH = 8


def calibrated_centers(generator: nn.Module, faces: FaceSet, net: FrozenNet) -> list[float]:
    """The years at which the centers of the generator's age code belong, judged by ``net`` on the real faces of ``faces``.

    Raises ReagingError where faces are missing or the generator's do not grow older from class to class.
    """
    labels = np.array([record.age for record in faces.records])
    judged = _judge(net, faces, list(range(len(labels))), "real faces")
    sources = [i for i, age in enumerate(labels) if SOURCES[0] <= age <= SOURCES[1]]
    if len(sources) < FEWEST:
        raise ReagingError(f"{len(sources)} faces of 20 to 60 years are too few to calibrate with", f"{FEWEST} or more", "give more faces")
    sources = [sources[i] for i in np.linspace(0, len(sources) - 1, min(len(sources), MOST_SOURCES)).astype(int)]
    ages, estimates = real_curve(labels, judged)
    centers = list(CLASS_CENTERS)
    for k, center in enumerate(CLASS_CENTERS):
        if MOVED[0] <= center <= MOVED[1]:
            looks = float(_judge(net, faces, sources, f"asked for {center:g}", generator, center).mean())
            centers[k] = float(np.interp(looks, estimates, ages))
    if min(np.diff(centers)) < 1:
        found = ", ".join(f"{age:.1f}" for age in centers)
        raise ReagingError(f"the generator's ages do not rise: {found}", "at least a year from class to class", "train it longer")
    return centers


def real_curve(labels: Array, judged: Array) -> tuple[Array, Array]:
    """Labels and estimates [N] of real faces -> (ages, the mean estimate of faces of about that age), both rising."""
    means = []
    for age in np.arange(labels.min(), labels.max() + 1):
        weight = np.exp(-0.5 * ((labels - age) / WINDOW) ** 2)
        if weight.sum() >= FEWEST:
            means.append((np.average(labels, weights=weight), np.average(judged, weights=weight)))
    if len(means) < 2:
        raise ReagingError("too few real faces of each age to calibrate with", f"{FEWEST} or more", "give more faces")
    ages, estimates = np.array(means).T
    return ages, np.maximum.accumulate(estimates)


@torch.no_grad()
def _judge(net: FrozenNet, faces: FaceSet, which: list[int], what: str, generator: nn.Module | None = None, age: float = 0.0) -> Array:
    """The net's years for the faces themselves, or for what the generator makes of them at one age."""
    years = []
    for start in tqdm(range(0, len(which), BATCH), desc=what, leave=False):
        pictures = np.stack([faces.picture(i) for i in which[start : start + BATCH]])
        image = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        if generator is not None:
            image = generator(image, torch.full((len(image),), age))[0]
        years.append(net.look(image)[:, 0].double().numpy())
    return np.concatenate(years)


@click.command(cls=Command)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--age-net", required=True, type=click.Path(path_type=Path), help="ONNX net that estimates ages.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Checkpoint to write.")
def main(checkpoint: Path, data: tuple[Path, ...], age_net: Path, out: Path) -> None:
    """Writes CHECKPOINT with its ages calibrated on the training split of DATA: real faces with their ages."""
    content = load_checkpoint(checkpoint)
    generator, preset, _ = generator_of(content, checkpoint)
    code = getattr(generator, "age_code", None)
    if not isinstance(code, AgeCode):
        raise ReagingError(
            f"{checkpoint} holds a {preset.name}, which has groups of age", "a generator with an age code", "use it as it is"
        )
    code.place(CLASS_CENTERS)  # measured as trained, also the second time
    centers = calibrated_centers(generator, open_faces([str(d) for d in data], preset.size, "train"), FrozenNet(age_net))
    write_checkpoint(out, {**content, "ages": centers})
    for before, after in zip(CLASS_CENTERS, centers, strict=True):
        click.echo(f"asked for {before:4g} it makes faces of {after:5.1f}" if after != before else f"{before:14g} stays")
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    main()
