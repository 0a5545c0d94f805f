"""Bad input, one row for each: every command ends with exit code 2 and a line or two that say what, expected and remedy.

A row is an id, a command line and words of its answer.  The commands run in the folder of ``materials.py``; ``OUT`` is a new empty folder.
Nothing in the first may have changed afterwards, and nothing may be left in the second.  Good input in odd clothes must work: ``GOOD``.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import pytest
from click.testing import CliRunner
from reliability.materials import make_all
from reliability.rows import BAD, FULL, GOOD, PROCESSES, Row

from reaging.benchmarks.cli import main as bench
from reaging.data.cli import main as data
from reaging.data.facegen import TERMS
from reaging.export.cli import main as export
from reaging.runtime.cli import main as cam
from reaging.training.calibrate import main as calibrate
from reaging.training.cli import main as train

# how each command begins in the rows; an option that is given again counts in its place
COMMANDS: dict[str, tuple[click.Command, str, str]] = {
    "cam": (cam, "reaging.runtime.cli", "--model tint.onnx --device cpu --threads 1 --source photo.png --sink null"),
    "train": (train, "reaging.training.cli", "--preset tiny --device cpu --threads 1 --out OUT/run --set steps=1 --set batch=2"),
    "export": (export, "reaging.export.cli", ""),
    "bench": (bench, "reaging.benchmarks.cli", ""),
    "data": (data, "reaging.data.cli", ""),
    "calibrate": (calibrate, "reaging.training.calibrate", ""),  # python -m
}


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What code in a checkpoint would make."""
    return tmp_path_factory.mktemp("canary") / "sang"


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory, canary: Path) -> Path:
    folder = tmp_path_factory.mktemp("materials")
    make_all(folder, canary)
    return folder


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """OpenCV as the commands import it: pytest may have imported it before them."""
    logs: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # before OpenCV 5, and since
    before = logs.getLogLevel()
    logs.setLogLevel(0)
    yield
    logs.setLogLevel(before)


@pytest.fixture(autouse=True)
def at_home(materials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(materials)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def call(line: str, out: Path, port: int = 0) -> tuple[click.Command, str, list[str]]:
    """Command, module and arguments of a row."""
    name, *given = shlex.split(line)
    command, module, first = COMMANDS[name]
    words = [*shlex.split(first), *given]
    return command, module, [word.replace("OUT", str(out)).replace("TAKEN", str(port)) for word in words]


def state(folder: Path) -> dict[str, Any]:
    """Everything below a folder, by name: what a write would change."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            facts = os.lstat(path := f"{place}/{name}")
            found[path] = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return found


def digests(words: list[str]) -> dict[str, str]:
    """Of the files that a command line names."""
    files = [Path(word) for word in words if len(word) < 200 and Path(word).is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.stat().st_size < 1 << 24}


def left(out: Path, allowed: str) -> list[str]:
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    return sorted(names - {str(path.relative_to(out)) for path in (out.glob(allowed) if allowed else ())})


def lines(error: str) -> list[str]:
    """Of standard error, without a progress bar's and without what a command says of its device and its terms before it starts."""
    said = [line for line in error.replace("\r", "\n").splitlines() if line.strip() and "%|" not in line and "it/s]" not in line]
    return [line for line in said if not line.startswith("device: ") and line not in TERMS]


def run(line: str, out: Path, capfd: pytest.CaptureFixture[str], port: int = 0) -> tuple[int, str, str, BaseException | None]:
    command, _, words = call(line, out, port)
    capfd.readouterr()
    done = CliRunner().invoke(command, words, prog_name=f"reaging-{line.split()[0]}")
    native = capfd.readouterr()  # what libraries write past Python
    return done.exit_code, done.stdout + native.out, native.err + done.stderr, done.exception


def check(row: Row, out: Path, capfd: pytest.CaptureFixture[str], port: int = 0) -> None:
    here = Path.cwd()
    words = call(row.line, out, port)[2]
    before, contents = state(here), digests(words)
    code, _, error, raised = run(row.line, out, capfd, port)
    assert code == 2, (code, error, repr(raised))
    said = lines(error)
    assert 1 <= len(said) <= 2 and row.says in error, error
    assert "; expected " in said[-1] or said[-1].endswith("--help"), error
    assert len(said[-1]) < 1200, error
    assert state(here) == before and digests(words) == contents, "the input was changed"
    assert not left(out, row.leaves), left(out, row.leaves)


@pytest.mark.parametrize("row", BAD, ids=[row.id for row in BAD])
def test_bad_input(row: Row, tmp_path: Path, capfd: pytest.CaptureFixture[str], taken: int, canary: Path) -> None:
    check(row, tmp_path, capfd, taken)
    assert not canary.exists(), "code in a file was run"


@pytest.mark.parametrize("row,limit", FULL, ids=[row.id for row, _ in FULL])
def test_a_full_disk(row: Row, limit: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    code, error, raised = 0, "", None
    before = state(Path.cwd())
    command, _, words = call(row.line, tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        done = CliRunner().invoke(command, words)
        code, error, raised = done.exit_code, done.stderr, done.exception
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2, (code, error, repr(raised))
    said = lines(error)
    assert row.says in said[-1] and "; expected " in said[-1], error
    assert state(Path.cwd()) == before and not left(tmp_path, row.leaves), left(tmp_path, row.leaves)


@pytest.mark.parametrize("row", GOOD, ids=[row.id for row in GOOD])
def test_good_input_in_odd_clothes(row: Row, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = state(Path.cwd())
    code, out, error, raised = run(row.line, tmp_path, capfd)
    assert code == 0, (code, error, repr(raised))
    assert row.says in out and state(Path.cwd()) == before
    assert not row.leaves or [p for p in tmp_path.glob(row.leaves) if p.is_file() and p.stat().st_size > 40]
    assert not left(tmp_path, row.leaves)


def test_code_in_a_checkpoint_would_have_made_the_canary(materials: Path, canary: Path) -> None:
    """The files are what they are taken for: unpickled carelessly, they run."""
    import pickle

    with pytest.raises(Exception, match=r".*"):
        raise pickle.loads((materials / "runs-plain.pt").read_bytes()).close() or RuntimeError
    assert canary.exists()
    canary.unlink()


@pytest.mark.parametrize("line", PROCESSES)
def test_a_process_ends_as_the_function_does(line: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], canary: Path) -> None:
    _, module, words = call(line, tmp_path)
    name = f"reaging-{line.split()[0]}"
    code = f"import sys; sys.argv[0] = {name!r}; from {module} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONUTF8": "1"}
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert 1 <= len(lines(done.stderr)) <= 2 and not left(tmp_path, "") and not canary.exists(), done.stderr
    if "bomb" not in line:  # OpenCV's limit is read when it is imported, which pytest may have done without it
        assert run(line, tmp_path, capfd)[2] == done.stderr
