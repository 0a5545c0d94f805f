"""What a measuring process can be given to do: importable, as another process must find it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from reaging.errors import ReagingError

Prepared = tuple[dict[str, Any], Callable[[], object]]


def burn(seconds: float) -> Prepared:
    """Each run keeps the processor busy."""

    def run() -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    return {"pid": os.getpid()}, run


def sleep(seconds: float) -> Prepared:
    """Each run waits."""
    return {}, lambda: time.sleep(seconds)


def hold(megabytes: int) -> Prepared:
    """Holds memory that is really written to."""
    held = os.urandom(1024) * 1024 * megabytes
    return {}, lambda: len(held)


def refuse() -> Prepared:
    raise ReagingError("the model is odd", "an even one", "take another")


def stumble() -> Prepared:
    raise KeyError("a bug")


def die() -> Prepared:
    return {}, lambda: os._exit(3)
