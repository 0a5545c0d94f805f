"""The report of a data set: one HTML file with its pictures in it."""

from __future__ import annotations

import base64
import html
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..ages import CLASS_NAMES, age_class
from ..files import write_text
from .archive import Dropped
from .layouts import TERMS
from .measures import Measures
from .pieces import Done
from .write import Face

TILE, COLUMNS, SHEET = 96, 12, 24  # pixels of a face on a contact sheet, faces to a row, faces to a class
PEOPLE = 8  # shown at all their ages
PICTURES, NAMES = 12, 400  # of the dropped, to a reason
COLORS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5")
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1180px; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: .5em 0 1em } td, th { padding: .15em .8em .15em 0; text-align: right } th { font-weight: 600 }
td:first-child, th:first-child { text-align: left } tr { border-bottom: 1px solid #ddd } h2 { margin-top: 1.6em } h3 { margin: 1em 0 .2em }
img { max-width: 100% } .thumb { height: 96px; margin: 0 4px 4px 0; vertical-align: top }
code, li { font-size: 13px } svg { max-width: 100% }
details { margin: .3em 0 } summary { cursor: pointer; color: #555 } ul { columns: 3; margin: .3em 0; overflow-wrap: anywhere }
"""


def write_report(
    path: Path, settings: Mapping[str, Any], faces: Sequence[Face], dropped: Sequence[Dropped], looked_at: Mapping[str, Done]
) -> None:
    """``looked_at``: the dropped photos that were decoded, by name: some of them are shown."""
    title = f"{settings['source']}: {len(faces)} faces, {len(dropped)} files left out"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        _settings_table(settings),
        _counts_table(faces),
        "<h2>Ages by source</h2>",
        age_histogram([(f.done.photo.source, f.done.photo.age) for f in faces], any(f.done.photo.range for f in faces)),
        "<h2>Faces by age class</h2>",
        *_class_sheets(faces),
        _people_sheet(faces),
        "<h2>Measures of the faces kept</h2>",
        _measures_table(faces),
        "<h2>Left out, and why</h2>",
        _dropped_part(dropped, looked_at),
    ]
    page = "\n".join(["<!doctype html>", '<html lang="en"><meta charset="utf-8">', f"<title>{html.escape(title)}</title>",
                      f"<style>{STYLE}</style>", *parts, "</html>", ""])  # fmt: skip
    write_text(path, page)


def age_histogram(ages: Sequence[tuple[str, float]], by_class: bool) -> str:
    """Bars, stacked by source, of five years each, or of the ten classes where only age groups are known; as SVG."""
    sources = [s for s, _ in Counter(s for s, _ in ages).most_common()]
    bins = list(CLASS_NAMES) if by_class else [f"{5 * k}" for k in range(int(max((a for _, a in ages), default=0)) // 5 + 1)]
    counts = np.zeros((len(sources), len(bins)), int)
    for source, age in ages:
        counts[sources.index(source), int(age_class(age)) if by_class else int(age) // 5] += 1
    top, height, width = max(1, int(counts.sum(0).max(initial=0))), 220, 1100
    step = width / max(1, len(bins))
    marks = []
    for k, name in enumerate(bins):
        base = height
        for s in range(len(sources)):
            bar = counts[s, k] / top * (height - 20)
            base -= bar
            color = COLORS[s % len(COLORS)]
            marks.append(f'<rect x="{k * step + 2:.1f}" y="{base:.1f}" width="{step - 4:.1f}" height="{bar:.1f}" fill="{color}"/>')
        marks.append(f'<text x="{(k + 0.5) * step:.1f}" y="{height + 16}" text-anchor="middle">{name}</text>')
        marks.append(f'<text x="{(k + 0.5) * step:.1f}" y="{base - 4:.1f}" text-anchor="middle">{counts[:, k].sum() or ""}</text>')
    legend = " ".join(
        f'<span style="color:{COLORS[s % len(COLORS)]}">&#9632;</span> {html.escape(name)} ({counts[s].sum()})'
        for s, name in enumerate(sources)
    )
    unit = "class, in years" if by_class else "age in steps of five years"
    return (
        f'<svg viewBox="0 0 {width} {height + 24}" width="{width}" font-size="12" role="img" aria-label="ages">{"".join(marks)}</svg>'
        f"<p>{legend} &mdash; {unit}</p>"
    )


def contact_sheet(pictures: Sequence[bytes], tile: int = TILE, columns: int = COLUMNS) -> bytes:
    """Encoded pictures -> one JPEG; what cannot be decoded stays white."""
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * tile, columns * tile, 3), 255, np.uint8)
    for i, encoded in enumerate(pictures):
        picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        if picture is not None:
            y, x = divmod(i, columns)
            sheet[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile] = cv2.resize(picture, (tile, tile), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def _settings_table(settings: Mapping[str, Any]) -> str:
    filters = ", ".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in settings.get("filters", {}).items())
    shown = {k: v for k, v in settings.items() if k != "filters"} | {"filters": filters, "terms": TERMS.get(settings["layout"], "")}
    rows = "".join(
        f"<tr><th>{html.escape(k)}</th><td style='text-align:left'>{html.escape(str(v))}</td></tr>" for k, v in shown.items() if v != ""
    )
    return f"<table>{rows}</table>"


def _counts_table(faces: Sequence[Face]) -> str:
    head = "".join(f"<th>{name}</th>" for name in CLASS_NAMES)
    body = ""
    for split in ("train", "test"):
        chosen = [f for f in faces if f.split == split]
        counts = (
            np.bincount([int(age_class(f.done.photo.age)) for f in chosen], minlength=len(CLASS_NAMES))
            if chosen
            else [0] * len(CLASS_NAMES)
        )
        people = len({f.identity or f.done.content for f in chosen})
        body += f"<tr><td>{split}</td><td>{len(chosen)}</td><td>{people}</td>" + "".join(f"<td>{c}</td>" for c in counts) + "</tr>"
    return f"<table><tr><th></th><th>pictures</th><th>people</th>{head}</tr>{body}</table>"


def _class_sheets(faces: Sequence[Face]) -> list[str]:
    """One contact sheet for each class, its faces evenly taken, and the names of the classes without any."""
    parts, without = [], []
    for k, name in enumerate(CLASS_NAMES):
        members = [f for f in faces if int(age_class(f.done.photo.age)) == k]
        if not members:
            without.append(name)
            continue
        chosen = [members[int(i)] for i in np.linspace(0, len(members) - 1, min(SHEET, len(members)))]
        sheet = contact_sheet([f.done.picture.read() for f in chosen if f.done.picture])
        parts.append(f"<h3>{name}: {len(members)}</h3>{_image(sheet, f'faces of {name} years')}")
    return parts + ([f"<p>No faces of {', '.join(without)} years.</p>"] if without else [])


def _people_sheet(faces: Sequence[Face]) -> str:
    """A row for each of the first people with three or more pictures, by age."""
    people: dict[str, list[Face]] = defaultdict(list)
    for face in faces:
        if face.identity:
            people[face.identity].append(face)
    several = [sorted(members, key=lambda f: f.done.photo.age) for members in people.values() if len(members) > 2]
    if not several:
        return ""
    rows = []
    for members in several[:PEOPLE]:
        shown = members[:COLUMNS]
        sheet = contact_sheet([f.done.picture.read() for f in shown if f.done.picture])
        ages = ", ".join(f"{f.done.photo.age:g}" for f in shown)
        rows.append(f"<p>{html.escape(members[0].identity)}: {ages}<br>{_image(sheet, 'one person at several ages')}</p>")
    return f"<h2>People at several ages: {len(several)}</h2>" + "\n".join(rows)


def _measures_table(faces: Sequence[Face]) -> str:
    rows = ""
    for name in (f.name for f in fields(Measures)):
        values = [getattr(f.done.measures, name) for f in faces if f.done.measures]
        if values:
            rows += f"<tr><td>{name}</td>" + "".join(f"<td>{v:.3g}</td>" for v in np.percentile(values, [0, 5, 50, 95, 100])) + "</tr>"
    return f"<table><tr><th></th><th>least</th><th>5 %</th><th>median</th><th>95 %</th><th>most</th></tr>{rows}</table>"


def _dropped_part(dropped: Sequence[Dropped], looked_at: Mapping[str, Done]) -> str:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for d in dropped:
        by_reason[d.reason].append(d.name)
    parts = []
    for reason, names in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        shown = [(n, span) for n in names if (done := looked_at.get(n)) and (span := done.thumb or done.picture)][:PICTURES]
        images = "".join(_image(span.read(), name, "thumb") for name, span in shown)
        more = f"<li>and {len(names) - NAMES} more: dropped.csv</li>" if len(names) > NAMES else ""
        items = "".join(f"<li>{html.escape(n)}</li>" for n in names[:NAMES]) + more
        parts.append(f"<h3>{html.escape(reason)}: {len(names)}</h3>{images}<details><summary>which</summary><ul>{items}</ul></details>")
    return "\n".join(parts) or "<p>nothing</p>"


def _image(encoded: bytes, alt: str, css: str = "") -> str:
    text = base64.b64encode(encoded).decode()
    return f'<img class="{css}" alt="{html.escape(alt)}" title="{html.escape(alt)}" src="data:image/jpeg;base64,{text}">'
