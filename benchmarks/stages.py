"""The live pipeline over a clip, stage by stage: where the milliseconds of a frame go."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..errors import ReagingError
from ..runtime.filter import open_filter
from ..runtime.sources import open_source
from ..runtime.stats import Stages
from .latency import percentiles
from .report import markdown_table

WARM_UP = 5  # frames that are not counted


def measure_stages(
    clip: str,
    model: str | Path | None = None,
    age: float = 70.0,
    device: str = "auto",
    threads: int = 0,
    detector: str | Path | None = None,
    frames: int = 150,
) -> dict[str, Any]:
    """Percentiles in milliseconds of decode, find, align, infer, paste and the whole frame, for at most ``frames`` frames of a clip.

    Nothing overlaps, so the stages add up to the frame; the live loop, which decodes and shows in other threads, is faster than their
    sum.  Raises ReagingError for a camera or a clip with too few frames.
    """
    source = open_source(clip)
    if source.live:
        source.close()
        raise ReagingError(f"{clip} is a camera, whose waiting would be measured", "a clip", "name a file")
    face_filter = open_filter(model, age, device, threads, detector)
    stages, decode = Stages(), []
    counted = with_face = 0
    seen = -WARM_UP
    try:
        shots = iter(source)
        while seen < frames:
            start = time.perf_counter()
            shot = next(shots, None)
            if shot is None:
                break
            decoded = time.perf_counter()
            if seen == 0:  # warm: from here on the filter's stages count
                face_filter.stages = stages
            face_filter(shot.frame, shot.time)
            seen += 1
            if seen > 0:
                decode.append((decoded - start) * 1e3)
                stages.add("frame", time.perf_counter() - decoded)
                counted += 1
                with_face += bool(face_filter.faces)
    finally:
        source.close()
    if not counted:
        raise ReagingError(f"{clip} has at most {WARM_UP} frames", "a longer clip", "name another")
    backend = face_filter.ager.backend
    return {
        "clip": Path(clip).name,
        "size": list(source.size),
        "model": Path(model).name if model else "bundled",
        "device": backend.device,
        "backend": type(backend).__name__,
        "threads": threads,
        "frames": counted,
        "frames_with_face": with_face,
        "stages": {"decode": percentiles(decode), **stages.summary()},
    }


def stages_markdown(result: dict[str, Any]) -> str:
    """The percentiles as a table."""
    width, height = result["size"]
    head = f"{result['clip']} ({width} x {height}), {result['model']} on {result['device']} ({result['backend']}): "
    head += f"{result['frames_with_face']} of {result['frames']} frames with a face"
    rows = [[stage, *(f"{ms:.2f}" for ms in values.values())] for stage, values in result["stages"].items()]
    return f"{head}\n\n{markdown_table(['stage', 'p50 ms', 'p90', 'p95', 'p99'], rows)}"
