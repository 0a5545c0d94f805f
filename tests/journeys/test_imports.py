"""Light where it must be: no torch in the runtime, and --help at once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
LOADS = """
import sys, importlib, pkgutil, reaging.runtime as runtime
for module in pkgutil.walk_packages(runtime.__path__, "reaging.runtime."):
    importlib.import_module(module.name)
print("torch" in sys.modules)
"""


def test_the_runtime_brings_in_no_torch():
    done = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize("command", ["reaging-train", "reaging-export", "reaging-cam", "reaging-bench", "reaging-data"])
def test_help_imports_nothing_heavy(command):
    started = time.perf_counter()
    done = subprocess.run([BIN / command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Usage" in done.stdout
    assert time.perf_counter() - started < 10  # half a second on an idle machine; here only a hang is caught
    module = {"reaging-train": "training", "reaging-export": "export", "reaging-cam": "runtime", "reaging-bench": "benchmarks"}.get(
        command, "data"
    )
    code = f"import sys, reaging.{module}.cli\nprint(sorted({{'torch', 'cv2', 'onnx', 'onnxruntime', 'matplotlib'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
