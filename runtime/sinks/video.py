"""Video files: H.264 in MP4 through PyAV where it is installed, else MPEG-4 through OpenCV.

Both write beside the file and rename at the end, and both end properly when the user stops them, so what has its name is playable.
While PyAV writes, NAME.recording-PID.mp4 grows beside it in fragments: killed at any moment, it is playable up to the last second.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2

from ...errors import ReagingError
from ...files import whole_file
from ..sources.base import Frame
from ..sources.clip import LOCAL_FILE
from ..yuv import from_bgr, planes
from .base import check_place
from .synthetic import COMMENT, mark_video

SUFFIXES = (".mp4", ".mov", ".mkv")
TICKS = 90_000  # a second in the time base of MPEG
WORTH_KEEPING = 1.0  # seconds
ENCODERS = ("libx264", "libopenh264", "mpeg4")  # the first that this PyAV has
BT709, LIMITED = 1, 1  # FFmpeg's numbers for HD's color matrix and for 16..235
IN_MP4 = ("aac", "mp3", "ac3", "eac3", "flac", "opus", "alac")  # sound that is copied as it is


def even(frame: Frame) -> Frame:
    """yuv420p needs even sides: the last column or row is repeated where they are odd."""
    height, width = frame.shape[:2]
    return cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE) if height % 2 or width % 2 else frame


FRAGMENTS = {  # what is on the disk plays: every quarter of a second is whole for itself and handed to the system at once
    "movflags": "+frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "250000",
}
CLUSTERS = {"cluster_time_limit": "200"}  # the same in Matroska
AT_ONCE = {"flush_packets": "1", "max_interleave_delta": "500000"}
X264 = {"crf": "18", "preset": "veryfast", "tune": "zerolatency"}  # nothing waits in the encoder, to be lost with it


class PyAvVideo:
    """H.264 with the source's own frame times, and its sound.

    With sound the times are the sound's; without, they count from the first frame, since a camera's clock started earlier.
    """

    closed = False

    def __init__(self, path: Path, fps: float, audio_from: Path | None):
        import av

        self._av, self._fps, self._last = av, fps, -1
        self.note = ""
        self._video: Any = None
        self._zero: float | None = None if audio_from is None else 0.0
        self._sound: _Sound | None = None
        self._audio_from = audio_from
        check_place(path)
        self._path, self._growing = path, path.with_name(f"{path.stem}.recording-{os.getpid()}{path.suffix}")
        self._keep_growing = False
        with ExitStack() as stack:
            stack.callback(self._drop_growing)  # last, once the file has its name: at any moment a kill leaves one of the two
            self._part = stack.enter_context(whole_file(path))
            self._container = av.open(
                f"file:{self._growing}", "w", options=AT_ONCE | (CLUSTERS if path.suffix.lower() == ".mkv" else FRAGMENTS)
            )
            self._container.metadata["comment"] = COMMENT
            self._stack = stack.pop_all()

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Encodes a frame; its time must lie after the last one's."""
        frame = even(frame)
        if self._zero is None:
            self._zero = time
        if self._video is None:
            self._start(frame)
        picture = self._av.VideoFrame(frame.shape[1], frame.shape[0], "yuv420p")
        for plane, values in zip(planes(picture), from_bgr(frame), strict=True):
            plane[:] = values
        self._last = max(self._last + 1, round((time - self._zero) * TICKS))
        picture.pts, picture.time_base = self._last, Fraction(1, TICKS)
        self._container.mux(self._video.encode(picture))
        if self._sound:
            self._sound.copy_until(self._last / TICKS)

    def _start(self, frame: Frame) -> None:
        encoder = next(name for name in ENCODERS if name in self._av.codecs_available)
        stream: Any = self._container.add_stream(encoder, rate=Fraction(self._fps).limit_denominator(1001))
        stream.height, stream.width = frame.shape[:2]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        context.gop_size = max(1, round(2 * self._fps))
        stream.options = X264 if encoder == "libx264" else {"qscale": "3"}
        self._video = stream
        if self._audio_from:
            self._sound, self.note = _open_sound(self._av, self._audio_from, self._container)

    def _finish(self) -> None:
        if self._video is None:
            raise ReagingError("there was no frame to write", "a source with frames", "check the source")
        self._container.mux(self._video.encode(None))
        if self._sound:
            self._sound.copy_until(self._last / TICKS + 1 / self._fps)
            self._sound.close()
        self._container.close()
        settle(self._growing, self._part)

    def __enter__(self) -> PyAvVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._stack:  # renames at the end, or removes where something below raises
            try:
                if error is not None:
                    raise error
                self._finish()
            except BaseException as failed:
                with suppress(OSError, ValueError):  # FFmpeg's errors; the one that is under way says more
                    self._container.close()
                if isinstance(failed, OSError) and self._last > WORTH_KEEPING * TICKS:
                    raise self._kept(failed) from failed
                raise

    def _kept(self, full: OSError) -> ReagingError:
        """A disk that filled up does not cost what was recorded until then."""
        self._keep_growing = True
        what = f"cannot write {self._path} ({full.strerror or full})"
        return ReagingError(what, "free space", f"{self._last / TICKS:.0f} s are kept in {self._growing.name}; free space for the rest")

    def _drop_growing(self) -> None:
        if not self._keep_growing:
            self._growing.unlink(missing_ok=True)


def settle(growing: Path, part: Path) -> None:
    """Writes a file of fragments again as one that starts with its index, as players on the web want.

    Where that fails, for want of room or because a codec asks for more, the fragments stay as they are: they play too.
    """
    import av

    if growing.suffix.lower() != ".mkv":
        try:
            with av.open(f"file:{growing}") as source, av.open(f"file:{part}", "w", options={"movflags": "+faststart"}) as out:
                out.metadata.update(source.metadata)
                streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
                for packet in source.demux():
                    if packet.dts is not None:
                        packet.stream = streams[packet.stream.index]
                        out.mux(packet)
            mark_video(part)
            return
        except (OSError, ValueError):  # no room for a second copy, for one
            part.unlink(missing_ok=True)
    try:
        part.hardlink_to(growing)  # under both names: killed before the last renaming, one that can be seen is left
    except OSError:  # a file system without them
        growing.replace(part)


class _Sound:
    """The sound of a file, copied packet by packet as the frames reach its time."""

    def __init__(self, container: Any, stream: Any, output: Any, output_stream: Any):
        self._container, self._output, self._stream = container, output, output_stream
        self._packets = (p for p in container.demux(stream) if p.pts is not None)
        self._next = next(self._packets, None)

    def copy_until(self, seconds: float) -> None:
        while self._next is not None and float(self._next.pts * self._next.time_base) < seconds:
            self._next.stream = self._stream
            self._output.mux(self._next)
            self._next = next(self._packets, None)

    def close(self) -> None:
        self._container.close()


def _open_sound(av: Any, path: Path, output: Any) -> tuple[_Sound | None, str]:
    """The sound of ``path``, ready to be copied, and a line for the user where it has sound that cannot be."""
    container = av.open(f"file:{path}", options=LOCAL_FILE)
    stream = next(iter(container.streams.audio), None)
    if stream is None:
        container.close()
        return None, ""
    codec = "what no codec is known for" if stream.codec_context is None else stream.codec_context.name
    if codec not in IN_MP4:
        container.close()
        return None, f"the sound was left out: {codec} cannot be copied into this file"
    return _Sound(container, stream, output, output.add_stream_from_template(stream)), ""


class OpenCvVideo:
    """MPEG-4 part 2 at a constant rate, to which frames are repeated or left out; the sound is added by ffmpeg where that is installed."""

    closed = False

    def __init__(self, path: Path, fps: float, audio_from: Path | None):
        self._fps, self._audio_from = fps, audio_from
        self._writer: cv2.VideoWriter | None = None
        self._zero, self._written = 0.0, 0
        self.note = "written as MPEG-4 part 2: for H.264 pip install 'reaging[video]'"
        check_place(path)
        self._stack = ExitStack()
        self._part = self._stack.enter_context(whole_file(path))

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Encodes the frame as often as its time asks for: a slow camera's twice, a fast one's perhaps not at all."""
        frame = even(frame)
        if self._writer is None:
            self._zero = time
            size = (frame.shape[1], frame.shape[0])
            self._writer = cv2.VideoWriter(str(self._part), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, size)
            if not self._writer.isOpened():
                raise ReagingError("OpenCV cannot write this video", "an encoder for mp4v", "pip install 'reaging[video]'")
        for _ in range(round((time - self._zero) * self._fps) + 1 - self._written):
            self._writer.write(frame)
            self._written += 1

    def _finish(self) -> None:
        if self._writer is None:
            raise ReagingError("there was no frame to write", "a source with frames", "check the source")
        self._writer.release()
        if self._audio_from:
            self.note += "; " + add_sound(self._part, self._audio_from)
        mark_video(self._part)

    def __enter__(self) -> OpenCvVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._stack:
            if error is None:
                self._finish()
                return
            if self._writer is not None:
                self._writer.release()
            raise error


def add_sound(video: Path, audio_from: Path) -> str:
    """Adds the sound of another file with ffmpeg, in place; says in a few words what became of it."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return "any sound was left out: install PyAV (pip install 'reaging[video]') or ffmpeg"
    joined = video.with_name(f"{video.stem}.sound{video.suffix}")
    inputs = [ffmpeg, "-v", "error", "-y", "-i", str(video), "-i", str(audio_from)]
    done = subprocess.run([*inputs, "-map", "0:v", "-map", "1:a?", "-c", "copy", "-shortest", str(joined)], capture_output=True)
    if done.returncode:
        joined.unlink(missing_ok=True)
        return "the sound was left out: ffmpeg could not copy it"
    joined.replace(video)
    return "sound copied by ffmpeg"


def open_video(path: Path, fps: float, audio_from: Path | None) -> PyAvVideo | OpenCvVideo:
    """Raises ReagingError where the place cannot be written."""
    try:
        import av  # noqa: F401
    except ImportError:
        return OpenCvVideo(path, fps, audio_from)
    return PyAvVideo(path, fps, audio_from)
