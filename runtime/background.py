"""A thread that works on the newest thing handed to it; what it had no time for is dropped."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
NICE = 5  # by how much the thread is put behind the others: frames are shown in time, and what it makes may come a frame later


class Background(Generic[T]):
    """Calls ``work`` in its own thread, which gives way to the others.

    Used in a ``with`` statement, whose end waits for what is under way.
    """

    def __init__(self, work: Callable[[T], object]):
        self._work = work
        self._ready = threading.Condition()
        self._waiting: T | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def submit(self, item: T) -> None:
        """Takes the place of what is waiting and returns at once; raises what ``work`` raised before."""
        with self._ready:
            if self._error is not None:
                raise self._error
            self._waiting = item
            self._ready.notify()

    def _run(self) -> None:
        _give_way()
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._ended or self._waiting is not None)
                if self._ended:
                    return
                item, self._waiting = self._waiting, None
            try:
                self._work(item)  # type: ignore[arg-type]  # not None, as waited for
            except BaseException as error:  # raised again in the thread that submits
                with self._ready:
                    self._error = error
                return

    def __enter__(self) -> Background[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._ready:
            self._ended = True
            self._ready.notify()
        self._thread.join(timeout=5)


def _give_way() -> None:
    """Puts the calling thread behind the other ones where they compete for a core; only Linux gives threads a rank of their own."""
    if sys.platform.startswith("linux"):
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)
