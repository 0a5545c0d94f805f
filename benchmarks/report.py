"""What every benchmark prints and writes: a table, and the machine that it was measured on."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..errors import ReagingError
from ..files import write_text
from ..runtime.backends.base import cores
from ..runtime.sinks.base import check_place

PACKAGES = ("numpy", "opencv-python", "onnxruntime", "onnxruntime-gpu", "openvino", "torch")
FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp")


def fingerprint() -> dict[str, Any]:
    """The machine and the packages: what a figure is worth nothing without."""
    facts = _cpu_facts()
    flags = facts.get("flags", facts.get("Features", "")).split()
    return {
        "cpu": facts.get("model name", platform.processor() or platform.machine()),
        "cores": cores(),
        "flags": [f for f in FLAGS if f in flags],
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,  # before the measurement: of other programs
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "reaging": __version__,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def fingerprint_line(machine: dict[str, Any]) -> str:
    """The fingerprint in one line."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return f"{machine['cpu']}, {plural(machine['cores'], 'core')} ({' '.join(machine['flags'])}), load {machine['load']}; {packages}"


def plural(count: float, thing: str) -> str:
    """``1 face``, ``2 faces``."""
    return f"{count:g} {thing}{'s' * (count != 1)}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are also aligned in a terminal; the first column to the left, numbers to the right."""
    widths = [max(3, *(len(row[i]) for row in [head, *rows])) for i in range(len(head))]
    text = [
        " | ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))) for row in rows
    ]
    first = " | ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(head, widths, strict=True)))
    rule = " | ".join("-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths))
    return "\n".join(f"| {line} |" for line in [first, rule, *text])


def check_places(*paths: Path | None) -> None:
    """Raises ReagingError where a report could not be written later; a path without ending is a folder, and is made.  Nothing else is."""
    for path in paths:
        if path is None:
            continue
        if path.suffix:
            check_place(path)
            continue
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ReagingError(f"cannot make the folder {path} ({error.strerror})", "a folder to write into", "choose another") from None


def write_report(
    report: dict[str, Any], text: str, json_path: Path | None = None, markdown_path: Path | None = None, charts: Path | None = None
) -> None:
    """Prints the tables and writes what was asked for."""
    click.echo(text)
    if json_path:
        write_json(json_path, report)
    if markdown_path:
        write_text(markdown_path, text + "\n")
    if charts:
        from .charts import draw_charts

        drawn = draw_charts(report, charts)
        click.echo(f"wrote {', '.join(str(path) for path in drawn)}", err=True)


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Writes a report whole or not at all; raises ReagingError where the place cannot be written."""
    write_text(path, json.dumps(content, indent=1))


def read_json(path: str | Path) -> dict[str, Any]:
    """A report written by reaging-bench; raises ReagingError where it is none."""
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(content, dict) or "machine" not in content:
            raise ValueError("no report")
        return content
    except (OSError, ValueError, RecursionError) as error:
        raise ReagingError(f"{path} cannot be read ({error})", "a JSON report of reaging-bench", "check the path") from None


def _cpu_facts() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
