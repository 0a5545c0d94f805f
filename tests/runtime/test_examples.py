"""The example programs run as they stand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.name)
def test_every_example_is_run_by_a_test(path: Path) -> None:
    tests = "".join(p.read_text() for p in EXAMPLES.parent.glob("tests/**/test_*.py"))
    assert path.name in tests or path.stem in tests
