"""Sources that never end: streams played by a child process, cameras by number and name, and what happens when they go away."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from playing import FakeCamera, Playing, free_port

from reaging.errors import ReagingError
from reaging.runtime.bundled import DEMO, bundled
from reaging.runtime.cli import main
from reaging.runtime.sources import open_source
from reaging.runtime.sources.base import Shot
from reaging.runtime.sources.camera import MJPG, find_camera, list_cameras

WAIT_S = 30.0


def until(shots: Iterator[Shot], what: object) -> list[Shot]:
    """Shots until ``what()`` is true."""
    seen, deadline = [], time.monotonic() + WAIT_S
    for shot in shots:
        seen.append(shot)
        if what():
            return seen
        assert time.monotonic() < deadline, "in vain"
    raise AssertionError("it ended")


def test_a_stream_that_goes_away_is_waited_for_and_comes_back() -> None:
    said: list[str] = []
    with Playing() as camera:
        source = open_source(camera.url, say=said.append)
        assert source.live and not source.still and source.total is None and source.size == (480, 360)
        shots = iter(source)
        first = [next(shots) for _ in range(15)]
        assert len({shot.frame.tobytes() for shot in first}) > 5 and source.note == ""
        camera.unplug()
        until(shots, lambda: source.note)
        assert "gone: waiting" in source.note and said == [source.note] and camera.url in source.note
        a, b = next(shots), next(shots)
        assert np.array_equal(a.frame, b.frame) and b.time > a.time  # the window and the other sinks live on
        camera.plug()
        waited = until(shots, lambda: not source.note)
        after = [next(shots) for _ in range(15)]
        assert said[1:] == [f"{camera.url} is back"] and len({shot.frame.tobytes() for shot in after}) > 5
        times = [shot.time for shot in [*first, a, b, *waited, *after]]
        assert times == sorted(times)  # never out of order
        assert 5 < source.fps < 40  # measured
        source.close()
        assert list(shots) == []


def test_closing_ends_the_waiting() -> None:
    with Playing() as camera:
        source = open_source(camera.url)
        shots = iter(source)
        next(shots)
        camera.unplug()
        until(shots, lambda: source.note)
        source.close()
        assert len(list(shots)) <= 1


def test_a_stream_that_is_not_there_is_one_line_without_its_password() -> None:
    with pytest.raises(ReagingError, match="gives no video") as caught:
        open_source(f"http://me:secret@127.0.0.1:{free_port()}/stream")
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_stream_changes_nothing_for_the_files_after_it() -> None:
    with pytest.raises(ReagingError, match="gives no video"):
        open_source(f"rtsp://127.0.0.1:{free_port()}/")
    assert cv2.VideoCapture(str(bundled(DEMO))).read()[0]


def test_a_stream_from_ffmpeg() -> None:
    """Another sender than ours: MPEG-TS over UDP, opened with as little buffering as there can be."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("not installed: ffmpeg")
    url = f"udp://127.0.0.1:{free_port()}"
    play = [
        ffmpeg,
        "-v",
        "error",
        "-re",
        "-stream_loop",
        "-1",
        "-i",
        str(bundled(DEMO)),
        "-c:v",
        "mpeg2video",
        "-g",
        "6",
        "-f",
        "mpegts",
        url,
    ]
    child = subprocess.Popen(play)
    try:
        source = open_source(url)
        frames = [shot.frame for shot, _ in zip(source, range(20), strict=False)]
        assert source.size == (480, 360) and len({frame.tobytes() for frame in frames}) > 10
        source.close()
    finally:
        child.kill()
        child.wait()


def test_the_filter_on_a_stream(tinting: Path, tmp_path: Path) -> None:
    """The whole program, twice at the same time on the same camera; no face is needed for it."""
    with Playing() as camera:
        fixed = ["--source", camera.url, "--model", tinting, "--device", "cpu", "--threads", "1", "--max-frames", "30"]
        call = [sys.executable, "-c", "from reaging.runtime.cli import main; main()", *map(str, fixed)]
        both = [subprocess.Popen([*call, "--sink", tmp_path / f"{n}.mp4"], stderr=subprocess.PIPE, text=True) for n in (1, 2)]
        for number, child in enumerate(both, 1):
            errors = child.communicate(timeout=60)[1]
            assert child.returncode == 0, errors
            shots = list(open_source(str(tmp_path / f"{number}.mp4")))
            assert len(shots) == 30 and shots[0].time == 0
            assert 1.15 < shots[-1].time < 60  # as long as the camera took, 20 frames a second, a few of them queued at its start


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    kind = type("FakeCamera", (FakeCamera,), {})
    monkeypatch.setattr(cv2, "VideoCapture", kind)
    return kind


def test_a_camera_is_asked_for_mjpg_and_a_size_and_says_what_it_gives(fake: type[FakeCamera]) -> None:
    said: list[str] = []
    source = open_source("camera:3", size=(1280, 720), say=said.append)
    assert fake.opened == (3,) and source.size == (640, 480) and said == ["camera 3 gives 640x480 in place of 1280x720"]
    asked = source._capture.asked
    assert asked[cv2.CAP_PROP_FOURCC] == MJPG and asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280 and asked[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert open_source("camera:3", say=said.append).size == (640, 480) and len(said) == 1


def test_a_camera_that_is_unplugged_is_waited_for(fake: type[FakeCamera]) -> None:
    said: list[str] = []
    source = open_source("camera", say=said.append)
    shots = iter(source)
    assert next(shots).name == "camera_000001.png"
    fake.gone = True
    next(shots)
    assert source.note == "camera 0 is gone: waiting for it"
    fake.gone = False
    until(shots, lambda: not source.note)
    assert said == ["camera 0 is gone: waiting for it", "camera 0 is back"]
    source.close()


def devices(folder: Path, **cameras: tuple[str, str]) -> Path:
    """What Linux says of cameras: name and index of each node."""
    for node, (name, index) in cameras.items():
        (folder / node).mkdir(parents=True)
        (folder / node / "name").write_text(name + "\n")
        (folder / node / "index").write_text(index + "\n")
    return folder


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux keeps its cameras in files")
def test_cameras_by_name(tmp_path: Path) -> None:
    nodes = devices(
        tmp_path / "v", video0=("Built-in Eye", "0"), video1=("Built-in Eye", "1"), video2=("USB Eye", "0"), video10=("Cam", "0")
    )
    assert list_cameras(nodes) == [(0, "Built-in Eye"), (2, "USB Eye"), (10, "Cam")]
    assert find_camera("usb", nodes) == 2 and find_camera("cam", nodes) == 10 and find_camera("7", nodes) == 7
    with pytest.raises(ReagingError, match=r"2 cameras are named eye.*0 Built-in Eye, 2 USB Eye, 10 Cam"):
        find_camera("eye", nodes)
    with pytest.raises(ReagingError, match="no cameras are named front"):
        find_camera("front", nodes)


def test_list_cameras_and_size_as_options(monkeypatch: pytest.MonkeyPatch) -> None:
    from reaging.runtime.sources import camera

    monkeypatch.setattr(camera, "list_cameras", lambda: [(0, "Built-in Eye"), (2, "USB Eye")])
    done = CliRunner().invoke(main, ["--list-cameras"])
    assert done.exit_code == 0 and done.stdout == "0  Built-in Eye\n2  USB Eye\n"
    monkeypatch.setattr(camera, "list_cameras", lambda: [])
    done = CliRunner().invoke(main, ["--list-cameras"])
    assert done.exit_code == 0 and "no camera" in done.stderr
    for size in ("big", "640", "0x0", "640x480x3", "1e3x5"):
        done = CliRunner().invoke(main, ["--size", size])
        assert done.exit_code == 2 and "1280x720" in done.stderr, size
