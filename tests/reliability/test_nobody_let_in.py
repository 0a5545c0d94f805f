"""Nobody is let in: no call that runs what a file or a name says, and a server that a crowd cannot overrun."""

from __future__ import annotations

import ast
import http.client
import socket
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest

from reaging.runtime.sinks.web import CLIENTS, Web, open_web

ROOT = Path(__file__).resolve().parents[2]
CODE = ("reaging", "runtime", "export", "benchmarks", "examples", "tools")
RUN_TEXT = ("eval", "exec", "__import__")
UNSAFE_MODULES = ("pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "telnetlib")
SHELLS = ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput")


def sources() -> Iterator[Path]:
    for folder in CODE:
        yield from (ROOT / folder).rglob("*.py")


def name_of(node: ast.expr) -> str:
    return f"{name_of(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def offences(tree: ast.AST) -> Iterator[str]:
    """What in a module could run something that its author did not write."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"{node.lineno}: import {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES)
        if not isinstance(node, ast.Call):
            continue
        name, given = name_of(node.func), {k.arg: k.value for k in node.keywords}

        def said(option: str, value: bool, given: dict[str | None, ast.expr] = given) -> bool:
            word = given.get(option)
            return isinstance(word, ast.Constant) and word.value is value

        if name in RUN_TEXT or name in SHELLS or ("shell" in given and not said("shell", False)):
            yield f"{node.lineno}: {name}"
        if name == "torch.load" and not said("weights_only", True):
            yield f"{node.lineno}: torch.load without weights_only=True"
        if name in ("np.load", "numpy.load") and "allow_pickle" in given and not said("allow_pickle", False):
            yield f"{node.lineno}: {name} with pickle"
        if name in ("yaml.load", "tar.extractall", "zip.extractall", "torch.hub.load"):
            yield f"{node.lineno}: {name}"


def test_nothing_that_a_file_says_is_run() -> None:
    found = [f"{path.relative_to(ROOT)}:{offence}" for path in sources() for offence in offences(ast.parse(path.read_text("utf-8")))]
    assert len(list(sources())) > 100 and not found, found


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from pickle import loads", "eval(x)", "os.system(x)", "subprocess.run(x, shell=True)", "torch.load(x)",
     "torch.load(x, weights_only=False)", "np.load(x, allow_pickle=True)", "subprocess.Popen(x, shell=y)"],
)  # fmt: skip
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert list(offences(ast.parse(line)))


def port(web: Web) -> int:
    return int(web.url.rstrip("/").rpartition(":")[2])


def status(web: Web) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port(web), timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


NOISE = (b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", b"\x16\x03\x01\x02\x00\x01\x00", b"A" * 70_000, b"GET / HTTP/9.9\r\n")


def test_a_flood_of_clients_is_bounded() -> None:
    """A hundred at once, good, silent and mad: at most eight are served, the loop is not held up, and afterwards all is as before."""
    frame = np.zeros((48, 64, 3), np.uint8)
    before = threading.active_count()
    with open_web("http:0") as web:
        most = 0
        with ExitStack() as crowd:
            for number in range(100):
                with suppress(OSError):
                    client = crowd.enter_context(socket.create_connection(("127.0.0.1", port(web)), timeout=0.2))
                    client.sendall(NOISE[number % len(NOISE)])
                web.write(frame, number, "")
                most = max(most, threading.active_count())
            assert most <= before + 1 + CLIENTS, most
        deadline = time.monotonic() + 20
        while status(web) != 200 and time.monotonic() < deadline:
            web.write(frame, 0, "")
            time.sleep(0.05)
        assert status(web) == 200
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_only_looking_is_possible() -> None:
    with open_web("http:0") as web:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"):
            connection = http.client.HTTPConnection("127.0.0.1", port(web), timeout=5)
            connection.request(method, "/")
            assert connection.getresponse().status == 501, method
            connection.close()


NEED_A_GPU = ("onnxruntime-gpu", "tensorrt", "pycuda", "cuda-bindings")  # CONTRIBUTING.md: their bounds are not run


def dependencies() -> dict[str, str]:
    """Everything that pyproject.toml asks for -> its lowest version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = (project["dependencies"], *project["optional-dependencies"].values())
    asked = [r.partition(";")[0] for group in groups for r in group if not r.startswith("reaging[")]
    assert asked and not [r for r in asked if ">=" not in r]
    return {name: version for name, _, version in (r.partition(">=") for r in asked)}


def test_every_dependency_has_a_reason_and_a_licence() -> None:
    licences = (ROOT / "THIRD_PARTY.md").read_text("utf-8")
    missing = [name for name in dependencies() if f"| {name} |" not in licences]
    assert not missing and "not stated here" not in licences, "run tools/licenses.py"
    reasons = [line for line in (ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    told = {word.strip("(),") for line in reasons for word in line.split("|")[1].split()}
    assert not set(dependencies()) - told, "say in CONTRIBUTING.md why"
    assert requires("reaging")


def test_make_lowest_runs_every_lower_bound() -> None:
    """The pin is the bound, or the first version that there is of it."""
    pins = dict(line.split("==") for line in (ROOT / "constraints-lowest.txt").read_text("utf-8").split("\n") if "==" in line)
    asked = {name: version for name, version in dependencies().items() if name not in NEED_A_GPU}
    assert set(pins) == set(asked)
    assert not [name for name in asked if not f"{pins[name]}.".startswith(f"{asked[name]}.")]
    told = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert "`make lowest`" in told and ".ci/run lowest" in told and all(name in told for name in NEED_A_GPU)
