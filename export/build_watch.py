"""A TensorRT build as one watches it: its log, its progress, the time it takes, and an end to it by Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

from ..errors import ReagingError

EVERY_S = 5.0  # between two lines of progress
PATIENCE_S = 0.1  # between two looks at the clock, and at Ctrl-C
SHOWN = 4  # of the log's last lines, in an error


class Phases:
    """What the builder is at.  TensorRT's threads tell it, the one that waits reads it."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self._lock, self._open = threading.Lock(), dict[str, list[int]]()  # phase -> steps done and to do, innermost last

    def start(self, name: str, steps: int) -> None:
        with self._lock:
            self._open[name] = [0, steps]

    def step(self, name: str, step: int) -> bool:
        """Whether the build goes on."""
        with self._lock:
            if name in self._open:
                self._open[name][0] = step + 1
        return not self.cancelled.is_set()

    def finish(self, name: str) -> None:
        with self._lock:
            self._open.pop(name, None)

    def __str__(self) -> str:
        with self._lock:
            name = next(reversed(self._open), None)
            return "at work" if name is None else "{} ({} of {})".format(name, *self._open[name])


def monitor(trt: Any, phases: Phases) -> Any:
    """TensorRT's own way to tell its progress; None where this version has none (before 8.6)."""
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            phases.start(phase, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            return phases.step(phase, step)

        def phase_finish(self, phase: str) -> None:
            phases.finish(phase)

    return Monitor()


def watched(build: Callable[[], Any], phases: Phases, says: Callable[[str], None]) -> Any:
    """What ``build`` returns, from a thread of its own; says every few seconds how far it is.

    Ctrl-C asks the builder to stop, waits until it has, and is raised then: a thread inside TensorRT cannot be left.
    """
    done: list[Any] = []
    failed: list[BaseException] = []
    ended = threading.Event()

    def work() -> None:
        try:
            done.append(build())
        except BaseException as error:  # raised again in the thread that waits
            failed.append(error)
        ended.set()

    start = last = perf_counter()
    try:
        threading.Thread(target=work, daemon=True).start()
        while not ended.wait(PATIENCE_S):
            if perf_counter() - last > EVERY_S:
                last = perf_counter()
                says(f"  {last - start:.0f} s: {phases}")
    except KeyboardInterrupt:
        phases.cancelled.set()
        says("  stopping the build")
        ended.wait()
        raise
    if failed:
        raise failed[0]
    return done[0]


def build_failed(what: str, log: Any) -> ReagingError:
    last = " | ".join(list(log.lines)[-SHOWN:]) or "nothing in its log"
    return ReagingError(f"TensorRT cannot build the engine: {what}; its log: {last}", "a model that it supports", "mend what the log says")
