"""The training loop: reads top to bottom, and knows nothing of faces."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from ..errors import ReagingError
from ..files import remove_abandoned
from .checkpoint import load_checkpoint, restore, save_checkpoint
from .ema import update_average
from .log import Log


class Task(Protocol):
    """What the loop trains: networks, a way to draw a batch, and one step."""

    preset: Any  # a frozen dataclass with name, steps, batch, seed, lr and ema
    nets: dict[str, nn.Module]
    ema: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]

    def batch(self, step: int) -> Any:
        """Drawn from (seed, step) alone, so that a resumed run sees what an uninterrupted one would have seen."""

    def step(self, batch: Any, step: int) -> dict[str, float]:
        """Forward, backward and update; returns what is logged."""

    def sample(self, path: Path) -> None:
        """Writes a picture of what the averaged networks do now."""


def train(
    task: Task,
    out: Path,
    steps: int,
    resume: bool = False,
    save_seconds: float = 180.0,
    sample_every: int = 500,
    log_every: int = 10,
    rank: int = 0,
    progress: bool = True,
) -> int:
    """Runs the task up to ``steps``; returns the step it ended at.

    Writes ``checkpoint.pt``, ``log.jsonl`` and ``samples/`` under ``out`` (rank 0 only).  Ctrl-C and SIGTERM save and return.  Raises
    ReagingError where a loss is not finite: the last checkpoint, from before, is kept.
    """
    path = out / "checkpoint.pt"
    start = restore(task, load_checkpoint(path), str(path)) if resume else 0
    log = None
    if rank == 0:
        (out / "samples").mkdir(parents=True, exist_ok=True)
        for folder in (out, out / "samples"):
            remove_abandoned(folder)  # of a run that was killed
        log = Log(out, start)
    bar = _progress_bar(task, start, steps, progress and rank == 0)
    if threading.current_thread() is threading.main_thread():  # a terminated run is saved like an interrupted one
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    done, saved, since = start, time.monotonic(), time.monotonic()
    seen: dict[str, list[float]] = defaultdict(list)  # values since the last line of the log; some terms skip steps
    try:
        for step, batch in _prefetched(task, start, steps):
            values = task.step(batch, step)
            bad = [k for k, v in values.items() if not math.isfinite(v)]
            if bad:
                raise ReagingError(
                    f"{', '.join(bad)} became NaN or infinite at step {step}",
                    "finite losses",
                    f"the checkpoint of an earlier step is kept in {out}: resume it with a smaller learning rate (--resume --set lr=...)",
                )
            for k, average in task.ema.items():
                update_average(average, task.nets[k], task.preset.ema, step)
            done = step + 1
            bar.update(1)
            for k, v in values.items():
                seen[k].append(v)
            if log is None:
                continue
            if done % log_every == 0 or done == steps:
                means = {k: sum(v) / len(v) for k, v in seen.items()}
                speed = max(map(len, seen.values())) * task.preset.batch / max(time.monotonic() - since, 1e-9)
                log.write(done, means | {"images_per_second": speed})
                bar.set_postfix({k: f"{v:.3f}" for k, v in list(means.items())[:4]}, refresh=False)
                seen.clear()
                since = time.monotonic()
            if done % sample_every == 0:
                task.sample(out / "samples" / f"{done:07d}.png")
            if time.monotonic() - saved > save_seconds:
                save_checkpoint(path, task, done)
                saved = time.monotonic()
    except KeyboardInterrupt:
        bar.write(f"interrupted at step {done}: saved, go on with --resume")
    finally:
        bar.close()
        if log is not None:
            log.close()
    if rank == 0:
        save_checkpoint(path, task, done)
        task.sample(out / "samples" / f"{done:07d}.png")
    return done


def _prefetched(task: Task, start: int, steps: int) -> Iterator[tuple[int, Any]]:
    """Batches in order, the next two made in a thread while the current one trains."""
    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(task.batch, s) for s in range(start, min(start + 2, steps))]
        for step in range(start, steps):
            batch = ahead.pop(0).result()
            if step + 2 < steps:
                ahead.append(pool.submit(task.batch, step + 2))
            yield step, batch


def _progress_bar(task: Task, start: int, steps: int, shown: bool) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=steps,
        initial=start,
        disable=not shown,
        unit="step",
        desc=task.preset.name,
        smoothing=0.05,
        dynamic_ncols=True,
        mininterval=1.0,
    )
