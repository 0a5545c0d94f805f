"""The example programs run as they stand."""

import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from playing import Playing
from screen import Screen

from reaging.runtime.bundled import DEMO, bundled
from reaging.runtime.sources import open_source
from reaging.runtime.sources.photo import read_photo

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *options: object) -> str:
    done = subprocess.run([sys.executable, str(EXAMPLES / name), *map(str, options)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_age_photo(tmp_path: Path, astronaut: Path, tinting: Path, yunet: Path) -> None:
    assert run("age_photo.py", astronaut, tmp_path / "old.png", 90, tinting, yunet) == "1 faces aged to 90\n"
    change = read_photo(tmp_path / "old.png").astype(int) - read_photo(astronaut)
    assert change[110, 222, 2] > 20 and (change[400:] == 0).all()


def test_filter_clip(tmp_path: Path, shared: object, tinting: Path, yunet: Path) -> None:
    clip = shared("video/small_face_480p.mp4")
    run("filter_clip.py", clip, tmp_path / "out.mp4", tinting, yunet)
    before, after = list(open_source(str(clip))), list(open_source(str(tmp_path / "out.mp4")))
    assert len(after) == len(before) == 87
    redder = [float((a.frame[..., 2].astype(int) - b.frame[..., 2]).mean()) for a, b in zip(after, before, strict=True)]
    assert np.mean(redder[-20:]) > np.mean(redder[:20]) + 0.1  # from blue at 10 years to red at 60


def test_use_ager(tmp_path: Path, astronaut: Path, tinting: Path) -> None:
    run("use_ager.py", astronaut, tmp_path / "row.png", tinting)
    row = read_photo(tmp_path / "row.png").astype(int)
    assert row.shape == (64, 5 * 64, 3)
    reds = [row[32, 64 * n + 32, 2] for n in range(5)]
    assert reds == sorted(reds) and reds[0] < reds[-1]


def test_make_demo_clip(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("av")
    run("make_demo_clip.py", tmp_path / "demo.mp4")
    made, shipped = open_source(str(tmp_path / "demo.mp4")), open_source("demo")
    assert made.size == shipped.size and made.total == shipped.total
    for ours, theirs in list(zip(made, shipped, strict=True))[::20]:
        assert np.abs(ours.frame.astype(int) - theirs.frame).mean() < 3


def test_demo_sheet(tmp_path: Path) -> None:
    run("demo_sheet.py", bundled(DEMO), tmp_path / "sheet.png")
    sheet, (width, height) = read_photo(tmp_path / "sheet.png"), open_source("demo").size
    assert sheet.shape == (3 * height, 2 * width, 3)
    assert np.array_equal(sheet[:, :width], sheet[:, width:])  # here the "aged" clip is the clip itself


def test_webcam(tmp_path: Path, tinting: Path) -> None:
    with Screen(tmp_path) as screen, Playing() as camera:
        call = [sys.executable, str(EXAMPLES / "webcam.py"), camera.url, str(tinting)]
        child = subprocess.Popen(call, env=screen.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            screen.window("reaging", child.pid)
            time.sleep(1)
            screen.xdotool("key", "q")
            says, errors = child.communicate(timeout=30)
        finally:
            child.kill()
    assert child.returncode == 0 and "frames, " in says and "ms from camera to screen" in says, errors


def test_custom_sink(tinting: Path) -> None:
    lines = run("custom_sink.py", "demo", tinting).splitlines()
    assert len(lines) == 51 and lines[0].startswith("  0.000 s demo_000001.png ###") and lines[-1] == "50 frames, 50 faces"


def test_obs_source(tinting: Path) -> None:
    with Playing() as camera:
        call = [sys.executable, str(EXAMPLES / "obs_source.py"), camera.url, str(tinting)]
        child = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert child.stdout is not None
            address = child.stdout.readline().strip()
            with urllib.request.urlopen(address, timeout=10) as page:
                assert b"/stream" in page.read()
            with urllib.request.urlopen(address + "stream", timeout=10) as stream:
                assert b"Content-Type: image/jpeg" in stream.read(2000)
            child.send_signal(signal.SIGINT)
            errors = child.communicate(timeout=30)[1]
        finally:
            child.kill()
    assert child.returncode == 0 and "Traceback" not in errors, errors


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.name)
def test_every_example_is_run_by_a_test(path: Path) -> None:
    tests = "".join(p.read_text() for p in EXAMPLES.parent.glob("tests/**/test_*.py"))
    assert path.name in tests or path.stem in tests
