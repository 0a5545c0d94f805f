"""Two reports of times: is the second slower than the first by more than the noise of both?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import ReagingError
from .report import markdown_table, plural

LEAST_BOUND = 0.05  # a difference below it is never called one
LEAST_ROUNDS = 5  # from fewer no spread can be told
# what a case is called by: those that a report's cases have
KEY = ("model", "backend", "threads", "batch", "size", "clip", "faces", "stage")


@dataclass(frozen=True)
class Change:
    """One case of both reports; ``ratio`` is the second's median time over the first's."""

    case: str
    before_ms: float
    after_ms: float
    ratio: float
    bound: float  # relative; what the spread between rounds allows
    verdict: str  # slower, faster or same


@dataclass(frozen=True)
class Comparison:
    """All cases of both reports, and what a reader must know besides."""

    changes: list[Change]
    notes: list[str]


def compare_reports(before: dict[str, Any], after: dict[str, Any]) -> Comparison:
    """Compares the cases that both reports have.

    Raises ReagingError where there are none, where a report has too few rounds to know its own noise, or is damaged.
    """
    try:
        return _compared(before, after)
    except (AttributeError, TypeError, KeyError, ValueError, ArithmeticError) as error:
        raise ReagingError(f"a report is damaged ({error!r})", "two JSON reports of reaging-bench", "measure again") from None


def _compared(before: dict[str, Any], after: dict[str, Any]) -> Comparison:
    firsts, seconds = _cases(before), _cases(after)
    both = [key for key in seconds if key in firsts]
    if not both:
        raise ReagingError(
            "the two reports have no case in common", "reports of the same models, backends, threads, batches, sizes", "measure again"
        )
    changes = [_change(key, firsts[key], seconds[key]) for key in both]
    alone = [(key, "first") for key in firsts if key not in seconds] + [(key, "second") for key in seconds if key not in firsts]
    notes = [f"only in the {which} report: {_name(key)}" for key, which in alone]
    return Comparison(changes, _machines(before, after) + notes)


def comparison_dict(comparison: Comparison) -> dict[str, Any]:
    """What goes into a JSON file."""
    return {"kind": "compare", "changes": [asdict(c) for c in comparison.changes], "notes": comparison.notes}


def compare_markdown(comparison: Comparison) -> str:
    """The changes as a table, and the notes below it."""
    head = ["case", "before ms", "after ms", "ratio", "noise", "verdict"]
    rows = [
        [c.case, f"{c.before_ms:.2f}", f"{c.after_ms:.2f}", f"{c.ratio:.2f}", f"±{100 * c.bound:.0f} %", c.verdict]
        for c in comparison.changes
    ]
    return "\n".join([markdown_table(head, rows), *(f"\nnote: {note}" for note in comparison.notes)])


def _cases(report: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    return {tuple(str(case.get(name, "")) for name in KEY): case for case in report.get("cases", [])}


def _name(key: tuple[str, ...]) -> str:
    return " ".join(part for part in key if part)


def _machines(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What may explain a change other than the code: another machine, or the same one in another mood."""
    notes = []
    first, second = before["machine"].get("cpu"), after["machine"].get("cpu")
    if first != second:
        notes.append(f"measured on two machines, {first} and {second}")
    rates = [{c["threads"]: c["fp32_gflops"] for c in report.get("ceilings", [])} for report in (before, after)]
    for threads in sorted(rates[0].keys() & rates[1].keys()):
        ratio = rates[1][threads] / rates[0][threads]
        if abs(ratio - 1) > LEAST_BOUND:
            notes.append(f"the machine's own fp32 ceiling with {plural(threads, 'thread')} was {ratio:.2f} times the first run's")
    return notes


def _change(key: tuple[str, ...], a: dict[str, Any], b: dict[str, Any]) -> Change:
    before, after = _times([a["wall_ms"]["p50"], b["wall_ms"]["p50"]])
    bound = max(LEAST_BOUND, _spread(key, a) + _spread(key, b))
    ratio = after / before
    verdict = "slower" if ratio > 1 + bound else "faster" if ratio < 1 / (1 + bound) else "same"
    return Change(_name(key), before, after, ratio, bound, verdict)


def _spread(key: tuple[str, ...], case: dict[str, Any]) -> float:
    """What the middle 80 % of the rounds' medians span, relative to their median: all of it, as two runs differ more than one's rounds."""
    medians = case["round_medians_ms"]
    if len(medians) < LEAST_ROUNDS:
        raise ReagingError(
            f"{_name(key)} was measured in {plural(len(medians), 'round')}",
            f"at least {LEAST_ROUNDS}, to know the noise",
            "measure with more --rounds",
        )
    low, middle, high = np.percentile(_times(medians), [10, 50, 90])
    return float((high - low) / middle)


def _times(values: list[Any]) -> list[float]:
    times = [float(value) for value in values]
    if not all(0 < time < math.inf for time in times):
        raise ValueError(f"no times: {values}")
    return times
