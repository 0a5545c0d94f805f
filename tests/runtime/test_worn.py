"""reaging-cam as it is worn: a real window on a virtual screen, driven by keys and mouse, with a camera that a child process plays."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playing import Playing
from screen import Screen

from reaging.runtime.sources import open_source
from reaging.runtime.sources.photo import read_photo

TITLE = "reaging"
STEP_S = 0.4  # between two keys: a person's pace
LEFT = (slice(120, 300), slice(0, 60))  # of the bundled clip: beside the face, below the figures
STARTS = 4  # on a busy machine one window in ten stays blank, also one of three lines of OpenCV (docs/reliability.md)
NUMBERS = itertools.count()


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    folder = tmp_path / "screen"
    folder.mkdir()
    with Screen(folder) as made:
        yield made


class Worn:
    """The program in its window."""

    def __init__(self, screen: Screen, *options: object):
        call = [sys.executable, "-c", "from reaging.runtime.cli import main; main()", "--device", "cpu", "--threads", "1"]
        self.screen = screen
        self._says = screen.folder / f"says-{next(NUMBERS)}.txt"
        with self._says.open("w") as file:
            self.child = subprocess.Popen([*call, *map(str, options)], env=screen.env, stdout=file, stderr=file)
        try:
            self.window = screen.window(TITLE, self.child.pid)
        except AssertionError:
            self.child.kill()
            raise AssertionError(self.says()) from None
        self.width, self.height = screen.size(self.window)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.screen.xdotool("key", key)
            time.sleep(STEP_S)

    def seen(self) -> np.ndarray:
        """The window's pixels, without the slider, as int [H, W, 3]."""
        words = dict(line.split("=") for line in self.screen.xdotool("getmouselocation", "--shell").splitlines())
        self.screen.move(self.window, 0, 0)
        corner = dict(line.split("=") for line in self.screen.xdotool("getmouselocation", "--shell").splitlines())
        self.screen.xdotool("mousemove", words["X"], words["Y"])
        x, y = int(corner["X"]), int(corner["Y"])
        return self.screen.picture()[y : y + self.height - 24, x : x + self.width].astype(int)

    def says(self) -> str:
        """Its words so far."""
        return self._says.read_text()

    def differs(self, before: np.ndarray, by: float = 1.0, where: tuple[slice, slice] = (slice(None), slice(None))) -> Callable[[], bool]:
        """Whether the picture, on average, is another than before."""
        return lambda: bool(np.abs(self.seen()[where] - before[where]).mean() > by)

    def is_painted(self) -> bool:
        """Waits for more than plain areas within the window."""
        try:
            return bool(Screen.until(lambda: len(np.unique(self.seen()[::4, ::4].reshape(-1, 3), axis=0)) > 50, "a picture", 10.0))
        except AssertionError:
            return False

    def end_now(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def end(self) -> str:
        """Waits until the program has ended properly; its words."""
        assert self.child.wait(30) == 0 and "Traceback" not in self.says(), self.says()
        return self.says()


@pytest.fixture
def wear(screen: Screen, tinting: Path) -> Iterator[Callable[..., Worn]]:
    """Starts the program, with a generator that is quick."""
    worn: list[Worn] = []

    def put_on(*options: object) -> Worn:
        for _ in range(STARTS):
            worn.append(Worn(screen, "--model", tinting, *options))
            if worn[-1].is_painted():
                break
            worn[-1].end_now()
        return worn[-1]

    yield put_on
    for each in worn:
        each.end_now()


def test_keys_slider_click_and_close_button(screen: Screen, wear: Callable[..., Worn], tmp_path: Path, astronaut: Path) -> None:
    """On a photo, which stands still: whatever changes on the screen was asked for."""
    worn = wear("--source", astronaut, "--save-to", tmp_path, "--age", 75)
    worn.keys("h")
    face = (slice(40, 180), slice(180, 270))
    original = read_photo(astronaut)
    photo = original.astype(int)[: len(worn.seen())]
    Screen.until(lambda: np.abs(worn.seen()[300:] - photo[300:]).mean() < 6, "the photo, at its size")
    old = worn.seen()
    worn.keys("1")
    Screen.until(worn.differs(old, 4, face), "the face at 10")
    young = worn.seen()
    assert np.abs(young[300:] - old[300:]).mean() < 1
    worn.keys("space")
    Screen.until(lambda: np.abs(worn.seen()[face] - photo[face]).mean() < 4, "the photo as it is")
    worn.keys("space", "m")
    Screen.until(lambda: np.abs(worn.seen()[:, ::-1] - young).mean() < 3, "the picture in the mirror")
    worn.keys("m", "question")
    Screen.until(worn.differs(young, 8), "the list of keys")
    worn.keys("question", "s")
    screen.drag(worn.window, (worn.width / 2, 300), (worn.width - 40, 300))
    Screen.until(lambda: np.abs(worn.seen()[face] - photo[face]).mean() < 4, "the photo left of the line")
    worn.keys("s")
    screen.click(worn.window, 224, 120)  # the face
    worn.keys("h", "8")
    Screen.until(worn.differs(young, 4, face), "an own age")
    time.sleep(1)  # until the age has arrived
    picture = screen.picture()
    cv2.imwrite(str(tmp_path / "worn.png"), picture)
    before = worn.seen()

    def stepped() -> bool:
        screen.click(worn.window, worn.width * 0.5, worn.height - 14)  # the slider's groove, left of its handle
        time.sleep(1)
        return worn.differs(before, 0.7, face)()

    Screen.until(stepped, "another age")
    worn.keys("p")
    Screen.until(lambda: bool(list(tmp_path.glob("reaging-*.png"))), "the saved picture")
    screen.click(worn.window, worn.width - 10, -10)  # the close button
    worn.end()
    (saved,) = tmp_path.glob("reaging-*.png")
    assert np.array_equal(read_photo(saved)[450:], original[450:])  # without figures, slider and lines
    assert (read_photo(saved)[face] != original[face]).any()


def test_a_camera_in_the_window_recorded_lost_and_back(screen: Screen, wear: Callable[..., Worn], tmp_path: Path) -> None:
    with Playing() as camera:
        worn = wear("--source", camera.url, "--save-to", tmp_path, "--sweep", "5:80:2s", "--mirror")
        Screen.until(worn.differs(worn.seen()), "a picture that moves")
        worn.keys("r")
        time.sleep(2)
        worn.keys("r")
        Screen.until(lambda: bool(list(tmp_path.glob("reaging-*[0-9].mp4"))), "the recording")
        worn.keys("f")
        Screen.until(lambda: not worn.differs(worn.seen(), 1.0, LEFT)(), "a picture that stands")
        worn.keys("f")
        Screen.until(worn.differs(worn.seen(), 1.0, LEFT), "a picture that moves again")
        camera.unplug()
        Screen.until(lambda: "is gone: waiting for it" in worn.says(), "the message")
        time.sleep(1)
        cv2.imwrite(str(tmp_path / "gone.png"), screen.picture())
        camera.plug()
        Screen.until(lambda: "is back" in worn.says(), "the camera")
        Screen.until(worn.differs(worn.seen(), 1.0, LEFT), "its picture")
        worn.keys("q")
        assert worn.end().count("is gone") == 1
    (recording,) = tmp_path.glob("reaging-*.mp4")
    shots = list(open_source(str(recording)))
    assert shots[0].time == 0 and 1 < shots[-1].time < 10 and shots[0].frame.shape == (360, 480, 3)


def test_two_at_once_and_several_sinks(wear: Callable[..., Worn], tmp_path: Path) -> None:
    with Playing() as camera:
        first = wear("--source", camera.url, "--sink", "window", "--sink", tmp_path / "a.mp4", "--sink", "http:0")
        second = wear("--source", camera.url, "--sink", "window", "--sink", tmp_path / "b.mp4", "--sink", "http:0")
        time.sleep(2)
        for worn in (second, first):
            worn.screen.xdotool("windowactivate", "--sync", worn.window)
            worn.keys("q")
        ends = [worn.end() for worn in (first, second)]
    assert all("serving http://127.0.0.1:" in says for says in ends)
    assert all(len(list(open_source(str(tmp_path / name)))) > 5 for name in ("a.mp4", "b.mp4"))


def test_killed_while_recording_leaves_what_was_seen(wear: Callable[..., Worn], tmp_path: Path) -> None:
    with Playing() as camera:
        worn = wear("--source", camera.url, "--save-to", tmp_path)
        worn.keys("r")
        Screen.until(lambda: bool(list(tmp_path.glob("*.recording-*"))), "the recording")
        time.sleep(3)
        os.kill(worn.child.pid, signal.SIGKILL)
        worn.child.wait()
    (left,) = tmp_path.glob("reaging-*.mp4")
    shots = list(open_source(str(left)))
    assert shots[-1].time > 1.5 and len(shots) > 5  # of about three seconds: up to the last one


def test_one_ctrl_c_ends_a_photo(wear: Callable[..., Worn], astronaut: Path) -> None:
    worn = wear("--source", astronaut)
    time.sleep(1)
    worn.child.send_signal(signal.SIGINT)
    assert worn.child.wait(20) == 130 and "Traceback" not in worn.says()
