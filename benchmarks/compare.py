"""Two latency reports: is the second slower than the first by more than the noise of both?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ReagingError
from .report import markdown_table

LEAST_BOUND = 0.05  # a difference below it is never called one
KEY = ("model", "backend", "threads", "batch")


@dataclass(frozen=True)
class Change:
    """One case of both reports; ``ratio`` is the second's median time over the first's."""

    case: str
    before_ms: float
    after_ms: float
    ratio: float
    bound: float  # relative; what the spread between rounds allows
    verdict: str  # slower, faster or same


def compare_reports(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """The cases that both reports have; raises ReagingError where there are none."""
    firsts = {_key(c): c for c in before.get("cases", [])}
    pairs = [(firsts[_key(c)], c) for c in after.get("cases", []) if _key(c) in firsts]
    if not pairs:
        raise ReagingError(
            "the two reports have no case in common", "latency reports of the same models, backends, threads, batches", "measure again"
        )
    return [_change(a, b) for a, b in pairs]


def compare_markdown(changes: list[Change]) -> str:
    """The changes as a table."""
    head = ["case", "before ms", "after ms", "ratio", "noise", "verdict"]
    rows = [[c.case, f"{c.before_ms:.2f}", f"{c.after_ms:.2f}", f"{c.ratio:.2f}", f"±{100 * c.bound:.0f} %", c.verdict] for c in changes]
    return markdown_table(head, rows)


def _key(case: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(case.get(name)) for name in KEY)


def _change(a: dict[str, Any], b: dict[str, Any]) -> Change:
    before, after = float(a["wall_ms"]["p50"]), float(b["wall_ms"]["p50"])
    bound = max(LEAST_BOUND, _spread(a) + _spread(b))
    ratio = after / before
    verdict = "slower" if ratio > 1 + bound else "faster" if ratio < 1 / (1 + bound) else "same"
    return Change(" ".join(_key(b)), before, after, ratio, bound, verdict)


def _spread(case: dict[str, Any]) -> float:
    """Half of what the middle 80 % of the rounds' medians span, relative to their median."""
    low, middle, high = np.percentile(case["round_medians_ms"], [10, 50, 90])
    return float((high - low) / 2 / middle)
