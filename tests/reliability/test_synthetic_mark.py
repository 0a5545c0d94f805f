"""Every file that the filter saves says that it is synthetic, in the places where others look for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from reaging.runtime.cli import main
from reaging.runtime.sinks import open_sink
from reaging.runtime.sinks.synthetic import COMMENT, SOURCE_TYPE
from reaging.runtime.sinks.video import OpenCvVideo
from reaging.runtime.sources import open_source
from reaging.runtime.sources.photo import read_photo

FRAME = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8), (320, 241), interpolation=cv2.INTER_CUBIC)


def xmp_of(path: Path) -> bytes:
    """As Pillow finds it."""
    with Image.open(path) as picture:
        picture.load()
        found = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
        if not found and hasattr(picture, "tag_v2"):
            found = picture.tag_v2[700]
        return found.encode() if isinstance(found, str) else bytes(found)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"])
@pytest.mark.parametrize("width", [320, 319])
def test_a_picture_carries_the_mark_and_is_the_same_picture(tmp_path: Path, suffix: str, width: int) -> None:
    path = tmp_path / f"a{suffix}"
    frame = np.ascontiguousarray(FRAME[:, :width])
    with open_sink(str(path)) as sink:
        sink.write(frame, 0, "")
        assert sink.note == ""
    assert SOURCE_TYPE.encode() in xmp_of(path)
    with Image.open(path) as picture:
        rgb = np.asarray(picture.convert("RGB"))
    plain = cv2.imdecode(cv2.imencode(suffix, frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], cv2.IMREAD_COLOR)
    assert np.abs(rgb[..., ::-1].astype(int) - plain).max() <= 2 and (read_photo(path) == plain).all()


def test_comments_beside_it(tmp_path: Path) -> None:
    for suffix, key in ((".png", "Comment"), (".jpg", "comment")):
        with open_sink(str(tmp_path / f"a{suffix}")) as sink:
            sink.write(FRAME, 0, "")
        with Image.open(tmp_path / f"a{suffix}") as picture:
            said = picture.info[key]
            assert COMMENT in (said.decode() if isinstance(said, bytes) else said)
    with open_sink(str(tmp_path / "a.tif")) as sink:
        sink.write(FRAME, 0, "")
    with Image.open(tmp_path / "a.tif") as picture:
        assert picture.tag_v2[270] == COMMENT


def test_what_cannot_carry_it_says_so(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.bmp"), FRAME)
    (tmp_path / "out").mkdir()
    for sink in ("a.bmp", "out"):
        done = CliRunner().invoke(main, ["--source", str(tmp_path / "in.bmp"), "--sink", str(tmp_path / sink), "--device", "cpu"])
        assert done.exit_code == 0 and ".bmp files have no place for the mark" in done.stderr


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_video_carries_comment_and_mark(tmp_path: Path, suffix: str) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / f"a{suffix}"
    with open_sink(str(path), 10.0) as sink:
        for number in range(3):
            sink.write(FRAME, number / 10, "")
    with av.open(str(path)) as clip:
        assert COMMENT in {k.lower(): v for k, v in clip.metadata.items()}["comment"]
    assert suffix == ".mkv" or SOURCE_TYPE.encode() in path.read_bytes()
    assert len(list(open_source(str(path)))) == 3
    if probe := shutil.which("ffprobe"):
        line = [probe, "-v", "error", "-show_entries", "format_tags=comment", "-of", "csv=p=0", str(path)]
        assert COMMENT in subprocess.run(line, capture_output=True, text=True, check=True).stdout


def test_a_video_by_opencv_carries_the_mark(tmp_path: Path) -> None:
    with OpenCvVideo(tmp_path / "a.mp4", 10.0, None) as sink:
        sink.write(FRAME, 0, "")
    assert SOURCE_TYPE.encode() in (tmp_path / "a.mp4").read_bytes() and len(list(open_source(str(tmp_path / "a.mp4")))) == 1


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.mp4"])
def test_the_command_marks_by_default(tmp_path: Path, tinting: Path, name: str) -> None:
    options = ["--model", tinting, "--device", "cpu", "--source", "demo", "--max-frames", 1, "--sink", tmp_path / name]
    done = CliRunner().invoke(main, [str(option) for option in options])
    assert done.exit_code == 0 and SOURCE_TYPE.encode() in (tmp_path / name).read_bytes(), done.output


def test_a_sheet_of_training_data_is_not_marked(tmp_path: Path) -> None:
    """It shows photos as they are."""
    from reaging.data.cli import main as data

    (tmp_path / "faces").mkdir()
    cv2.imwrite(str(tmp_path / "faces" / "a.png"), FRAME)
    (tmp_path / "faces" / "labels.csv").write_text("file,age,split\na.png,30,train\n")
    done = CliRunner().invoke(data, ["inspect", str(tmp_path / "faces"), "--sheet", str(tmp_path / "s.png"), "--size", "64"])
    assert done.exit_code == 0 and SOURCE_TYPE.encode() not in (tmp_path / "s.png").read_bytes()
