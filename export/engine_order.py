"""What ``reaging-export --engine`` does: the engine, its frame kernels, and a comparison where there is a GPU to run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from ..errors import ReagingError
from ..runtime.backends.engines import EngineFacts
from ..runtime.backends.modelfile import read_model
from ..runtime.cuda.compile import architecture, kernels_beside, write_kernels
from ..runtime.cuda.driver import driver_error, first_gpu
from .engine import RTX_TARGETS, USUAL, Effort, build_engine
from .verify import FP16_PSNR, Comparison, TestInputs, compare, full_inputs, onnx_runner, require


@dataclass(frozen=True)
class EngineOrder:
    """An engine as the command line asks for it."""

    out: Path
    batch: tuple[int, int, int]  # faces: least, tuned for, most
    effort: Effort = USUAL
    targets: tuple[str, ...] = RTX_TARGETS


def build_and_check(model: Path, order: EngineOrder, precision: str | None, verify: bool, faces: Path | None) -> None:
    """Builds the engine and its kernels and says so; with ``verify`` compares it with its ONNX file, where a GPU can run it.

    Raises ReagingError where the model's precision is not the one asked for, the build fails, or the engine computes something else.
    """
    card = read_model(model)[1]
    if precision is not None and card.precision != precision:
        raise ReagingError(
            f"{model} is {card.precision}, and an engine has the precision of its model",
            f"a model in {precision}",
            f"export one from the checkpoint with --{precision}",
        )
    facts = build_engine(model, order.out, order.batch, None, order.targets, order.effort, says=lambda line: click.echo(line, err=True))
    place = f"{facts.gpu} {facts.compute_capability}"
    click.echo(f"wrote {order.out} ({facts.flavor} {facts.version}, {facts.precision}, for {place}, batch {facts.batch})")
    click.echo(_kernels(order.out, facts))
    if not verify:
        return
    reason = driver_error()
    if reason:
        click.echo(f"the engine was not compared with {model}: {reason}")
        return
    click.echo("\n".join(verify_engine(order.out, model, full_inputs(card.size[0], faces)).lines()))


def _kernels(engine: Path, facts: EngineFacts) -> str:
    """Compiles the frame kernels beside the engine: for this machine's GPU, else as PTX for the oldest target.  They can be had later."""
    try:
        arch = architecture(first_gpu()) if driver_error() is None else f"compute_{oldest(facts)}"
        write_kernels(kernels_beside(engine), arch)
    except ReagingError as error:
        return f"no frame kernels beside it: {error.what}"
    return f"wrote {kernels_beside(engine)} (frame kernels, {arch})"


def oldest(facts: EngineFacts) -> int:
    """The lowest target of an RTX engine as a number: 86 for SM86."""
    return min(int(name.removeprefix("SM")) for name in facts.compute_capability.split(","))


def verify_engine(engine: Path, model: Path, inputs: TestInputs) -> Comparison:
    """The engine against its ONNX file on the CPU, which export has compared with the network.

    Raises ReagingError, and removes the engine, where an output is below FP16_PSNR dB or not finite.
    """
    import onnx

    from ..runtime.backends.base import WrongAnswer
    from ..runtime.backends.tensorrt import TensorRT
    from .offender import rounded

    reference = onnx_runner(rounded(onnx.load(model)).SerializeToString())
    try:
        run = TensorRT(engine).run
    except WrongAnswer as error:  # the first face already
        raise _removed(engine, error) from None
    comparison = compare(reference, run, inputs)
    try:
        require(comparison, psnr=FP16_PSNR, file="the engine")
    except ReagingError as error:
        raise _removed(engine, error, f" ({'; '.join(line.strip() for line in comparison.lines()[1:])})") from None
    return comparison


def _removed(engine: Path, error: ReagingError, lines: str = "") -> ReagingError:
    """Removes an engine that computes something else, and says so."""
    for path in (engine, Path(f"{engine}.json"), kernels_beside(engine)):
        path.unlink(missing_ok=True)
    return ReagingError(f"{engine}: {error.what}{lines}", error.expected, "the engine was removed; try --opt-level 2")
