"""reaging-train."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..command import MOST_THREADS, Command, Number
from ..errors import ReagingError


@click.command(cls=Command)
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run: checkpoint.pt, log.jsonl, samples/.")
@click.option("--preset", default="mobile-256", show_default=True, help="What to train: ragan-256, mobile-256, desktop-256, pix2pix-3, ...")
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change one hyperparameter of the preset; repeatable.")
@click.option("--init", type=click.Path(path_type=Path), help="Begin from the generator of this checkpoint.")
@click.option("--resume", is_flag=True, help="Go on from OUT/checkpoint.pt, exactly as if it had not been interrupted.")
@click.option("--dry-run", is_flag=True, help="Print parameters, MACs, memory and steps, and train nothing.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--threads", type=click.IntRange(1, MOST_THREADS), help="CPU threads of torch.")
@click.option("--save-seconds", type=Number(0, 1e6), default=180.0, show_default=True, help="Time between checkpoints.")
@click.option("--sample-every", type=click.IntRange(1), default=500, show_default=True, help="Steps between sample sheets.")
def main(
    data: tuple[Path, ...], out: Path, preset: str, changes: tuple[str, ...], init: Path | None, resume: bool, dry_run: bool, device: str,
    threads: int | None, save_seconds: float, sample_every: int,
) -> None:  # fmt: skip
    """Train a network on DATA: tar shards or folders with a labels.csv (file,age[,identity][,split]).

    Several GPUs or machines: start it with torchrun.
    """
    try:
        import torch
    except ImportError:
        raise ReagingError("torch is not installed", "the training extra", "pip install 'reaging[train]'") from None
    from ..presets import Preset, make_preset
    from .checkpoint import warm_start
    from .loop import train

    chosen = make_preset(preset, changes)
    if threads:
        torch.set_num_threads(threads)
    place = choose_device(device)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if not resume and not dry_run and (out / "checkpoint.pt").exists():
        raise ReagingError(f"{out} holds a run already", "a new folder", "add --resume to go on with it, or choose another --out")
    if world > 1:
        if chosen.batch % world:
            raise ReagingError(f"batch {chosen.batch} on {world} processes", "a multiple of them", "change it with --set batch=")
        torch.distributed.init_process_group("nccl" if place.startswith("cuda") else "gloo")
    try:
        with enough_memory(chosen):
            if isinstance(chosen, Preset):
                task, steps = generator_task(chosen, data, place, rank, world)
            else:
                task, steps = face_task(chosen, data, place), chosen.steps
            if init and not resume:
                warm_start(task, init)
            if dry_run:
                click.echo(describe(task, steps))
                return
            done = train(task, out, steps, resume, save_seconds, sample_every, rank=rank)
        if rank == 0:
            click.echo(f"{out / 'checkpoint.pt'}: {chosen.name} after {done} of {steps} steps")
    finally:
        if world > 1:
            torch.distributed.destroy_process_group()


@contextmanager
def enough_memory(preset: Any) -> Iterator[None]:
    """Raises ReagingError where numpy or torch is refused memory; a system that promises more than it has ends the process instead."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        refused = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not refused:
            raise
        what = f"there is not enough memory for {preset.name} at batch {preset.batch}"
        raise ReagingError(
            what, "nets and a batch that fit", "make --set batch= or --set widths= smaller; --dry-run adds up the nets"
        ) from None


def choose_device(name: str) -> str:
    """``auto``: a CUDA device that really computes, otherwise the CPU; a device that was named and is not there is an error."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise ReagingError(f"device {name!r} is unknown", "auto, cpu or cuda", "choose one of them")
    works = torch.cuda.is_available()
    if name == "cuda" and not works:
        raise ReagingError("there is no usable CUDA device", "an NVIDIA GPU, its driver and a CUDA build of torch", "use --device cpu")
    if name == "cpu" or not works:
        return "cpu"
    index = int(os.environ.get("LOCAL_RANK", 0))
    torch.cuda.set_device(index)
    return f"cuda:{index}"


def generator_task(preset: Any, data: tuple[Path, ...], device: str, rank: int, world: int) -> tuple[Any, int]:
    """The task of a generator preset and its number of steps."""
    from ..data.shards import open_faces
    from .step import GeneratorTask

    faces = open_faces(data, preset.size)
    if preset.paired and all(len(members) < 2 for members in faces.identities):
        raise ReagingError(
            f"preset {preset.name} trains on pairs and no person has two pictures", "identities in labels.csv", "--set paired=0"
        )
    try:
        held_out = open_faces(data, preset.size, "test")
    except ReagingError:
        held_out = None
    steps = preset.steps or max(1, round(preset.epochs * len(faces) / preset.batch))
    return GeneratorTask(preset, faces, held_out, steps, device, rank, world), steps


def face_task(preset: Any, data: tuple[Path, ...], device: str) -> Any:
    """The task of the finder or the aligner."""
    from .faces import AlignerTask, FinderTask

    kinds: dict[str, Any] = {"finder": FinderTask, "aligner": AlignerTask}
    return kinds[preset.name](preset, list(data), device)


def describe(task: Any, steps: int) -> str:
    """What a run would be, in lines."""
    from ..nets.cost import count_macs, count_parameters

    lines = [f"preset      {task.preset.name}"]
    memory = 0
    for name, net in task.nets.items():
        parameters = count_parameters(net)
        memory += parameters * 4 * 4  # weights, gradients and Adam's two moments, float32
        lines.append(f"{name:<11} {parameters / 1e6:.2f} M parameters")
    if hasattr(task, "example_inputs"):
        net, inputs = task.example_inputs()
        lines.append(f"cost        {count_macs(net, *inputs) / 1e9:.3f} GMAC per picture")
    lines.append(f"memory      {memory / 2**20:.0f} MiB for weights, gradients and optimizers (activations come on top)")
    lines.append(f"steps       {steps} of {task.preset.batch} pictures")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
