"""The mean of generators that went on from the same weights: between two of them lies what has something of both.

    python -m reaging.training.average A.pt B.pt --shares 0.4,0.6 --out C.pt

Only checkpoints of one run, or of runs begun from one another (``--init``), lie close enough together (Wortsman et al. 2022).
"""

from __future__ import annotations

from pathlib import Path

import click
from torch import Tensor

from ..command import Command
from ..errors import ReagingError
from .checkpoint import load_checkpoint, write_checkpoint


def mean_state(states: list[dict[str, Tensor]], shares: list[float]) -> dict[str, Tensor]:
    """The weighted mean of float tensors; others are the last state's.  Raises ReagingError where names or shapes differ."""
    last = states[-1]
    if any({k: v.shape for k, v in s.items()} != {k: v.shape for k, v in last.items()} for s in states):
        raise ReagingError("the checkpoints hold different networks", "checkpoints of one preset", "choose others")
    return {
        k: sum((s[k].float() * share for s, share in zip(states, shares, strict=True)), v.new_zeros(()).float())
        if v.is_floating_point()
        else v
        for k, v in last.items()
    }


@click.command(cls=Command)
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--shares", required=True, help="Of each, with commas; they sum to 1.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Checkpoint to write: averaged weights, nothing to resume.")
def main(checkpoints: tuple[Path, ...], shares: str, out: Path) -> None:
    """Writes the mean of the averaged generators of CHECKPOINTS, with the preset and step of the last; calibrate its ages anew."""
    try:
        parts = [float(part) for part in shares.split(",")]
    except ValueError:
        parts = []
    if len(parts) != len(checkpoints) or not abs(sum(parts) - 1) < 1e-6 or min(parts) < 0:
        raise ReagingError(f"--shares {shares!r} is not usable", f"{len(checkpoints)} numbers that sum to 1", "give for example 0.4,0.6")
    contents = [load_checkpoint(path) for path in checkpoints]
    if any("generator" not in content["ema"] for content in contents):
        raise ReagingError("a checkpoint holds no generator", "generators' checkpoints", "choose others")
    mean = mean_state([content["ema"]["generator"] for content in contents], parts)
    kept = {k: v for k, v in contents[-1].items() if k != "ages"}
    write_checkpoint(out, {**kept, "nets": {}, "optimizers": {}, "ema": {"generator": mean}})
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    main()
