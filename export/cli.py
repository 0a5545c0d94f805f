"""reaging-export: a checkpoint becomes the file that the live filter runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ..command import Command
from ..errors import ReagingError

PATH = click.Path(path_type=Path)


@click.command(cls=Command)
@click.argument("checkpoint", required=False, type=PATH)
@click.argument("model", required=False, type=PATH)
@click.option("--fp16", is_flag=True, help="Convolutions in half precision (for GPUs).")
@click.option(
    "--int8", "int8_data", type=PATH, metavar="DATA", help="Convolutions in int8 (for processors), calibrated on faces: folder or tar."
)
@click.option("--engine", is_flag=True, help="Also build MODEL.engine with TensorRT or TensorRT-RTX.")
@click.option("--batch", default="1,1,4", show_default=True, help="Faces at once that the engine is for: least, best, most.")
@click.option("--verify", is_flag=True, help="Compare at every fifth age, on random pictures and on faces, and print the differences.")
@click.option("--faces", type=PATH, help="Faces for --verify: picture, folder or tar.  [default: scikit-image's portrait]")
@click.option("--size", type=click.IntRange(16, 2048), help="Side of the input in pixels.  [default: as trained]")
@click.option("--terms", default="", help="Terms of use to write into the card.")
@click.option("--note", default="", help="A remark to write into the card.")
@click.option("--show", type=PATH, metavar="FILE", help="Print what an ONNX file, checkpoint or engine says of itself, and nothing else.")
def main(
    checkpoint: Path | None,
    model: Path | None,
    fp16: bool,
    int8_data: Path | None,
    engine: bool,
    batch: str,
    verify: bool,
    faces: Path | None,
    size: int | None,
    terms: str,
    note: str,
    show: Path | None,
) -> None:
    """Writes the averaged weights of CHECKPOINT as MODEL (.onnx), checked against the network; a file that fails is not left."""
    with _packages():
        if show is not None:
            from .show import describe

            click.echo("\n".join(describe(show)))
            return
        if checkpoint is None or model is None:
            raise ReagingError("CHECKPOINT or MODEL is missing", "both, or --show FILE", "see reaging-export --help")
        if model.suffix.lower() != ".onnx":
            raise ReagingError(f"{model} is no name for an ONNX file", "a name that ends in .onnx", "rename MODEL")
        if fp16 and int8_data is not None:
            raise ReagingError("--fp16 and --int8 exclude each other", "one precision for one file", "export twice")
        if faces is not None and not verify:
            raise ReagingError("--faces is for --verify", "both or neither", "add --verify")
        faces_at_once = _parse_batch(batch)
        precision = "fp16" if fp16 else "int8" if int8_data is not None else "fp32"
        _export(checkpoint, model, precision, int8_data, size, verify, faces, terms, note)
        if engine:
            _engine(model, faces_at_once)


def _export(
    checkpoint: Path,
    out: Path,
    precision: str,
    data: Path | None,
    size: int | None,
    verify: bool,
    faces: Path | None,
    terms: str,
    note: str,
) -> None:
    from ..nets.faces import FACE_PRESETS
    from ..training.checkpoint import load_checkpoint

    content = load_checkpoint(checkpoint)
    if content["preset"].get("name") in FACE_PRESETS:
        if precision != "fp32" or size is not None:
            raise ReagingError(f"{checkpoint} is a {content['preset']['name']}", "no --fp16, --int8 or --size with it", "leave them out")
        from .faces import export_faces

        export_faces(checkpoint, out)
        click.echo(f"wrote {out}")
        return
    from ..card import ModelCard
    from ..training.checkpoint import generator_from_checkpoint
    from .fp16 import export_fp16
    from .int8 import export_int8
    from .onnx import export_onnx
    from .verify import full_inputs

    generator, preset, step = generator_from_checkpoint(checkpoint)
    side = size or preset.size
    card = ModelCard("generator", preset.name, (side, side), step=step, data=str(content["data"]), terms=terms, note=note)
    inputs = full_inputs(side, faces) if verify and data is None else None  # int8 is always compared on faces
    if data is not None:
        comparison = export_int8(generator, card, out, data, side)
    else:
        comparison = (export_fp16 if precision == "fp16" else export_onnx)(generator, card, out, side, inputs=inputs)
    click.echo("\n".join(comparison.lines()))
    click.echo(f"wrote {out} ({precision}, {out.stat().st_size / 1e6:.2f} MB, {side} x {side}, step {step})")


def _engine(model: Path, batch: tuple[int, int, int]) -> None:
    from .engine import build_engine

    out = model.with_suffix(".engine")
    engine = build_engine(model, out, batch)
    click.echo(
        f"wrote {out} ({engine.flavor} {engine.version}, {engine.precision}, for {engine.gpu} {engine.compute_capability}, batch {batch})"
    )


def _parse_batch(text: str) -> tuple[int, int, int]:
    try:
        low, best, high = (int(part) for part in text.split(","))
    except ValueError:
        raise ReagingError(f"--batch {text!r} is not usable", "three numbers: least,best,most", "give for example 1,1,4") from None
    return low, best, high


@contextmanager
def _packages() -> Iterator[None]:
    """A package that is not installed is something the user can mend."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("torch", "onnx", "onnxscript", "onnxruntime"):
            raise ReagingError(f"the package {error.name} is not installed", "the export extra", "pip install 'reaging[export]'") from None
        raise
