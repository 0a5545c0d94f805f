"""A camera played by a child process: the bundled clip, looped, as MJPEG over HTTP."""

from __future__ import annotations

import socket
import subprocess
import sys
from types import TracebackType

import cv2

PLAY = """
import itertools, sys, time
from reaging.runtime.sinks.web import Web
from reaging.runtime.sources import open_source
frames = [shot.frame for shot in open_source("demo")]
with Web("127.0.0.1", int(sys.argv[1])) as web:
    print("playing", flush=True)
    for frame in itertools.cycle(frames + frames[::-1]):
        web.write(frame, 0, "")
        time.sleep(1 / 20)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Playing:
    """Plays on ``port`` in a ``with`` statement; ``unplug`` kills it, ``plug`` starts it again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/stream"
        self.plug()

    def plug(self) -> None:
        self._child = subprocess.Popen([sys.executable, "-c", PLAY, str(self.port)], stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None and self._child.stdout.readline() == "playing\n"

    def unplug(self) -> None:
        self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def __enter__(self) -> Playing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.unplug()


class FakeCamera:
    """Stands in for cv2.VideoCapture: frames of the size that was asked for, at most ``largest``, until ``gone``."""

    gone = False
    largest = (640, 480)
    opened: tuple[object, ...] = ()

    def __init__(self, *which: object):
        type(self).opened = which
        self.asked: dict[int, float] = {}

    def isOpened(self) -> bool:
        return not self.gone

    def set(self, what: int, value: float) -> bool:
        self.asked[what] = value
        return True

    def get(self, what: int) -> float:
        return 0.0

    def read(self) -> tuple[bool, object]:
        import numpy as np

        width = min(self.largest[0], int(self.asked.get(cv2.CAP_PROP_FRAME_WIDTH, 320)))
        height = min(self.largest[1], int(self.asked.get(cv2.CAP_PROP_FRAME_HEIGHT, 240)))
        return (False, None) if self.gone else (True, np.full((height, width, 3), 99, np.uint8))

    def release(self) -> None:
        pass
