"""reaging-cam as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from reaging.runtime.cli import main
from reaging.runtime.sources import open_source
from reaging.runtime.sources.photo import read_photo

Cam = Callable[..., Result]


@pytest.fixture
def cam(tinting: Path) -> Cam:
    """Runs the command on the stand-in generator and the bundled finder."""

    def run(*options: object) -> Result:
        fixed = ["--model", tinting, "--device", "cpu", "--threads", "1", "--sink", "null"]
        return CliRunner().invoke(main, [str(o) for o in [*fixed, *options]])

    return run


def test_a_clip_becomes_a_clip_and_stats(cam: Cam, tmp_path: Path, shared: Callable[[str], Path]) -> None:
    out, stats = tmp_path / "out.mp4", tmp_path / "stats.json"
    clip = shared("video/two_faces_lowres.mp4")
    done = cam("--source", clip, "--sink", out, "--age", 90, "--max-frames", 12, "--stats", stats)
    assert done.exit_code == 0, done.output
    facts = json.loads(stats.read_text())
    assert set(facts["stages"]) == {"frame", "find", "align", "prepare", "infer", "paste", "sink"}
    assert all(list(times) == ["p50", "p90", "p95", "p99"] for times in facts["stages"].values())
    assert facts["stages"]["frame"]["p50"] > facts["stages"]["find"]["p50"] > 0
    assert facts["frames"] == 12 and facts["faces"] == 24 and facts["device"] == "cpu" and facts["backend"] == "onnxruntime"
    assert "device: cpu" in done.stderr and "12 frames, 24 faces" in done.stdout and "p95" in done.stdout
    before, after = list(open_source(str(clip)))[5].frame, list(open_source(str(out)))[5].frame
    assert after.shape == before.shape and np.abs(after.astype(int) - before).mean() < 12
    assert len(list(open_source(str(out)))) == 12


def test_compare_and_ages_make_one_wide_video(cam: Cam, tmp_path: Path, shared: Callable[[str], Path]) -> None:
    clip = shared("video/man_480p.mp4")
    assert cam("--source", clip, "--sink", tmp_path / "a.mp4", "--compare", "--max-frames", 2).exit_code == 0
    assert open_source(str(tmp_path / "a.mp4")).size == (960, 512)
    assert cam("--source", clip, "--sink", tmp_path / "b.mp4", "--ages", "5,80", "--max-frames", 2).exit_code == 0
    assert open_source(str(tmp_path / "b.mp4")).size == (1440, 512)


def test_a_photo_becomes_a_photo_or_a_sheet(cam: Cam, tmp_path: Path, astronaut: Path) -> None:
    assert cam("--source", astronaut, "--sink", tmp_path / "old.png", "--age", 90).exit_code == 0
    old, photo = read_photo(tmp_path / "old.png"), read_photo(astronaut)
    assert old.shape == photo.shape and (old[400:] == photo[400:]).all() and (old[60:160, 180:260] != photo[60:160, 180:260]).any()
    assert cam("--source", astronaut, "--sink", tmp_path / "sheet.png", "--ages", "5,20,40").exit_code == 0
    assert read_photo(tmp_path / "sheet.png").shape == (544, 2048, 3)


def test_a_folder_to_a_folder_keeps_stems(cam: Cam, tmp_path: Path, astronaut: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    out.mkdir()
    for name in ("one.png", "two.jpg"):
        cv2.imwrite(str(photos / name), read_photo(astronaut))
    assert cam("--source", photos, "--sink", out).exit_code == 0
    assert sorted(p.name for p in out.iterdir()) == ["one.png", "two.jpg"]
    (photos / "bad.png").write_text("no picture")
    done = cam("--source", photos, "--sink", out)
    assert done.exit_code == 2 and "bad.png" in done.stderr and sorted(p.name for p in out.iterdir()) == ["one.png", "two.jpg"]


def test_without_a_face_the_picture_passes_and_it_is_said(cam: Cam, tmp_path: Path) -> None:
    for name, size in {"plain": (300, 400), "one": (1, 1)}.items():
        picture = np.full((*size, 3), 120, np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
        done = cam("--source", tmp_path / f"{name}.png", "--sink", tmp_path / f"{name}-out.png")
        assert done.exit_code == 0 and "no face was found" in done.stderr
        assert (read_photo(tmp_path / f"{name}-out.png") == picture).all()


@pytest.mark.parametrize("suffix", ["gray.png", "alpha.png", "deep.png"])
def test_photos_of_other_depths(cam: Cam, tmp_path: Path, astronaut: Path, suffix: str) -> None:
    photo = read_photo(astronaut)
    data = {
        "gray.png": photo[..., 1],
        "alpha.png": np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)]),
        "deep.png": photo.astype(np.uint16) * 257,
    }
    cv2.imwrite(str(tmp_path / suffix), data[suffix])
    done = cam("--source", tmp_path / suffix, "--sink", tmp_path / "out.png", "--age", 90)
    assert done.exit_code == 0 and "1 faces" in done.stdout
    assert read_photo(tmp_path / "out.png").shape == photo.shape


BAD = {
    "missing source": (["--source", "none.mp4"], "there is no source"),
    "missing photo": (["--source", "none.jpg"], "cannot read none.jpg"),
    "empty": (["--source", "empty.mp4"], "it is empty"),
    "no video": (["--source", "text.mp4"], "no readable video"),
    "camera": (["--source", "camera:63"], "camera 63 is not there"),
    "missing model": (["--model", "none.onnx"], "there is no model"),
    "foreign model": (["--model", "text.mp4"], "no ONNX model"),
    "missing detector": (["--detector", "none.onnx"], "none.onnx"),
    "foreign detector": (["--detector", "text.mp4"], "text.mp4"),
    "too young": (["--age", "-5"], "age '-5'"),
    "too old": (["--age", "200"], "age '200'"),
    "nan": (["--age", "nan"], "age 'nan'"),
    "word": (["--age", "old"], "age 'old'"),
    "bad ages": (["--ages", "5,,20"], "age ''"),
    "age and ages": (["--age", "5", "--ages", "20"], "--ages shows the original"),
    "sweep": (["--sweep", "5:80"], "--sweep 5:80:6s"),
    "age and sweep": (["--age", "5", "--sweep", "5:80:6s"], "--sweep changes the age"),
    "ages and sweep": (["--ages", "5", "--sweep", "5:80:6s"], "--ages shows the original"),
    "strength": (["--strength", "120"], "120"),
    "size": (["--size", "wide"], "1280x720"),
    "mirror of nothing": (["--mirror"], "--mirror is the window's"),
    "the same sink": (["--sink", "null"], "given twice"),
    "port": (["--sink", "http:port"], "http:8080"),
    "stream": (["--source", "http://127.0.0.1:9/"], "gives no video"),
    "device": (["--device", "abacus"], "abacus"),
    "output folder": (["--sink", "nowhere/out.mp4"], "an existing folder nowhere"),
    "output sort": (["--sink", "out.xyz"], "cannot write to out.xyz"),
    "stats folder": (["--stats", "nowhere/stats.json"], "an existing folder nowhere"),
    "onto itself": (["--sink", "photo.png"], "written over the source"),
    "into its folder": (["--sink", "."], "written over the source"),
    "window": (["--sink", "window"], "no display"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(cam: Cam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, astronaut: Path, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    Path("photo.png").write_bytes(astronaut.read_bytes())
    Path("empty.mp4").write_bytes(b"")
    Path("text.mp4").write_text("no video " * 99)
    before = sorted(p.name for p in tmp_path.iterdir())
    options, says = BAD[case]
    done = cam("--source", "photo.png", *options)
    assert done.exit_code == 2 and says in done.stderr, (done.output, done.exception)
    errors = [line for line in done.stderr.splitlines() if not line.startswith(("Usage:", "Try ")) and line]
    assert len(errors) == 1, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_several_sinks_strength_and_sweep(cam: Cam, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    done = cam(
        "--source", "demo", "--max-frames", 30, "--sweep", "0:100:0.5s", "--sink", tmp_path / "out.mp4", "--sink", tmp_path / "frames"
    )
    assert done.exit_code == 0, done.output
    before = list(open_source("demo"))[:30]
    after = [read_photo(path) for path in sorted((tmp_path / "frames").iterdir())]
    redder = [float((a[..., 2].astype(int) - b.frame[..., 2]).mean()) for a, b in zip(after, before, strict=True)]
    assert np.mean(redder[10:14]) > np.mean(redder[:3]) + 0.5 < np.mean(redder[10:14]) - np.mean(redder[22:26])  # there and back
    assert len(list(open_source(str(tmp_path / "out.mp4")))) == 30
    changes = []
    for number, strength in enumerate((0, 50, 100)):
        path = tmp_path / f"{number}.png"
        assert cam("--source", "demo", "--max-frames", 1, "--age", 100, "--strength", strength, "--sink", path).exit_code == 0
        changes.append(float(np.abs(read_photo(path).astype(int) - before[0].frame).mean()))
    assert changes[0] == 0 and changes[1] == pytest.approx(changes[2] / 2, rel=0.15) and changes[2] > 0.5


def test_many_frames_into_one_picture_are_refused_at_once(cam: Cam, tmp_path: Path, shared: Callable[[str], Path]) -> None:
    clip = shared("video/man_480p.mp4")
    done = cam("--source", clip, "--sink", tmp_path / "out.png")
    assert done.exit_code == 2 and "--max-frames 1" in done.stderr and not list(tmp_path.iterdir())
    assert cam("--source", clip, "--sink", tmp_path / "out.png", "--max-frames", 1).exit_code == 0
    assert read_photo(tmp_path / "out.png").shape == (480, 480, 3)


def command(*options: object) -> list[str]:
    return [sys.executable, "-c", "from reaging.runtime.cli import main; main()", *(str(o) for o in options)]


def test_ctrl_c_leaves_a_playable_video(tmp_path: Path, tinting: Path, shared: Callable[[str], Path]) -> None:
    out, clip = tmp_path / "out.mp4", shared("video/woman_720p.mp4")
    child = subprocess.Popen(
        command("--model", tinting, "--threads", 1, "--source", clip, "--sink", out),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(p.stat().st_size > 10_000 for p in tmp_path.glob("out.recording-*")):
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    says = child.communicate(timeout=60)[1]
    assert child.returncode == 130 and "frames are kept" in says and "Traceback" not in says
    frames = len(list(open_source(str(out))))
    assert 1 <= frames < 150 and f"interrupted: {frames} frames" in says
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_a_missing_libgl_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "cv2"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')")
    done = subprocess.run(command("--source", "demo"), capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2 and "libGL.so.1" in done.stderr and "apt-get install libgl1" in done.stderr and done.stderr.count("\n") == 1


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    resource = pytest.importorskip("resource")
    code = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); from reaging.runtime.cli import main; main()"

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime  # processor time: another job on the machine does not count

    before = used()
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True)
    assert used() - before < 0.5
    assert done.returncode == 0 and "--stats" in done.stdout
    assert not {"cv2", "numpy", "torch", "onnxruntime", "av"} & set(done.stderr.split())
