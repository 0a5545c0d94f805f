"""What was aimed at on an H100 or H200, held against what a GPU's report has measured."""

from __future__ import annotations

from typing import Any

MODEL, LARGE = "mobile-256", "ragan-256"
FASTER_THAN_EAGER, FASTER_THAN_COMPILED = 2.0, 1.5
NETWORK_MS, FRAME_MS, OUTSIDE = 1.0, 3.0, 0.25
MISSING = "not measured"
Results = dict[str, dict[str, Any]]  # of the steps, by name


def targets(results: Results) -> dict[str, Any]:
    """Of each target whether it is met, with what and by how much; "not measured" where a part of it is missing.

    Judged on TensorRT where it ran, else on the fastest that did.
    """
    mobile, large = fastest(results, MODEL), fastest(results, LARGE)
    eager, compiled = rival(results, MODEL, "torch eager fp16"), rival(results, LARGE, "torch.compile fp16")
    return {
        f"{MODEL} p50 under {NETWORK_MS:g} ms": (mobile and {"met": mobile[1] < NETWORK_MS, "with": mobile[0], "ms": mobile[1]}) or MISSING,
        f"{MODEL} at least {FASTER_THAN_EAGER:g}x torch eager fp16": _ratio(mobile, eager, FASTER_THAN_EAGER),
        f"{LARGE} at least {FASTER_THAN_COMPILED:g}x torch.compile fp16": _ratio(large, compiled, FASTER_THAN_COMPILED),
        f"720p frame under {FRAME_MS:g} ms at p99, at most {OUTSIDE:.0%} of it outside the generator": _frames(results) or MISSING,
    }


def fastest(results: Results, preset: str) -> tuple[str, float] | None:
    """Name and p50 in ms, of one face, of TensorRT at FP16, else of the fastest way at FP16 that a frame can take."""
    timed = {name: _network(row) for name, row in _timed(results).items() if preset in name and name.endswith("fp16")}
    timed["torch CUDA graph fp16"] = rival(results, preset, "torch CUDA graph fp16")
    known = {name: ms for name, ms in timed.items() if ms is not None}
    best = [name for name in known if name.startswith("tensorrt")] or sorted(known, key=lambda name: known[name])
    return (best[0], known[best[0]]) if best else None


def rival(results: Results, preset: str, name: str) -> float | None:
    """p50 in ms of one face."""
    return _network(results.get(f"torch {preset}", {}).get("ms", {}).get(name, {}))


def _timed(results: Results) -> dict[str, dict[str, Any]]:
    return {name: row for result in results.values() for name, row in result.get("ms", {}).items() if isinstance(row, dict)}


def _network(row: dict[str, Any]) -> float | None:
    value = row.get("1", {}).get("network", {}).get("p50")
    return None if value is None else float(value)


def _ratio(best: tuple[str, float] | None, other: float | None, aim: float) -> object:
    if best is None or other is None:
        return MISSING
    return {"met": other / best[1] >= aim, "with": best[0], "times": round(other / best[1], 2)}


def _frames(results: Results) -> dict[str, Any]:
    """Of each backend whose frames stay on the GPU; the share outside the generator is by the medians."""
    timed, judged = _timed(results), {}
    for name, row in timed.items():
        way = name.removesuffix(", 720p, on the GPU")
        network = rival(results, MODEL, way) or _network(timed.get(way, {}))
        if way != name and "p99" in row and network is not None:
            outside = 1 - network / row["p50"]
            judged[way] = {"met": row["p99"] < FRAME_MS and outside <= OUTSIDE, "p99 ms": row["p99"], "outside": round(outside, 3)}
    return judged
