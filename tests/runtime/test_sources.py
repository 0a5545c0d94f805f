"""Where frames come from: clips, photos of every sort, folders, cameras."""

import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from reaging.errors import ReagingError
from reaging.runtime.sinks.video import PyAvVideo
from reaging.runtime.sources import is_live, open_source
from reaging.runtime.sources.clip import OpenCvClip, PyAvClip
from reaging.runtime.sources.photo import read_photo

RED = (0, 0, 200)  # BGR


def halves(height: int = 40, width: int = 60) -> np.ndarray:
    """Left half red, right half dark gray."""
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[:, : width // 2] = RED
    return picture


@pytest.mark.parametrize("reader", [PyAvClip, OpenCvClip])
def test_a_clip_is_read_whole_and_in_order(shared: Callable[[str], Path], reader: type) -> None:
    if reader is PyAvClip:
        pytest.importorskip("av")
    clip = reader(shared("video/small_face_480p.mp4"))
    shots = list(clip)
    assert len(shots) == clip.total == 87 and clip.size == (640, 480) and clip.fps == pytest.approx(30)
    assert [round(s.time * 30) for s in shots] == list(range(87))
    assert shots[0].frame.shape == (480, 640, 3) and shots[0].frame.dtype == np.uint8 and shots[0].frame.flags.c_contiguous
    assert shots[0].name == "small_face_480p_000001.png" and clip.note == "" and not clip.live and not clip.still
    clip.close()


def test_both_readers_see_the_same_colors(shared: Callable[[str], Path]) -> None:
    pytest.importorskip("av")
    path = shared("video/woman_720p.mp4")  # tagged BT.709
    a, b = (next(iter(reader(path))).frame.astype(int) for reader in (PyAvClip, OpenCvClip))
    assert np.abs(a - b).mean() < 4 and np.abs((a - b).mean((0, 1))).max() < 4


def test_a_clip_that_is_turned_in_its_file_comes_upright(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90)  # to be shown a quarter turned counterclockwise
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(halves(48, 64), "bgr24")))
        out.mux(stream.encode(None))
    for reader in (PyAvClip, OpenCvClip):
        frame = next(iter(reader(path))).frame
        assert frame.shape == (64, 48, 3)
        assert frame[60, 24, 2] > 150 and frame[4, 24, 2] < 90, reader  # the left is now below


def test_a_clip_that_ends_before_it_says_how_it_is_coded_is_no_video(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with PyAvVideo(tmp_path / "a.mp4", 10, None) as video:
        for i in range(8):
            video.write(halves(96, 128), i / 10, "")
    whole = (tmp_path / "a.mp4").read_bytes()
    for size in range(0, 1500, 20):  # PyAV before 18.1 crashed at some of these
        (tmp_path / "cut.mp4").write_bytes(whole[:size])
        with suppress(ReagingError):
            PyAvClip(tmp_path / "cut.mp4").close()


def test_a_truncated_clip_gives_what_it_has_and_says_so(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    av = pytest.importorskip("av")
    whole, faststart = shared("video/man_480p.mp4"), tmp_path / "whole.mp4"
    with av.open(str(whole)) as source, av.open(str(faststart), "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(faststart.read_bytes()[: faststart.stat().st_size // 2])
    for reader in (PyAvClip, OpenCvClip):
        clip = reader(cut)
        count = len(list(clip))
        assert 10 < count < 140
        assert f"ends after {count} of 150" in clip.note
    headless = tmp_path / "headless.mp4"  # its index, at the end, is lost
    headless.write_bytes(whole.read_bytes()[-1000:])
    for reader in (PyAvClip, OpenCvClip):
        with pytest.raises(ReagingError, match="no readable video"):
            reader(headless)


def test_bad_sources_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no picture\n" * 100)
    (tmp_path / "nothing").mkdir()
    cases = {
        "none.mp4": "there is no source",
        "none.png": "cannot read",
        "empty.mp4": "it is empty",
        "text.mp4": "no readable video",
        "empty.png": "is empty",
        "text.jpg": "no picture",
        "nothing": "holds no picture",
    }
    for name, says in cases.items():
        with pytest.raises(ReagingError, match=says) as caught:
            open_source(str(tmp_path / name))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["camera:63", "camera:front"])
def test_a_camera_that_is_not_there(name: str) -> None:
    with pytest.raises(ReagingError, match=r"camera 63 is not there|no cameras are named front"):
        open_source(name)


def test_photos_of_every_sort_become_bgr(tmp_path: Path) -> None:
    picture = halves()
    deep = picture.astype(np.uint16) * 257
    alpha = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    alpha[:20, :, 3] = 0
    for name, data in {
        "a.png": picture,
        "deep.png": deep,
        "alpha.png": alpha,
        "deep.tif": deep,
        "alpha.webp": alpha,
        "b.bmp": picture,
    }.items():
        cv2.imwrite(str(tmp_path / name), data)
        frame = read_photo(tmp_path / name)
        assert frame.shape == (40, 60, 3) and frame.dtype == np.uint8, name
        assert np.abs(frame[30, 10].astype(int) - RED).max() <= 6 and np.abs(frame[30, 50].astype(int) - 40).max() <= 6, name
        assert "alpha" not in name or frame[5].min() >= 250, name  # what is transparent is white
    cv2.imwrite(str(tmp_path / "gray.png"), picture[..., 2])
    assert (read_photo(tmp_path / "gray.png")[30, 10] == 200).all()
    cv2.imwrite(str(tmp_path / "one.png"), picture[:1, :1])
    assert read_photo(tmp_path / "one.png").shape == (1, 1, 3)


def test_a_photo_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    upright = image.fromarray(halves()[..., ::-1])
    exif = upright.getexif()
    exif[0x0112] = 6  # to be shown a quarter turned clockwise
    upright.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    frame = read_photo(tmp_path / "turned.jpg")
    assert frame.shape == (60, 40, 3)
    assert frame[5, 20, 2] > 150 and frame[55, 20, 2] < 90  # the left is now above


def test_a_folder_gives_its_pictures_by_name_and_names_the_bad_ones(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), halves())
    (tmp_path / "c.png").write_text("no picture")
    (tmp_path / "notes.txt").write_text("not looked at")
    source = open_source(str(tmp_path))
    assert [s.name for s in source] == ["a.jpg", "b.png"]
    assert source.still and source.total == 3 and "1 of 3" in source.note and "c.png" in source.note


def test_without_pyav_opencv_reads_clips(shared: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert isinstance(open_source(str(shared("video/man_480p.mp4"))), OpenCvClip)


def test_names_with_spaces_and_other_letters(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    clip, photo = tmp_path / "ein Gesicht – 脸.mp4", tmp_path / "ein Gesicht – 脸.png"
    shutil.copy(shared("video/man_480p.mp4"), clip)
    cv2.imencode(".png", halves())[1].tofile(photo)
    assert next(iter(open_source(str(clip)))).name.startswith("ein Gesicht – 脸")
    assert next(iter(open_source(str(photo)))).frame.shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("name", "live"),
    [("camera", True), ("camera:0", True), ("RTSP://host/1", True), ("http://host/a.mp4", True), ("demo", False), ("camera.mp4", False)],
)
def test_a_name_says_whether_frames_come_by_themselves(name: str, live: bool) -> None:
    assert is_live(name) == live
