"""Latency and peer reports as Markdown, which is also what the terminal shows."""

from __future__ import annotations

from typing import Any

from .report import fingerprint_line, markdown_table, plural

TIMES = [
    "model",
    "backend",
    "threads",
    "batch",
    "size",
    "p50 ms",
    "p90",
    "p95",
    "p99",
    "CPU ms",
    "ms a face",
    "GFLOP/s",
    "of ceiling",
    "by CPU",
]
COSTS = ["model", "backend", "threads", "load ms", "build ms", "peak MB", "file MB", "M params", "GMAC"]


def latency_markdown(report: dict[str, Any]) -> str:
    """The machine, the times, what each case costs besides, and the ceilings."""
    cases, ceilings = report["cases"], report["ceilings"]
    parts = [fingerprint_line(report["machine"]), markdown_table(TIMES, [_times(c) for c in cases])]
    parts += [markdown_table(COSTS, [_costs(c) for c in cases]), ceilings_markdown(ceilings)]
    return "\n\n".join(parts)


def ceilings_markdown(ceilings: list[dict[str, float]]) -> str:
    """The rates that the cases are held against."""
    head = ["ceiling in the same run", "fp32 GFLOP/s", "int8 GOP/s", "memory GB/s", "fp32 by CPU", "int8 by CPU"]
    keys = ("fp32_gflops", "int8_gops", "memory_gbps", "fp32_gflops_cpu", "int8_gops_cpu")
    return markdown_table(head, [[plural(c["threads"], "thread"), *(f"{c[key]:.1f}" for key in keys)] for c in ceilings])


def peers_markdown(report: dict[str, Any], ours: str) -> str:
    """The same, and before it how many times slower than ``ours`` each peer is for one face, in the same engine and threads.

    By the clock, and by the processor's time, which other programs on the machine hardly change.
    """
    own = {(c["backend"], c["threads"]): c for c in report["cases"] if c["model"] == ours}
    head = ["generator", "backend", "threads", "size", "M params", "GMAC", "ms a face", "CPU ms", f"times {ours}", "by CPU"]
    rows = []
    for c in report["cases"]:
        us = own[c["backend"], c["threads"]]
        cost = [f"{c['parameters'] / 1e6:.2f}", f"{c['macs'] / 1e9:.2f}", f"{c['per_face_ms']:.1f}", f"{c['cpu_ms']['p50']:.1f}"]
        times = [f"{c['per_face_ms'] / us['per_face_ms']:.1f}", f"{c['cpu_ms']['p50'] / us['cpu_ms']['p50']:.1f}"]
        rows.append([c["model"], c["backend"], str(c["threads"]), str(c["size"]), *cost, *times])
    return f"{markdown_table(head, rows)}\n\n{latency_markdown(report)}"


def _times(c: dict[str, Any]) -> list[str]:
    wall = [f"{c['wall_ms'][key]:.2f}" for key in ("p50", "p90", "p95", "p99")]
    shares = ["" if c[key] is None else f"{100 * c[key]:.0f} %" for key in ("ceiling_share", "ceiling_share_cpu")]
    rates = [f"{c['cpu_ms']['p50']:.2f}", f"{c['per_face_ms']:.2f}", f"{c['gflops']:.1f}", *shares]
    return [c["model"], c["backend"], str(c["threads"]), str(c["batch"]), str(c["size"]), *wall, *rates]


def _costs(c: dict[str, Any]) -> list[str]:
    numbers = [f"{c[key]:.0f}" for key in ("load_ms", "build_ms", "peak_mb")]
    cost = [f"{c['bytes'] / 1e6:.2f}", f"{c['parameters'] / 1e6:.2f}", f"{c['macs'] / 1e9:.3f}"]
    return [c["model"], c["backend"], str(c["threads"]), *numbers, *cost]
