"""Checkpoints: one file with everything a run needs to go on, written whole or not at all."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import __version__
from ..ages import CLASS_CENTERS
from ..errors import ReagingError
from ..files import whole_file
from ..presets import preset_from_dict

CHECKPOINT_FORMAT = 1
MOST_STEPS = 10**12
KEYS = {"format", "version", "preset", "nets", "ema", "optimizers", "step", "data"}


def save_checkpoint(path: Path, task: Any, step: int) -> None:
    """Writes the task's nets, averages, optimizers and preset after ``step`` steps.

    No random state is in it: everything random in a step is drawn from (seed, step), so that resuming is exact.
    """
    content = {
        "format": CHECKPOINT_FORMAT,
        "version": __version__,
        "preset": dataclasses.asdict(task.preset),
        "nets": {k: n.state_dict() for k, n in task.nets.items()},
        "ema": {k: n.state_dict() for k, n in task.ema.items()},
        "optimizers": {k: o.state_dict() for k, o in task.optimizers.items()},
        "step": step,
        "data": getattr(task, "data_names", ""),
    }
    write_checkpoint(path, content)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes what ``load_checkpoint`` gives."""
    with whole_file(path) as part, part.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # a full disk: torch's writer covers it with an error of its own
                raise error.__context__ from None
            raise


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; raises ReagingError for anything else.  No code in the file is ever run."""
    path = Path(path)
    remedy = "name a checkpoint.pt that reaging-train wrote"
    if not path.is_file():
        raise ReagingError(f"checkpoint {path} is not there", "a file", remedy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        raise ReagingError(f"{path} is not a checkpoint of reaging", "a whole file with weights only", remedy) from None
    if not isinstance(content, dict) or not content.keys() >= KEYS:
        raise ReagingError(f"{path} is not a checkpoint of reaging", f"the keys {', '.join(sorted(KEYS))}", remedy)
    if type(content["format"]) is int and content["format"] != CHECKPOINT_FORMAT:
        raise ReagingError(f"{path} has checkpoint format {content['format']}", f"format {CHECKPOINT_FORMAT}", "use a matching version")
    if not _is_whole(content):
        raise ReagingError(f"{path} is damaged", "fields of the kinds that reaging-train writes, and finite weights", remedy)
    return content


def _is_whole(content: dict[str, Any]) -> bool:
    """Whether the fields are of the kinds that everybody takes them for."""
    if type(content["format"]) is not int or type(content["step"]) is not int or not 0 <= content["step"] <= MOST_STEPS:
        return False
    if not all(isinstance(content[k], dict) for k in ("preset", "nets", "ema", "optimizers")):
        return False
    ages = content.get("ages", CLASS_CENTERS)  # of a generator whose age code is calibrated
    if not isinstance(ages, (list, tuple)) or len(ages) != len(CLASS_CENTERS) or not all(type(age) is float for age in ages):
        return False
    if not all(0 <= low < high <= 120 for low, high in itertools.pairwise(ages)):
        return False
    states = [*content["nets"].values(), *content["ema"].values()]
    if not all(isinstance(state, dict) and all(isinstance(k, str) and _is_weight(t) for k, t in state.items()) for state in states):
        return False
    return all(bool(t.isfinite().all()) for state in content["ema"].values() for t in state.values())


def _is_weight(value: object) -> bool:
    """Numbers in memory: torch's files may also hold sparse, quantized and absent ones, which no network here is made of."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    return value.dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool)


def restore(task: Any, content: dict[str, Any], where: str) -> int:
    """Puts a checkpoint's state into the task; returns its step.  Raises ReagingError where the networks do not match."""
    try:
        for k, net in task.nets.items():
            net.load_state_dict(content["nets"][k])
        for k, net in task.ema.items():
            net.load_state_dict(content["ema"][k])
        for k, optimizer in task.optimizers.items():
            optimizer.load_state_dict(content["optimizers"][k])
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
        raise ReagingError(
            f"{where} holds other networks", f"those of preset {task.preset.name}", "resume with the preset and --set of the first start"
        ) from None
    return int(content["step"])


def warm_start(task: Any, path: str | Path) -> None:
    """Begins from the averaged generator of another run; raises ReagingError where it is of another shape."""
    generator, preset, _ = generator_from_checkpoint(path)
    try:
        for nets in (task.nets, task.ema):
            nets["generator"].load_state_dict(generator.state_dict())
    except (KeyError, RuntimeError):
        raise ReagingError(f"{path} holds a {preset.name}", f"a generator like {task.preset.name}'s", "choose another --init") from None


def generator_from_checkpoint(path: str | Path) -> tuple[nn.Module, Any, int]:
    """(generator with the averaged weights in eval mode, its ages calibrated where the checkpoint says so; preset; step)."""
    return generator_of(load_checkpoint(path), path)


def generator_of(content: dict[str, Any], path: str | Path) -> tuple[nn.Module, Any, int]:
    """The same of a checkpoint's content, which came from ``path``."""
    from ..nets import build_generator
    from ..nets.blocks import AgeCode

    preset = preset_from_dict(content["preset"])
    if "generator" not in content["ema"]:
        raise ReagingError(f"{path} holds a {preset.name}, no generator", "a generator's checkpoint", "name another checkpoint")
    try:
        generator = build_generator(preset)
        generator.load_state_dict(content["ema"]["generator"])
    except (RuntimeError, ValueError, IndexError):
        raise ReagingError(f"{path} does not fit its preset", "weights of this version's network", "train again") from None
    code = getattr(generator, "age_code", None)
    if isinstance(code, AgeCode):
        code.place(content.get("ages", CLASS_CENTERS))
    return generator.eval().requires_grad_(False), preset, int(content["step"])
