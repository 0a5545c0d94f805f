"""The report of ``reaging-bench steadiness``: all its measurements of all clips, as JSON, Markdown and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import ReagingError
from ..files import write_text
from ..runtime.backends.base import Backend
from ..runtime.sinks.picture import write_picture
from .carrying import measure_carrying, measure_live
from .judges import Judge
from .obstacle import measure_obstacle
from .report import fingerprint, markdown_table, write_json
from .steadiness import MEASURES, Remembering, measure_steadiness

MEASUREMENTS = len(MEASURES) + 3  # of each clip


def write_steadiness(
    clips: Sequence[str],
    backend: Backend,
    judge: Judge,
    age: float,
    frames: int,
    late: int,
    slow_ms: float,
    out: Path,
    done: Callable[[], None],
) -> str:
    """Measures the clips, writes ``steadiness.json``, ``steadiness.md`` and three sheets of each clip to ``out``; returns the tables.

    ``done`` is called after each of MEASUREMENTS of a clip.  Raises ReagingError where a clip has no face or the folder cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReagingError(f"{out} cannot be made ({error.strerror})", "a folder", "name another --out") from None
    report: dict[str, Any] = {"kind": "steadiness", "machine": fingerprint(), "age": age, "clips": [], "carrying": []}
    report |= {"live": [], "obstacle": []}
    for clip in clips:
        remembering = Remembering(backend)
        figures, sheet = measure_steadiness(clip, remembering, judge, age, frames, done)
        report["clips"].append(figures)
        write_picture(out / f"{Path(clip).stem}.jpg", sheet)
        figures, sheet = measure_carrying(clip, remembering, age, late, frames)
        report["carrying"].append(figures)
        write_picture(out / f"{Path(clip).stem}_late.jpg", sheet)
        done()
        figures, sheet = measure_obstacle(clip, backend, age, frames)
        report["obstacle"].append({"clip": Path(clip).name, **figures})
        write_picture(out / f"{Path(clip).stem}_obstacle.jpg", sheet)
        done()
        report["live"].append(measure_live(clip, backend, age, slow_ms, frames))
        done()
    write_json(out / "steadiness.json", report)
    text = steadiness_markdown(report)
    write_text(out / "steadiness.md", text)
    return text


def steadiness_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown tables."""
    clips = report["clips"]
    names = list(MEASURES)
    head = ["clip", "change", *(f"flicker: {name}" for name in names), "lag ms: none", *names[1:2]]
    rows = [
        [
            c["clip"],
            f"{c['landmarks and change']['change']:.1f}",
            *(f"{c[name]['flicker']:.2f}" for name in names),
            *("" if c[name]["lag_ms"] is None else f"{c[name]['lag_ms']:.0f}" for name in names[:2]),
        ]
        for c in clips
    ]
    unrest = [
        [c["clip"], *(f"{c[name][key]:.2f}" for key in ("age_deviation", "age_step") for name in ("original", *names))] for c in clips
    ]
    keys = ("off_carried", "off_left", "halo_carried", "halo_left")
    late = [[c["clip"], str(c["frames_late"]), *(f"{c[key]:.2f}" for key in keys)] for c in report["carrying"]]
    live = [
        [r["clip"], f"{r['slow_ms']:.0f}", name, *(f"{value:.1f}" for value in r[name].values())]
        for r in report["live"]
        for name in ("carried", "waiting")
    ]
    hidden = [[str(value) for value in o.values()] for o in report["obstacle"]]
    tables = [
        markdown_table(head, rows),
        markdown_table(["clip", "age's deviation: original", *names, "age's step: original", *names], unrest),
        markdown_table(["clip", "frames late", "gray levels off on the face: carried", "left", "halo: carried", "left"], late),
        markdown_table(["clip", "mask on a microphone", "mask beside it", "change on it", "change beside it"], hidden),
        markdown_table(
            ["clip", "generator slower by ms", "", "camera fps", "shown fps", "generator a second", "delay p50 ms", "delay p95"], live
        ),
    ]
    return "\n\n".join(tables) + "\n"
