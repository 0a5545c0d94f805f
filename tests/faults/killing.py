"""Work in a process that is killed, at a random moment or right before a random file operation, and what is left of it.

The processes are forked from a server that has imported torch already, so that fifty of them cost seconds and no kill falls into imports.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree")  # of the folder, beside opening to write
LONGEST_S = 600.0


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds after the start, or right before the so manieth file operation."""

    seconds: float | None = None
    operation: int | None = None

    def __str__(self) -> str:
        return f"after {self.seconds:.3f} s" if self.seconds is not None else f"before file operation {self.operation}"


@dataclass(frozen=True)
class Straight:
    """A run that nothing happened to: what it took."""

    seconds: float
    operations: int


def server() -> Any:
    """The multiprocessing context whose processes have everything imported."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faults.preloaded"])
    return context


def start(
    work: Callable[..., object], *arguments: object, says: Path, folder: Path | None = None, operation: int | None = None
) -> BaseProcess:
    """``work(*arguments)`` in a process group of its own; its words go to the file ``says``, the count of file operations beside it."""
    process: BaseProcess = server().Process(target=_doomed, args=(work, arguments, says, folder, operation))
    process.start()
    return process


def straight(work: Callable[..., object], *arguments: object, says: Path, folder: Path) -> Straight:
    """Runs the work to its end and measures it."""
    process = start(work, *arguments, says=says, folder=folder)
    began = time.monotonic()
    end(process, says)
    return Straight(time.monotonic() - began, int(says.with_suffix(".operations").read_text()))


def end(process: BaseProcess, says: Path) -> None:
    """Waits for a process that must end well."""
    process.join(LONGEST_S)
    assert process.exitcode == 0, f"ended with {process.exitcode}: {says.read_text()[-2000:]}"


def kill(work: Callable[..., object], *arguments: object, at: Moment, says: Path, folder: Path, group: bool = True) -> bool:
    """Runs the work and kills it at that moment; whether it was still at it.  ``group``: with the processes that it started."""
    process = start(work, *arguments, says=says, folder=folder, operation=at.operation)
    process.join(at.seconds if at.seconds is not None else LONGEST_S)
    if process.exitcode is None and process.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    process.join()
    if group and process.pid is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.exitcode in (0, -signal.SIGKILL), f"ended with {process.exitcode}: {says.read_text()[-2000:]}"
    return process.exitcode != 0


def moments(tries: int, took: Straight, rng: np.random.Generator) -> Iterator[Moment]:
    """Half of them by the clock, half by file operations, where a window of microseconds is hit too."""
    for number in range(tries):
        if number % 2:
            yield Moment(seconds=float(rng.uniform(0, took.seconds)))
        else:
            yield Moment(operation=int(rng.integers(1, took.operations + 1)))


def _doomed(work: Callable[..., object], arguments: tuple[object, ...], says: Path, folder: Path | None, operation: int | None) -> None:
    os.setsid()
    words = os.open(says, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(words, 1)
    os.dup2(words, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    seen = 0

    def count(event: str, details: tuple[Any, ...]) -> None:
        nonlocal seen
        if folder is None or not _changes(event, details, str(folder)):
            return
        seen += 1
        if seen == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        work(*arguments)
    except SystemExit as leaving:
        if leaving.code:
            raise
    folder = None
    says.with_suffix(".operations").write_text(str(seen))


def _changes(event: str, details: tuple[Any, ...], folder: str) -> bool:
    """Whether an audit event is about to change something in the folder."""
    if event == "open":
        path, mode, flags = details
        writes = any(c in mode for c in "wax+") if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))
        return writes and isinstance(path, str | os.PathLike) and str(path).startswith(folder)
    if event not in CHANGES:
        return False
    relative = not str(details[0]).startswith("/")  # rmtree goes by open folders
    return relative or str(details[0]).startswith(folder)
