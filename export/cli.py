"""reaging-export: a checkpoint becomes the file that the live filter runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..command import Command
from ..errors import ReagingError

if TYPE_CHECKING:
    from torch import nn

    from ..card import ModelCard
    from .engine_order import EngineOrder

PATH = click.Path(path_type=Path)


@click.command(cls=Command)
@click.argument("checkpoint", required=False, type=PATH)
@click.argument("model", required=False, type=PATH)
@click.option("--fp16", is_flag=True, help="Convolutions in half precision (for GPUs).")
@click.option(
    "--int8", "int8_data", type=PATH, metavar="DATA", help="Convolutions in int8 (for processors), calibrated on faces: folder or tar."
)
@click.option("--age-model", type=PATH, help="For --int8: an ONNX net that estimates ages, to judge the file by.")
@click.option("--id-model", type=PATH, help="For --int8: an ONNX net that compares faces, to judge the file by.")
@click.option("--force", is_flag=True, help="For --int8: write the file even if it is beyond its bounds; its card says so.")
@click.option(
    "--engine", is_flag=False, flag_value="", metavar="[FILE]", help="Also build FILE, a TensorRT engine.  [default: MODEL.engine]"
)
@click.option("--batch", default="1,1,4", show_default=True, help="Faces at once that the engine is for: least, best, most.")
@click.option("--workspace", type=click.IntRange(1), metavar="MB", help="For --engine: scratch memory to plan with.  [default: 1024]")
@click.option("--opt-level", type=click.IntRange(0, 5), help="For --engine: 0 builds at once, 5 tries everything.  [default: 3]")
@click.option("--targets", metavar="SM..,SM..", help="For --engine with TensorRT-RTX: cards it is for.  [default: SM86,SM89,SM120]")
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
    age_model: Path | None,
    id_model: Path | None,
    force: bool,
    engine: str | None,
    batch: str,
    workspace: int | None,
    opt_level: int | None,
    targets: str | None,
    verify: bool,
    faces: Path | None,
    size: int | None,
    terms: str,
    note: str,
    show: Path | None,
) -> None:
    """Writes the averaged weights of CHECKPOINT as MODEL (.onnx), checked against the network; a file that fails is not left.

    With --engine CHECKPOINT may be an ONNX file that is there already, and MODEL is left out.
    """
    with _packages():
        if show is not None:
            from .show import describe

            click.echo("\n".join(describe(show)))
            return
        from ..runtime.sinks.base import check_place

        if engine is None and (workspace, opt_level, targets) != (None, None, None):
            raise ReagingError("--workspace, --opt-level and --targets are for --engine", "both or neither", "add --engine")
        if checkpoint is not None and model is None and engine is not None and checkpoint.suffix.lower() == ".onnx":
            if int8_data is not None or size is not None or terms or note:
                raise ReagingError(f"{checkpoint} is exported already", "no --int8, --size, --terms or --note", "leave them out")
            _engine(checkpoint, _order(checkpoint, engine, batch, workspace, opt_level, targets), "fp16" if fp16 else None, verify, faces)
            return
        if checkpoint is None or model is None:
            raise ReagingError("CHECKPOINT or MODEL is missing", "both, or --show FILE", "see reaging-export --help")
        if model.suffix.lower() != ".onnx":
            raise ReagingError(f"{model} is no name for an ONNX file", "a name that ends in .onnx", "rename MODEL")
        if fp16 and int8_data is not None:
            raise ReagingError("--fp16 and --int8 exclude each other", "one precision for one file", "export twice")
        if faces is not None and not verify:
            raise ReagingError("--faces is for --verify", "both or neither", "add --verify")
        if int8_data is None and (force or age_model is not None or id_model is not None):
            raise ReagingError("--age-model, --id-model and --force are for --int8", "both or neither", "add --int8 FACES")
        if (age_model is None) != (id_model is None):
            raise ReagingError("one judge is missing", "--age-model and --id-model, or neither", "give both")
        if engine is not None and int8_data is not None:
            raise ReagingError("--int8 is for processors", "--fp16 or neither with --engine", "leave --engine out")
        order = _order(model, engine or "", batch, workspace, opt_level, targets)
        check_place(model)
        precision = "fp16" if fp16 else "int8" if int8_data is not None else "fp32"
        int8 = None if int8_data is None else Int8(int8_data, age_model, id_model, force)
        _export(checkpoint, model, precision, int8, size, verify, faces, terms, note)
        if engine is not None:
            _engine(model, order, None, verify, faces)


@dataclass(frozen=True)
class Int8:
    """What --int8 is done with."""

    data: Path
    age_model: Path | None
    id_model: Path | None
    force: bool


def _export(
    checkpoint: Path,
    out: Path,
    precision: str,
    int8: Int8 | None,
    size: int | None,
    verify: bool,
    faces: Path | None,
    terms: str,
    note: str,
) -> None:
    from ..nets.faces import FACE_PRESETS
    from ..training.checkpoint import generator_of, load_checkpoint

    content = load_checkpoint(checkpoint)
    if content["preset"].get("name") in FACE_PRESETS:
        if precision != "fp32" or size is not None:
            raise ReagingError(f"{checkpoint} is a {content['preset']['name']}", "no --fp16, --int8 or --size with it", "leave them out")
        from .faces import export_faces

        export_faces(checkpoint, out)
        click.echo(f"wrote {out}")
        return
    from ..card import ModelCard
    from .fp16 import export_fp16
    from .onnx import export_onnx
    from .verify import full_inputs

    generator, preset, step = generator_of(content, checkpoint)
    side = size or preset.size
    card = ModelCard("generator", preset.name, (side, side), step=step, data=str(content["data"]), terms=terms, note=note)
    if int8 is not None:  # always compared on faces
        lines = _quantize(generator, card, out, side, int8)
    else:
        inputs = full_inputs(side, faces) if verify else None
        lines = (export_fp16 if precision == "fp16" else export_onnx)(generator, card, out, side, inputs=inputs).lines()
    click.echo("\n".join(lines))
    click.echo(f"wrote {out} ({precision}, {out.stat().st_size / 1e6:.2f} MB, {side} x {side}, step {step})")


def _quantize(generator: nn.Module, card: ModelCard, out: Path, side: int, int8: Int8) -> list[str]:
    from .int8 import export_int8

    gate = None
    if int8.age_model is not None and int8.id_model is not None:
        from ..benchmarks.int8_gate import int8_gate

        gate = int8_gate(int8.age_model, int8.id_model)
    report = export_int8(generator, card, out, int8.data, side, gate, int8.force, lambda what: click.echo(what, err=True))
    unjudged = [] if gate else ["age error and identity were not judged (no --age-model, --id-model)"]
    return [*report.lines(), *unjudged]


def _engine(model: Path, order: EngineOrder, precision: str | None, verify: bool, faces: Path | None) -> None:
    from ..runtime.sinks.base import check_place
    from .engine_order import build_and_check

    check_place(order.out)
    build_and_check(model, order, precision, verify, faces)


def _order(model: Path, engine: str, batch: str, workspace: int | None, level: int | None, targets: str | None) -> EngineOrder:
    from .engine import RTX_TARGETS, Effort
    from .engine_order import EngineOrder

    out = Path(engine) if engine else model.with_suffix(".engine")
    if out.suffix.lower() != ".engine":
        raise ReagingError(f"{out} is no name for an engine", "a name that ends in .engine", "rename it, or write --engine last")
    effort = Effort(workspace or Effort.workspace_mb, Effort.level if level is None else level)
    named = RTX_TARGETS if targets is None else tuple(targets.upper().split(","))
    return EngineOrder(out, _parse_batch(batch), effort, named)


def _parse_batch(text: str) -> tuple[int, int, int]:
    try:
        low, best, high = (int(part) for part in text.split(","))
    except ValueError:
        raise ReagingError(f"--batch {text!r} is not usable", "three numbers: least,best,most", "give for example 1,1,4") from None
    if not 1 <= low <= best <= high <= 1024:
        raise ReagingError(f"--batch {text!r} is not usable", "least <= best <= most, from 1 to 1024", "give for example 1,1,4")
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
