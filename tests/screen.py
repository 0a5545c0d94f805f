"""A virtual screen with a window manager, and a hand on its keyboard and mouse (Xvfb, openbox, xdotool)."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NEEDED = ("Xvfb", "openbox", "xdotool")


class Screen:
    """Used in a ``with`` statement; ``env`` is what a program needs to be seen on it."""

    def __init__(self, folder: Path, width: int = 1024, height: int = 768):
        missing = [name for name in NEEDED if shutil.which(name) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")
        self.folder = folder
        reading, writing = os.pipe()
        self._programs = [
            subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24", "-fbdir", str(folder)],
                stderr=subprocess.DEVNULL,
                pass_fds=[writing],
            )
        ]
        os.close(writing)
        with os.fdopen(reading) as answer:  # the number of a display that is free
            self.env = {**os.environ, "DISPLAY": f":{answer.readline().strip()}"}
        self._programs.append(subprocess.Popen(["openbox"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        # a window that is there before its manager, as on nobody's desk, may stay blank: Qt misses that it is taken over
        self.until(lambda: int(self.xdotool("get_num_desktops")), "the window manager")

    def picture(self) -> np.ndarray:
        """What is to be seen: Xvfb's frame buffer is an XWD file; BGR [H, W, 3]."""
        dump = (self.folder / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", dump[:100])
        size, width, height, stride, colors = header[0], header[4], header[5], header[12], header[19]
        start = size + colors * 12
        return np.frombuffer(dump[start : start + stride * height], np.uint8).reshape(height, stride // 4, 4)[:, :width, :3]

    def xdotool(self, *words: object) -> str:
        """Its output."""
        done = subprocess.run(["xdotool", *map(str, words)], env=self.env, capture_output=True, text=True, timeout=20)
        return done.stdout.strip()

    def window(self, title: str, process: int) -> str:
        """Waits for a process's window and gives it the keyboard."""
        search = ("search", "--all", "--onlyvisible", "--pid", process, "--name", title)
        found = self.until(lambda: self.xdotool(*search).splitlines(), f"a window {title}")
        self.xdotool("windowactivate", "--sync", found[-1])
        return str(found[-1])

    def size(self, window: str) -> tuple[int, int]:
        """Width, height of a window without its frame."""
        words = dict(line.split("=") for line in self.xdotool("getwindowgeometry", "--shell", window).splitlines())
        return int(words["WIDTH"]), int(words["HEIGHT"])

    def move(self, window: str, x: float, y: float) -> None:
        """The mouse to a place in the window's pixels; the title bar is above 0."""
        self.xdotool("mousemove", "--window", window, "--", round(x), round(y))
        time.sleep(0.1)

    def click(self, window: str, x: float, y: float) -> None:
        self.move(window, x, y)
        self.xdotool("click", 1)

    def drag(self, window: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.move(window, *start)
        self.xdotool("mousedown", 1)
        self.move(window, (start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        self.move(window, *end)
        self.xdotool("mouseup", 1)

    @staticmethod
    def until(look: Callable[[], object], what: str, seconds: float = 30.0) -> Any:
        """The first thing that ``look`` returns which is true; fails where nothing is in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            seen = look()
            if seen:
                return seen
            time.sleep(0.1)
        raise AssertionError(f"waited {seconds:g} s in vain for {what}")

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *error: object) -> None:
        for program in reversed(self._programs):
            program.terminate()
            program.wait(10)
