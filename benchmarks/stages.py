"""The live pipeline stage by stage: where the milliseconds of a frame go, and how they grow with faces and resolution."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ReagingError
from ..runtime.backends.base import Backend
from ..runtime.filter import FaceFilter, filter_with, opencv_sparing_a_core
from ..runtime.sinks import Sink, open_sink
from ..runtime.sources import open_source
from ..runtime.sources.base import Shot
from ..runtime.stats import Stages
from .latency import percentiles
from .report import fingerprint_line, markdown_table, plural
from .scenes import Scene

STAGES = ("capture", "find", "align", "prepare", "infer", "paste", "sink", "frame")
TURN = 10  # frames of one clip in a row, before the next clip's turn
WARM_UP = 5  # frames that are not counted


@dataclass
class Running:
    """A clip that is being measured: a filter and a sink of its own, and what its frames took so far, in milliseconds."""

    scene: Scene
    size: tuple[int, int]  # width, height
    shots: Iterator[Shot]
    face_filter: FaceFilter
    sink: Sink
    rounds: list[dict[str, list[float]]] = field(default_factory=list)
    faces: list[int] = field(default_factory=list)


def measure_stages(
    scenes: list[Scene],
    backend: Backend,
    age: float,
    threads: int,
    detector: Path | None,
    frames: int,
    folder: Path,
    progress: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """One case for each scene and stage: percentiles in milliseconds over at most ``frames`` frames, clips taking turns.

    Each frame is decoded, filtered and encoded into a video in ``folder``; nothing overlaps, so the stages add up to ``frame``; the live
    loop, which decodes and shows in other threads, is faster than their sum.  ``find`` counts the frames on which the finder ran.
    ``progress`` is called after every turn.  Raises ReagingError for a camera or a clip with too few frames.
    """
    with opencv_sparing_a_core(), ExitStack() as stack:  # as the loop has it
        running = [_open(stack, scene, filter_with(backend, age, threads, detector), folder / f"{i}.mp4") for i, scene in enumerate(scenes)]
        for run in running:
            if _turn(run, WARM_UP) < WARM_UP:
                raise ReagingError(f"{run.scene.name} has at most {WARM_UP} frames", "a longer clip", "name another")
            run.rounds.clear()
            run.faces.clear()
        for done in range(0, frames, TURN):
            for run in running:
                _turn(run, min(TURN, frames - done))
            progress()
    for run in running:
        if not run.faces:
            raise ReagingError(f"{run.scene.name} has at most {WARM_UP} frames", "a longer clip", "name another")
    return [case for run in running for case in _cases(run)]


def _open(stack: ExitStack, scene: Scene, face_filter: FaceFilter, out: Path) -> Running:
    source = open_source(scene.clip)
    stack.callback(source.close)
    if source.live:
        raise ReagingError(f"{scene.clip} is a camera, whose waiting would be measured", "a clip", "name a file")
    sink = stack.enter_context(open_sink(str(out), source.fps))
    return Running(scene, source.size, iter(source), face_filter, sink)


def _turn(run: Running, frames: int) -> int:
    """Up to so many frames of one clip, as one round; returns how many there were."""
    taken: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for done in range(frames):
        start = time.perf_counter()
        shot = next(run.shots, None)
        if shot is None:
            frames = done
            break
        decoded = time.perf_counter()
        run.face_filter.stages = Stages()  # this frame's alone
        picture = run.face_filter(shot.frame, shot.time)
        filtered = time.perf_counter()
        run.sink.write(picture, shot.time, shot.name)
        end = time.perf_counter()
        of_filter = {stage: values["p50"] for stage, values in run.face_filter.stages.summary().items()}
        ours = {"capture": (decoded - start) * 1e3, "sink": (end - filtered) * 1e3, "frame": (end - start) * 1e3}
        for stage, ms in {**of_filter, **ours}.items():
            taken[stage].append(ms)
        run.faces.append(len(run.face_filter.faces))
    if frames:
        run.rounds.append(taken)
    return frames


def _cases(run: Running) -> list[dict[str, Any]]:
    scene, cases = run.scene, []
    for stage in STAGES:
        medians = [float(np.median(r[stage])) for r in run.rounds if r[stage]]
        every = [ms for r in run.rounds for ms in r[stage]]
        if not every:  # no face: nothing to infer or paste
            continue
        case = {
            "clip": scene.name,
            "size": f"{run.size[0]}x{run.size[1]}",
            "stage": stage,
            "wall_ms": percentiles(every),
            "runs": len(every),
        }
        share = {"per_frame_ms": round(sum(every) / len(run.faces), 4), "round_medians_ms": medians}
        found = {"frames": len(run.faces), "faces_found": round(float(np.mean(run.faces)), 3)}
        cases.append({**case, **share, **found, **({} if scene.faces is None else {"faces": scene.faces})})
    return cases


def growth(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each stage: milliseconds for each further face and each further megapixel, fitted to the medians; None where neither varied."""
    made = [c for c in cases if "faces" in c]
    if not made:
        return []
    first = made[0]
    rows = []
    for stage in STAGES:
        mine = [c for c in made if c["stage"] == stage]
        by_faces = [(c["faces"], c["wall_ms"]["p50"]) for c in mine if c["size"] == first["size"]]
        by_pixels = [(_megapixels(c["size"]), c["wall_ms"]["p50"]) for c in mine if c["faces"] == first["faces"]]
        rows.append({"stage": stage, "ms_per_face": _slope(by_faces), "ms_per_megapixel": _slope(by_pixels)})
    return rows


def _megapixels(size: str) -> float:
    width, height = size.split("x")
    return int(width) * int(height) / 1e6


def _slope(points: list[tuple[float, float]]) -> float | None:
    x, y = np.array(points, np.float64).reshape(-1, 2).T
    return None if len(set(x.tolist())) < 2 else round(float(np.polyfit(x, y, 1)[0]), 4)


def stages_markdown(report: dict[str, Any]) -> str:
    """A table for each clip, and how the stages grow."""
    runtime = f"{report['model']} on {report['device']} ({report['backend']}, {report['threads'] or 'all'} threads)"
    parts = [f"{fingerprint_line(report['machine'])}\n{runtime}"]
    for clip in dict.fromkeys(c["clip"] for c in report["cases"]):
        cases = [c for c in report["cases"] if c["clip"] == clip]
        head = (
            f"{clip} ({cases[0]['size']}): {plural(cases[0]['faces_found'], 'face')} found a frame, {plural(cases[0]['frames'], 'frame')}"
        )
        rows = [[c["stage"], *(f"{ms:.2f}" for ms in c["wall_ms"].values()), f"{c['per_frame_ms']:.2f}"] for c in cases]
        parts.append(f"{head}\n\n{markdown_table(['stage', 'p50 ms', 'p90', 'p95', 'p99', 'mean a frame'], rows)}")
    if report["growth"]:
        numbers = [
            [r["stage"], *("" if r[k] is None else f"{r[k]:.2f}" for k in ("ms_per_face", "ms_per_megapixel"))] for r in report["growth"]
        ]
        parts.append(markdown_table(["stage grows by", "ms a face", "ms a megapixel"], numbers))
    return "\n\n".join(parts)
