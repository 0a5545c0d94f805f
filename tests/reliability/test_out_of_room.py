"""No room left, where a row of test_bad_input.py cannot show it: memory, a thread that writes, and a picture among many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from reliability.materials import make_all

from reaging.benchmarks import faces
from reaging.benchmarks.cli import main as bench
from reaging.runtime.faces.find import FaceFinder
from reaging.runtime.sources.base import Frame

resource = pytest.importorskip("resource", reason="limits on memory and files are Unix's")
TRAIN = ("--preset", "tiny", "--device", "cpu", "--threads", "1", "--set", "steps=1")


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("materials")
    make_all(folder, folder / "sang")
    return folder


@contextmanager
def at_most(kind: int, limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def refused(command: click.Command, words: list[str], name: str) -> str:
    """The last line of a command's standard error; it must end with 2."""
    done = CliRunner().invoke(command, words, prog_name=name)
    assert done.exit_code == 2, (done.stderr, repr(done.exception))
    return the_line(done.stderr, name)


def the_line(errors: str, name: str) -> str:
    """The only one that a command says of itself on standard error, which must be of a ReagingError."""
    said = [line for line in errors.replace("\r", "\n").splitlines() if line.startswith(name)]
    assert len(said) == 1 and "; expected " in said[0], errors
    return said[0]


# in a process of its own: where room ends in the middle of an engine's own work, it may crash
IN_LITTLE_ROOM = """
import json, os, resource, sys
from pathlib import Path
from click.testing import CliRunner
from reaging.training.cli import main

small, words, room = json.loads(sys.argv[1])
assert CliRunner().invoke(main, small).exit_code == 0  # what is imported late is imported
used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
main(words, prog_name="reaging-train")
"""


def refused_in_little_room(materials: Path, out: Path, changes: tuple[str, ...], megabytes: int) -> str:
    """The line of a training that has so much memory beside what a small one takes; it must end with 2."""
    begin = [str(materials / "faces"), *TRAIN]
    wanted = [*begin, "--out", str(out / "run"), *(word for change in changes for word in ("--set", change))]
    small = [*begin, "--out", str(out / "small"), "--set", "batch=2"]
    line = [sys.executable, "-c", IN_LITTLE_ROOM, json.dumps([small, wanted, megabytes << 20])]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    return the_line(done.stderr, "reaging-train")


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a process is read from /proc")
@pytest.mark.parametrize("wanted", [("widths=4096,4096",), ("widths=2048,4096", "batch=4096")])
def test_nets_that_do_not_fit_into_memory(wanted: tuple[str, ...], materials: Path, tmp_path: Path) -> None:
    line = refused_in_little_room(materials, tmp_path, wanted, 300)
    assert "not enough memory" in line and "--set batch=" in line
    assert not list(tmp_path.glob("run/**/*.pt"))


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a process is read from /proc")
def test_a_batch_that_does_not_fit_into_memory(materials: Path, tmp_path: Path) -> None:
    """The nets do; the first layer of the first step does not."""
    line = refused_in_little_room(materials, tmp_path, ("batch=768",), 128)
    assert "not enough memory for tiny at batch 768" in line


@pytest.mark.parametrize("limit", [30, 100])
def test_a_log_on_a_full_disk_is_one_line(limit: int, materials: Path, tmp_path: Path) -> None:
    """TensorBoard, where it is installed, writes in a thread of its own, whose traceback nobody needs."""
    words = [str(materials / "faces"), "--out", str(tmp_path / "run"), *TRAIN, "--set", "batch=2"]
    code = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, -1)); sys.argv[0] = 'reaging-train'; "
        "from reaging.training.cli import main; main()"
    )
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=300, env=environment)
    said = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip() and "step/s" not in line and "s/step" not in line]
    assert done.returncode == 2 and len(said) == 1, done.stderr
    assert said[0].startswith(f"reaging-train: cannot write {tmp_path / 'run'}") and "(File too large); expected " in said[0]


class Elsewhere:
    """A detector in YuNet's place that sees every face a face's width beside where the bundled finder sees it."""

    def __init__(self, path: Path, threshold: float = 0.6):
        self._finder = FaceFinder()

    def __call__(self, frame: Frame) -> list[faces.Face]:
        found = self._finder(frame)
        for face in found:
            face.landmarks[:, 0] += face.box[2]
        return found


def test_pictures_of_missed_faces_on_a_full_disk(materials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "YuNetFinder", Elsewhere)
    words = ["faces", "--yunet", "yunet.onnx", "--photos", str(materials / "photo.png"), "--out", str(tmp_path / "f")]
    with at_most(resource.RLIMIT_FSIZE, 2000):
        line = refused(bench, words, "reaging-bench")
    assert "missed by" in line and "(File too large)" in line
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
