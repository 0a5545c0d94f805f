"""The whole path: procedural faces -> trained tiny generator -> ONNX -> a clip, each by its command, on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from procedural import write_faces

from reaging.runtime.bundled import DEMO, bundled

BIN = Path(sys.executable).parent
CLIP = bundled(DEMO)


def command(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BIN / name, *map(str, arguments)], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("journey")
    faces = write_faces(folder / "faces")
    trained = command(
        "reaging-train", faces, "--out", folder / "run", "--preset", "tiny", "--device", "cpu", "--set", "steps=60", "--set", "lr=0.01"
    )
    assert trained.returncode == 0, trained.stderr
    exported = command("reaging-export", folder / "run" / "checkpoint.pt", folder / "tiny.onnx", "--verify")
    assert exported.returncode == 0, exported.stderr
    return folder / "tiny.onnx"


def test_from_faces_to_the_filtered_clip(model, tmp_path):
    cv2 = pytest.importorskip("cv2")
    out, stats = tmp_path / "aged.mp4", tmp_path / "stats.json"
    ran = command(
        "reaging-cam",
        "--model",
        model,
        "--source",
        CLIP,
        "--sink",
        out,
        "--age",
        70,
        "--device",
        "cpu",
        "--max-frames",
        20,
        "--stats",
        stats,
    )
    assert ran.returncode == 0, ran.stderr
    report = json.loads(stats.read_text())
    assert report["frames"] == 20 and report["faces"] == 20, "the bundled finder sees the one face in every frame"
    assert report["backend"] and report["device"] == "cpu"
    for stage in ("frame", "find", "align", "infer", "paste", "sink"):
        assert set(report["stages"][stage]) == {"p50", "p90", "p95", "p99"}
    before, after = cv2.VideoCapture(str(CLIP)), cv2.VideoCapture(str(out))
    difference = np.mean([np.abs(before.read()[1].astype(int) - after.read()[1]).mean() for _ in range(20)])
    assert 0.5 < difference < 60, "the face changed, the picture stayed a picture"


def test_the_model_says_what_it_is(model):
    shown = command("reaging-export", "--show", model)
    assert shown.returncode == 0 and "tiny" in shown.stdout and "60" in shown.stdout
