"""A process for each thing that is measured: its own peak memory, its own processor time, its own start."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from ..errors import ReagingError

Run = Callable[[], object]
LEAVE = 5.0  # seconds that a process has to end by itself


class Sample(NamedTuple):
    """Some runs in a row: seconds by the clock and of the processor (all threads), and the process's peak memory so far in bytes."""

    wall: list[float]
    cpu: list[float]
    peak: int


class Worker:
    """Opens something in a process of its own and runs it when asked; used in a ``with`` statement, whose end stops the process."""

    def __init__(self, name: str, prepare: Callable[..., tuple[dict[str, Any], Run]], *arguments: Any):
        """``prepare(*arguments)``, which must be importable, runs in the new process: facts to report, and what to time.

        Returns when it is ready.  Raises the ReagingError that ``prepare`` raises, or one if the process dies.
        """
        self.name = name
        context = multiprocessing.get_context("spawn")  # a fork would carry this process's memory and threads over
        self._line, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, prepare, arguments), daemon=True)
        with _deaf():
            self._process.start()
        other.close()
        try:
            self.facts: dict[str, Any] = self._answer()
        except BaseException:
            self.close()
            raise

    def run(self, most: int, seconds: float) -> Sample:
        """Up to ``most`` runs, none begun after ``seconds``, at least one."""
        try:
            self._line.send((most, seconds))
        except OSError:
            raise self._died() from None
        return Sample(*self._answer())

    def _answer(self) -> Any:
        try:
            kind, content = self._line.recv()
        except (EOFError, OSError):
            raise self._died() from None
        if kind == "error":
            raise ReagingError(*content)
        if kind == "bug":
            raise RuntimeError(f"{self.name}: {content}")
        return content

    def _died(self) -> ReagingError:
        self._process.join(LEAVE)
        return ReagingError(
            f"the process that measures {self.name} ended with code {self._process.exitcode}",
            "one that lives to the end; code -9 mostly means that memory ran out",
            "measure fewer or smaller cases at once",
        )

    def close(self) -> None:
        """Stops the process."""
        self._line.close()
        self._process.join(LEAVE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextmanager
def _deaf() -> Iterator[None]:
    """While a process starts: it inherits that Ctrl-C is not for it, which its parent answers by stopping it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(line: Connection, prepare: Callable[..., tuple[dict[str, Any], Run]], arguments: tuple[Any, ...]) -> None:
    try:
        facts, run = prepare(*arguments)
        line.send(("ready", facts))
        while True:
            most, seconds = line.recv()
            line.send(("sample", tuple(timed(run, most, seconds))))
    except EOFError:  # the parent is done
        return
    except OSError:  # the parent is gone
        return
    except ReagingError as error:
        line.send(("error", (error.what, error.expected, error.remedy)))
    except Exception:
        line.send(("bug", traceback.format_exc()))


def timed(run: Run, most: int, seconds: float) -> Sample:
    """Up to ``most`` runs, none begun after ``seconds``, at least one; of this process."""
    walls: list[float] = []
    cpus: list[float] = []
    end = time.perf_counter() + seconds
    while not walls or (len(walls) < most and time.perf_counter() < end):
        cpu, wall = time.process_time(), time.perf_counter()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Sample(walls, cpus, peak_memory())


def peak_memory() -> int:
    """Bytes of physical memory that this process has held at most."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent held when it started this process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if os.name == "nt":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
