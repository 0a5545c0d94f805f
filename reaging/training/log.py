"""The log of a run: one JSON object a line, and TensorBoard where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..files import whole_file


class Log:
    """Appends to ``log.jsonl``; a resumed run first drops the lines after its step, so that none is there twice."""

    def __init__(self, folder: Path, start: int):
        self.path = folder / "log.jsonl"
        if self.path.exists():
            kept = [line for line in self.path.read_text().splitlines(keepends=True) if _step(line) <= start]
            with whole_file(self.path) as part:
                part.write_text("".join(kept))
        self.file = self.path.open("a")
        self.board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=start or None)
        except ImportError:
            pass

    def write(self, step: int, values: dict[str, float]) -> None:
        self.file.write(json.dumps({"step": step, **{k: float(f"{v:.6g}") for k, v in values.items()}}) + "\n")
        self.file.flush()
        if self.board:
            for k, v in values.items():
                self.board.add_scalar(k, v, step)

    def close(self) -> None:
        self.file.close()
        if self.board:
            self.board.close()


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return 1 << 62  # a line cut off by a crash
