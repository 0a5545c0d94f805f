"""What a user gets: the wheel, alone in an empty environment, filters the bundled clip."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*call: object, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in call], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_wheel_works_in_an_empty_environment(tmp_path):
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("reaging-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"reaging"}
    for model in ("mobile-256.onnx", "finder.onnx", "aligner.onnx", "demo.mp4"):
        assert f"reaging/runtime/models/{model}" in names
    assert "reaging/export/cli.py" in names and "reaging/benchmarks/cli.py" in names and len(names) == len(set(names))

    run(sys.executable, "-m", "venv", "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", f"{wheel}[cpu]", cwd=tmp_path)
    out = run(python.parent / "reaging-cam", "--source", "demo", "--sink", "aged.mp4", "--age", "70", "--max-frames", "5", cwd=tmp_path)
    assert (tmp_path / "aged.mp4").stat().st_size > 1000, out
    assert run(python, "-c", "import importlib.util as u; print(u.find_spec('torch'))", cwd=tmp_path).strip() == "None"
