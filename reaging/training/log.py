"""The log of a run: one JSON object a line, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ReagingError
from ..files import write_text


class Log:
    """Appends to ``log.jsonl``; a resumed run first drops the lines after its step, so that none is there twice.

    Every method raises ReagingError where the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path, start: int):
        self.path = folder / "log.jsonl"
        if self.path.exists():
            write_text(self.path, lines_before(self.path, start))
        self.board: Any = None
        with _written(self.path):
            self.file = self.path.open("a")
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        if threading.excepthook is threading.__excepthook__:
            threading.excepthook = _quiet_board
        self.events = folder / "tensorboard"
        with _written(self.events):
            self.board = SummaryWriter(str(self.events), purge_step=start or None)

    def write(self, step: int, values: dict[str, float]) -> None:
        with _written(self.path):
            self.file.write(json.dumps({"step": step, **{k: float(f"{v:.6g}") for k, v in values.items()}}) + "\n")
            self.file.flush()
        if self.board:
            with _written(self.events):
                for k, v in values.items():
                    self.board.add_scalar(k, v, step)

    def close(self) -> None:
        with _written(self.path):
            self.file.close()
        if self.board:
            with _written(self.events):
                self.board.close()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"cannot write {path} ({error.strerror or error})"
        raise ReagingError(what, "a writable folder with free space", "free space or choose another --out; --resume goes on") from error


def _quiet_board(args: threading.ExceptHookArgs) -> None:
    """TensorBoard writes in a thread and raises that thread's error again in the next call: once is enough for a full disk."""
    if not (isinstance(args.exc_value, OSError) and type(args.thread).__module__.startswith("tensorboard.")):
        threading.__excepthook__(args)


def lines_before(path: Path, step: int) -> str:
    """The lines of a log up to a step, without those that are none."""
    return "".join(line for line in path.read_text("utf-8", "replace").splitlines(keepends=True) if _step(line) <= step)


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ArithmeticError, ValueError, KeyError, TypeError, RecursionError):
        return 1 << 62  # a line cut off by a crash
