"""Reports as pictures: latency with error bars, the roofline, and how the stages grow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ReagingError
from ..files import whole_file
from .report import plural


@contextmanager
def figure(path: Path, rows: int = 1, columns: int = 1, **size: Any) -> Iterator[Any]:
    """Axes to draw on; saved as PNG at the end.  Raises ReagingError where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise ReagingError("matplotlib is not installed", "it, for charts", "pip install 'reaging[bench]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, columns, layout="constrained", **size)
    try:
        yield axes
        with whole_file(path) as part:
            figure.savefig(part, dpi=120)
    finally:
        pyplot.close(figure)


def draw_charts(report: dict[str, Any], folder: Path) -> list[Path]:
    """Every chart that fits the report's kind (latency, peers or stages) into an existing folder; returns the files."""
    drawers = {"stages.png": stages_chart} if report["kind"] == "stages" else {"latency.png": latency_chart, "roofline.png": roofline_chart}
    for name, draw in drawers.items():
        draw(report, folder / name)
    return [folder / name for name in drawers]


def latency_chart(report: dict[str, Any], path: Path) -> None:
    """One bar a case: the median time of a face, with a line from the median to p95."""
    cases = report["cases"][::-1]  # the first one on top
    middle = np.array([c["wall_ms"]["p50"] / c["batch"] for c in cases])
    high = np.array([c["wall_ms"]["p95"] / c["batch"] for c in cases])
    with figure(path, figsize=(9, 1.2 + 0.36 * len(cases))) as axes:
        axes.barh(range(len(cases)), middle, xerr=[np.zeros_like(middle), high - middle], capsize=3, color="#4c78a8", ecolor="#333333")
        axes.set_yticks(range(len(cases)), [case_name(c) for c in cases])
        scale = "logarithmic" if middle.max() > 30 * middle.min() else "linear"
        for row, (value, end) in enumerate(zip(middle, high, strict=True)):
            axes.annotate(
                f"{value:.0f}" if value >= 100 else f"{value:.3g}",
                (end, row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        if scale == "logarithmic":
            axes.set_xscale("log")
            axes.set_xlim(middle.min() / 4, 2.5 * high.max())
        else:
            axes.set_xlim(0, 1.12 * high.max())
        axes.set_xlabel(f"milliseconds a face ({scale}): median, line to p95")
        axes.set_title(_machine(report), fontsize=9)


def roofline_chart(report: dict[str, Any], path: Path) -> None:
    """Achieved GFLOP/s over operations per byte, under the roof that the same run measured for each number of threads.

    A case that runs outside the processor or has no graph to count in (torch, TensorRT) is left out.
    """
    cases = [c for c in report["cases"] if c["traffic"] and c["ceiling_share"] is not None]
    with figure(path, figsize=(8, 5.5)) as axes:
        intensity = [2 * c["macs"] / c["traffic"] for c in cases] or [1.0]
        ridges = [c["fp32_gflops"] / c["memory_gbps"] for c in report["ceilings"]]
        span = np.geomspace(min(intensity + ridges) / 4, 4 * max(intensity + ridges), 200)
        for color, ceiling in zip(("#4c78a8", "#f58518", "#54a24b", "#b279a2"), report["ceilings"], strict=False):
            for kind, unit, style in (("fp32", "fp32_gflops", "-"), ("int8", "int8_gops", "--")):
                roof = np.minimum(ceiling[unit], span * ceiling["memory_gbps"])
                axes.plot(span, roof, style, color=color, lw=1.2, label=f"{kind} ceiling, {plural(ceiling['threads'], 'thread')}")
        markers = dict(zip(sorted({c["backend"] for c in cases}), "osD^", strict=False))
        for number, c in enumerate(cases):
            axes.scatter(2 * c["macs"] / c["traffic"], c["gflops"], marker=markers[c["backend"]], s=42, zorder=3, color=f"C{number % 10}")
            axes.annotate(
                str(number + 1), (2 * c["macs"] / c["traffic"], c["gflops"]), xytext=(5, 4), textcoords="offset points", fontsize=8
            )
            axes.plot([], [], " ", label=f"{number + 1}  {case_name(c)}")
        axes.set(xscale="log", yscale="log", xlabel="operations a byte (each layer's input, weights and output once)", ylabel="GFLOP/s")
        axes.set_title(_machine(report), fontsize=9)
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))


def stages_chart(report: dict[str, Any], path: Path) -> None:
    """One bar a clip: what each stage takes of a frame on average."""
    clips = list(dict.fromkeys(c["clip"] for c in report["cases"]))[::-1]
    stages = [s for s in dict.fromkeys(c["stage"] for c in report["cases"]) if s != "frame"]
    per_frame = {(c["clip"], c["stage"]): c["per_frame_ms"] for c in report["cases"]}
    with figure(path, figsize=(9, 1.6 + 0.45 * len(clips))) as axes:
        left = np.zeros(len(clips))
        for stage in stages:
            width = np.array([per_frame.get((clip, stage), 0.0) for clip in clips])
            axes.barh(range(len(clips)), width, left=left, label=stage)
            left += width
        axes.set_yticks(range(len(clips)), clips)
        axes.set_xlabel("milliseconds a frame (mean; one after the other)")
        axes.set_title(_machine(report), fontsize=9)
        axes.legend(ncols=len(stages), fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.08))


def case_name(c: dict[str, Any]) -> str:
    """What tells a case from the others."""
    batch = f", batch {c['batch']}" if c["batch"] != 1 else ""
    name = c["model"].removesuffix(".onnx")
    size = "" if str(c["size"]) in name else f" at {c['size']}"
    return f"{name}{size}, {c['backend']}, {plural(c['threads'], 'thread')}{batch}"


def _machine(report: dict[str, Any]) -> str:
    machine = report["machine"]
    return f"{machine['cpu']}, {plural(machine['cores'], 'core')}, load {machine['load']} before, {machine['time'][:10]}"
