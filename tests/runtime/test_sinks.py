"""Where frames go: videos with their sound, pictures, folders; and that nothing half written stays."""

import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from reaging.errors import ReagingError
from reaging.runtime.sinks import open_sink
from reaging.runtime.sinks.several import Several
from reaging.runtime.sinks.synthetic import SOURCE_TYPE
from reaging.runtime.sinks.video import OpenCvVideo, PyAvVideo
from reaging.runtime.sources import open_source
from reaging.runtime.sources.photo import read_photo


def picture(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A frame whose brightness says which one it is."""
    return np.full((height, width, 3), 20 + 10 * number, np.uint8)


@pytest.mark.parametrize("writer", [PyAvVideo, OpenCvVideo])
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_a_video_has_every_frame_in_order(tmp_path: Path, writer: type, size: tuple[int, int]) -> None:
    if writer is PyAvVideo:
        pytest.importorskip("av")
    path = tmp_path / "out.mp4"
    with writer(path, 10.0, None) as sink:
        for number in range(12):
            sink.write(picture(number, *size), number / 10, "")
        assert not path.exists()  # it appears whole
    source = open_source(str(path))
    shots = list(source)
    assert source.fps == pytest.approx(10) and [round(s.time * 10) for s in shots] == list(range(12))
    assert shots[0].frame.shape == (48, 64, 3)
    levels = [s.frame[24, 30].mean() for s in shots]
    assert levels == pytest.approx([20 + 10 * n for n in range(12)], abs=2.5)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_a_video_starts_with_its_index_and_is_h264(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "out.mp4"
    with open_sink(str(path), 10.0) as sink:
        sink.write(picture(0), 0, "")
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as clip:
        assert clip.streams.video[0].codec_context.name == "h264" and clip.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("av")
    times = [0.0, 0.03, 0.5, 0.52, 2.0]
    with open_sink(str(tmp_path / "out.mp4"), 30.0) as sink:
        for number, time in enumerate(times):
            sink.write(picture(number), time, "")
    assert [s.time for s in open_source(str(tmp_path / "out.mp4"))] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize("writer", [PyAvVideo, OpenCvVideo])
def test_an_error_leaves_nothing_and_an_old_file_alone(tmp_path: Path, writer: type) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="broken"), writer(path, 10.0, None) as sink:
        sink.write(picture(0), 0, "")
        raise RuntimeError("broken")
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ReagingError, match="no frame"), writer(path, 10.0, None):
        pass
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def clip_with_sound(path: Path, codec: str = "aac", seconds: float = 2.0) -> Path:
    """A clip of gray frames with a tone."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as out:
        video, sound = out.add_stream("mpeg4", rate=10), out.add_stream(codec, rate=48000, layout="mono")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        tone = np.sin(np.arange(int(48000 * seconds)) * 0.05)
        samples = tone.astype(np.float32)[None] if codec == "aac" else (tone * 9000).astype(np.int16)[None]
        for number in range(int(10 * seconds)):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture(number % 20), "bgr24")))
            for start in range(number * 4800, (number + 1) * 4800, 960):
                frame = av.AudioFrame.from_ndarray(samples[:, start : start + 960], "fltp" if codec == "aac" else "s16", "mono")
                frame.sample_rate, frame.pts = 48000, start
                out.mux(sound.encode(frame))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    return path


def sound_seconds(path: Path) -> float:
    av = pytest.importorskip("av")
    with av.open(str(path)) as clip:
        return sum(f.samples / f.sample_rate for f in clip.decode(audio=0)) if clip.streams.audio else 0.0


def test_the_sound_is_copied_as_far_as_the_frames_go(tmp_path: Path) -> None:
    origin = clip_with_sound(tmp_path / "in.mp4")
    assert sound_seconds(origin) == pytest.approx(2, abs=0.1)
    for frames, seconds in ((20, 2.0), (8, 0.8)):
        path = tmp_path / "out.mp4"
        with open_sink(str(path), 10.0, audio_from=origin) as sink:
            for number in range(frames):
                sink.write(picture(number), number / 10, "")
        assert sink.note == "" and sound_seconds(path) == pytest.approx(seconds, abs=0.1)
        assert len(list(open_source(str(path)))) == frames


def test_sound_that_is_left_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = clip_with_sound(tmp_path / "in.mov", "pcm_s16le")
    with open_sink(str(tmp_path / "out.mp4"), 10.0, audio_from=origin) as sink:
        sink.write(picture(0), 0, "")
    assert "pcm_s16le" in sink.note
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "av", None)
    with open_sink(str(tmp_path / "out.mp4"), 10.0, audio_from=origin) as sink:
        sink.write(picture(0), 0, "")
    assert "sound was left out" in sink.note and "ffmpeg" in sink.note


def test_ffmpeg_adds_the_sound_where_pyav_is_missing(tmp_path: Path) -> None:
    import shutil

    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    with OpenCvVideo(tmp_path / "out.mp4", 10.0, clip_with_sound(tmp_path / "in.mp4")) as sink:
        for number in range(20):
            sink.write(picture(number), number / 10, "")
    assert "sound copied" in sink.note and sound_seconds(tmp_path / "out.mp4") == pytest.approx(2, abs=0.15)


def test_a_picture_takes_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    with open_sink(str(path)) as sink:
        sink.write(picture(3), 0, "any")
        with pytest.raises(ReagingError, match="takes one picture"):
            sink.write(picture(4), 0, "any")
    assert (read_photo(path) == picture(3)).all()


def test_a_folder_keeps_names(tmp_path: Path) -> None:
    with open_sink(str(tmp_path)) as sink:
        for name in ("a.jpg", "b.png", "c.gif", "clip_000001.png", "dots.in.name_000001.png"):
            sink.write(picture(3), 0, name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "b.png", "c.png", "clip_000001.png", "dots.in.name_000001.png"]
    assert (read_photo(tmp_path / "b.png") == picture(3)).all()


def test_bad_targets_are_refused_before_any_frame(tmp_path: Path) -> None:
    for name, says in {
        "no/out.mp4": "existing folder",
        "no/out.png": "existing folder",
        "folder": "cannot write to",
        "out.xyz": "cannot write to",
    }.items():
        with pytest.raises(ReagingError, match=says):
            open_sink(str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_no_display_is_an_error_and_not_an_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux can be without a display")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(ReagingError, match="no display"):
        open_sink("window")
    monkeypatch.setenv("DISPLAY", ":4711")  # set, but nobody is there
    with pytest.raises(ReagingError, match="cannot open a window"):
        open_sink("window")


FULL = """
import resource, signal, sys
import numpy as np
from reaging.errors import ReagingError
from reaging.runtime.sinks import open_sink
from reaging.runtime.sinks.several import Several
from reaging.runtime.sinks.synthetic import SOURCE_TYPE
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # as a full disk: writing ends in an error
try:
    with open_sink(sys.argv[1], 10.0) as sink:
        for number in range(20):
            sink.write(np.roll(noise, number * 7, 1), number / 10, f"{number}.png")
except ReagingError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("name", ["out.mp4", "out.png", "."])
def test_a_full_disk_is_one_line_and_no_half_file(tmp_path: Path, name: str) -> None:
    pytest.importorskip("resource")
    pytest.importorskip("av")
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / name)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stdout and done.stdout.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_slow_camera_keeps_its_speed_without_pyav(tmp_path: Path) -> None:
    times = [100.0, 100.5, 100.6, 100.62, 101.5]  # its clock began long before
    with OpenCvVideo(tmp_path / "out.mp4", 10.0, None) as sink:
        for number, moment in enumerate(times):
            sink.write(picture(number), moment, "")
    levels = [round((s.frame[24, 30].mean() - 20) / 10) for s in open_source(str(tmp_path / "out.mp4"))]
    assert len(levels) == 16 and levels[0] == 0 and levels[5] == 1 and levels[6] == 2 and levels[-1] == 4


def test_a_cameras_clock_does_not_delay_the_video(tmp_path: Path) -> None:
    pytest.importorskip("av")
    with open_sink(str(tmp_path / "out.mp4"), 30.0) as sink:
        for number, moment in enumerate((300.0, 300.25, 301.0)):
            sink.write(picture(number), moment, "")
    assert [s.time for s in open_source(str(tmp_path / "out.mp4"))] == pytest.approx([0, 0.25, 1.0], abs=1e-3)


RECORD = """
import sys, time
import numpy as np
from reaging.runtime.sinks import open_sink
noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
start = time.monotonic()
with open_sink(sys.argv[1], 20.0) as sink:
    while True:
        now = time.monotonic() - start
        sink.write(np.roll(noise, int(now * 40), 1), now, "")
        print(now, flush=True)
        time.sleep(0.05)
"""


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_killed_while_recording_it_plays_up_to_the_last_second(tmp_path: Path, name: str) -> None:
    pytest.importorskip("av")
    child = subprocess.Popen([sys.executable, "-c", RECORD, str(tmp_path / name)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    written = first = float(child.stdout.readline())  # a video's times count from its first frame
    while written < 4:
        written = float(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    written = float((child.communicate()[0].split() or [written])[-1])
    (left,) = tmp_path.iterdir()  # not under its own name, which is for what is whole
    assert left.name.startswith("out.recording-") and left.suffix == Path(name).suffix
    shots = list(open_source(str(left)))
    assert shots[-1].time > written - first - 1 and len(shots) > 40


def test_several_sinks_get_every_frame_and_end_together(tmp_path: Path) -> None:
    class Closing:
        closed, note, seen = False, "said", 0

        def write(self, frame: np.ndarray, time: float, name: str) -> None:
            self.seen += 1
            self.closed = self.seen == 3

        def __enter__(self) -> "Closing":
            return self

        def __exit__(self, *error: object) -> None:
            self.ended = True

    (tmp_path / "folder").mkdir()
    closing = Closing()
    both = Several([closing, open_sink(str(tmp_path / "folder")), open_sink(str(tmp_path / "out.mp4"), 10.0)])
    with both as sink:
        for number in range(3):
            assert not sink.closed
            sink.write(picture(number), number / 10, f"{number}.png")
        assert sink.closed
    assert closing.ended and both.note == "said" and len(list(open_source(str(tmp_path / "out.mp4")))) == 3
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["0.png", "1.png", "2.png"]
    with pytest.raises(RuntimeError, match="broken"), Several([closing, open_sink(str(tmp_path / "other.mp4"), 10.0)]) as sink:
        sink.write(picture(0), 0, "")
        raise RuntimeError("broken")
    assert not list(tmp_path.glob("other*"))


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.jpeg"])
def test_a_picture_says_that_it_is_synthetic(tmp_path: Path, name: str) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / name
    with open_sink(str(path)) as sink:
        sink.write(picture(3), 0, "any")
    with image.open(path) as opened:  # another reader than ours finds it, and the picture is the same
        comment = opened.info.get("Comment") or opened.info["comment"].decode()
        xmp = opened.info.get("XML:com.adobe.xmp") or opened.info["xmp"].decode()
        opened.load()
        assert "synthetic" in comment and SOURCE_TYPE in xmp and np.abs(np.asarray(opened).astype(int) - 50).max() <= 1
    assert np.abs(read_photo(path).astype(int) - picture(3)).max() <= 1
    if path.suffix == ".png":  # every chunk's sum is right
        data, at = path.read_bytes(), 8
        while at < len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            assert zlib.crc32(data[at + 4 : at + 8 + length]) == int.from_bytes(data[at + 8 + length : at + 12 + length], "big")
            at += 12 + length


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_a_video_says_that_it_is_synthetic(tmp_path: Path, name: str) -> None:
    av = pytest.importorskip("av")
    with open_sink(str(tmp_path / name), 10.0) as sink:
        sink.write(picture(3), 0, "any")
    with av.open(str(tmp_path / name)) as clip:
        assert "synthetic" in {k.lower(): v for k, v in clip.metadata.items()}["comment"]
        assert len(list(clip.decode(video=0))) == 1
    assert (SOURCE_TYPE.encode() in (tmp_path / name).read_bytes()) == (name != "out.mkv")


def test_a_video_by_opencv_says_it_too(tmp_path: Path) -> None:
    with OpenCvVideo(tmp_path / "out.mp4", 10.0, None) as sink:
        sink.write(picture(3), 0, "any")
    assert SOURCE_TYPE.encode() in (tmp_path / "out.mp4").read_bytes()
    assert len(list(open_source(str(tmp_path / "out.mp4")))) == 1


def test_no_room_for_a_second_copy_leaves_the_fragments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    from reaging.runtime.sinks import video

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(video, "mark_video", full)
    with open_sink(str(tmp_path / "out.mp4"), 10.0) as sink:
        for number in range(5):
            sink.write(picture(number), number / 10, "")
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"] and len(list(open_source(str(tmp_path / "out.mp4")))) == 5
