"""How often each fault is tried (2 times; FAULT_TRIES=50 for the table of docs/reliability.md), and the table itself."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

TRIES = int(os.environ.get("FAULT_TRIES", 2))
SEED = int(os.environ.get("FAULT_SEED", 0))


class Table:
    """Tries and survivals of each fault."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}

    def write(self) -> None:
        path = os.environ.get("FAULT_JSON")
        if path:
            Path(path).write_text(json.dumps(self.rows, indent=1))


TABLE = Table()


class Fault:
    """One fault: counts its tries, of which the test's assertions say which survived."""

    def __init__(self, name: str):
        self.row = TABLE.rows[name] = {"tries": 0, "survived": 0, "hit": 0, "seconds": 0.0}
        self._began = time.monotonic()

    def tried(self, hit: bool = True) -> None:
        """A try begins; ``hit``: the fault came while the work was under way."""
        self.row["tries"] += 1
        self.row["hit"] += hit

    def survived(self) -> None:
        """Everything that was promised held."""
        self.row["survived"] += 1
        self.row["seconds"] = round(time.monotonic() - self._began, 1)
        TABLE.write()


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    if sys.platform == "win32":
        pytest.skip("Windows has no kill -9 and no forked processes")
    return Fault(request.node.name.removeprefix("test_"))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random moments, the same in every run with the same FAULT_SEED."""
    return np.random.default_rng([SEED, *request.node.name.encode()])


@pytest.fixture
def tries() -> int:
    return TRIES


@pytest.fixture
def says(tmp_path: Path) -> Iterator[Path]:
    """The file for the words of a try's processes."""
    folder = tmp_path / "says"
    folder.mkdir()
    yield folder / "says.txt"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TABLE.rows and TRIES > 3:
        terminalreporter.write_line(f"{'fault':<60}{'tries':>7}{'in time':>9}{'survived':>10}{'seconds':>9}")
        for name, row in TABLE.rows.items():
            terminalreporter.write_line(f"{name:<60}{row['tries']:>7}{row['hit']:>9}{row['survived']:>10}{row['seconds']:>9}")
