"""What the keys `r` and `p` save: recordings and pictures, as the filter makes them, without what the window draws over them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType

from ...errors import ReagingError
from ...files import whole_file
from ..background import Background
from ..controls import Controls
from ..sources.base import Frame, Shot
from .picture import encode
from .video import open_video

START = "reaging-%Y%m%d-%H%M%S"


class Keep:
    """A sink that saves into ``folder`` while the controls ask for it; encoding has its own thread, and never delays the loop.

    What cannot be saved is said in the window; the filter goes on.
    """

    closed = False
    note = ""

    def __init__(self, controls: Controls, folder: Path, fps: float):
        self._controls, self._folder, self._fps = controls, folder, fps
        self._recording: _Recording | None = None

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Takes the frame where a picture or a recording wants it."""
        if self._controls.picture_wanted:
            self._controls.picture_wanted = False
            self._try(lambda: self._picture(frame))
        if self._controls.recording and self._recording is None:
            self._try(self._begin)
        recording = self._recording
        if recording is not None and not self._controls.recording:
            self._end()
        elif recording is not None and not self._try(lambda: recording.write(Shot(frame, time, name))):
            self._recording = None

    def _try(self, save: Callable[[], None]) -> bool:
        try:
            save()
        except ReagingError as error:
            self._controls.recording = False
            self._controls.say(str(error))
            self.note = str(error)
            return False
        return True

    def _picture(self, frame: Frame) -> None:
        path = self._free(".png")
        with whole_file(path) as part:
            part.write_bytes(encode(frame, path.suffix))
        self._controls.say(f"saved {path.name}")

    def _begin(self) -> None:
        path = self._free(".mp4")
        self._recording = _Recording(path, self._fps)
        self._controls.say(f"recording {path.name}")

    def _end(self) -> None:
        recording, self._recording = self._recording, None
        if recording is not None and self._try(recording.end):
            self._controls.say(f"saved {recording.path.name}")

    def _free(self, suffix: str) -> Path:
        """A name with the time of day that no file has."""
        stem = datetime.now().strftime(START)
        path, number = self._folder / f"{stem}{suffix}", 1
        while path.exists():
            number += 1
            path = self._folder / f"{stem}-{number}{suffix}"
        return path

    def __enter__(self) -> Keep:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()  # whole even where something else ended the program


class _Recording:
    """A video file and the thread that encodes it."""

    def __init__(self, path: Path, fps: float):
        video = open_video(path, fps, None)
        self.path, self._video = path, video
        self._worker: Background[Shot] = Background(lambda shot: video.write(*shot))  # not self: a cycle would keep the encoder's memory
        self._worker.__enter__()

    def write(self, shot: Shot) -> None:
        """Hands a frame to the encoder; ReagingError where it failed at an earlier one."""
        try:
            self._worker.submit(shot)
        except (OSError, ReagingError) as error:
            with self._video:  # whose exit removes the file and says it in one line
                raise error

    def end(self) -> None:
        """Makes the file whole."""
        self._worker.__exit__(None, None, None)
        self._video.__exit__(None, None, None)
