"""The curves of training runs that followed one another, from their logs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ReagingError
from .charts import figure

RATIO = "L1 / L1 of returning the input"
COLUMNS = 2


@dataclass(frozen=True)
class Stage:
    """A run, or the part of it after one step and up to another."""

    name: str
    lines: tuple[dict[str, float], ...]  # of log.jsonl


def read_stage(text: str, number: int) -> Stage:
    """``RUN``, ``RUN:FROM`` or ``RUN:FROM:TO``: a run's folder or its log, the steps after FROM and up to TO.

    Raises ReagingError where there is no such log, or nothing in that part of it.
    """
    name, *steps = text.split(":")
    path = Path(name) / "log.jsonl" if Path(name).is_dir() else Path(name)
    try:
        first, last = [float(step) for step in steps] + [0.0, np.inf][len(steps) :]
    except ValueError:
        raise ReagingError(f"{text!r} is no part of a run", "RUN, RUN:FROM or RUN:FROM:TO", "give for example runs/a:0:4000") from None
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        lines = [{k: float(v) for k, v in line.items()} for line in lines if first < line["step"] <= last and np.isfinite(line["step"])]
    except (OSError, ArithmeticError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ReagingError(f"{path} cannot be read", "the log.jsonl of a training run, or its folder", "check the path") from None
    if not lines:
        raise ReagingError(f"{text} holds no steps", "a part of a run", "leave FROM and TO out")
    return Stage(f"stage {number}", tuple(lines))


def means(stage: Stage, term: str, window: float) -> tuple[list[float], list[float]]:
    """(steps since the stage's first line, means of ``term``) over so many steps each; a line without the term does not count."""
    start = stage.lines[0]["step"]
    sums: dict[float, list[float]] = {}
    for line in stage.lines:
        value = line.get("l1", np.nan) / line["l1_of_input"] if term == RATIO and line.get("l1_of_input") else line.get(term, np.nan)
        if np.isfinite(value):
            sums.setdefault((line["step"] - start) // window, []).append(value)
    parts = sorted(sums)  # the log of a run that was taken up at an earlier step by hand goes back
    return [(part + 0.5) * window for part in parts], [float(np.mean(sums[part])) for part in parts]


def draw_curves(stages: list[Stage], terms: list[str], window: float, path: Path) -> None:
    """One panel a term, the stages in a row; saved as PNG.  Raises ReagingError where no stage has a term."""
    missing = [term for term in terms if not any(means(stage, term, window)[0] for stage in stages)]
    if missing:
        known = sorted({key for stage in stages for key in stage.lines[-1]} - {"step"})
        raise ReagingError(f"no run logged {', '.join(missing)}", f"one of {', '.join(known)}", "see log.jsonl")
    lengths = [stage.lines[-1]["step"] - stage.lines[0]["step"] for stage in stages]
    rows = -(-len(terms) // COLUMNS)
    with figure(path, rows, min(COLUMNS, len(terms)), figsize=(10, 3.2 * rows), squeeze=False, sharex=True) as axes:
        for panel in axes.flat[len(terms) :]:
            panel.set_visible(False)
        for panel, term in zip(axes.flat, terms, strict=False):
            start = 0.0
            for number, (stage, length) in enumerate(zip(stages, lengths, strict=True)):
                steps, values = means(stage, term, window)
                if steps:
                    panel.plot([start + step for step in steps], values, label=stage.name, color=f"C{number}")
                start += length
            panel.set_xlabel("step, all stages in a row")
            panel.set_ylabel(term)
            panel.legend(fontsize=7)
