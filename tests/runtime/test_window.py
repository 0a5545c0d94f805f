"""The window, on a virtual screen: the filtered clip is really to be seen there."""

import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from reaging.runtime.bundled import DEMO, bundled


def screenshot(folder: Path) -> np.ndarray:
    """What Xvfb shows: its frame buffer is an XWD file; BGR [H, W, 3]."""
    dump = (folder / "Xvfb_screen0").read_bytes()
    header = struct.unpack(">25I", dump[:100])
    size, width, height, stride, colors = header[0], header[4], header[5], header[12], header[19]
    start = size + colors * 12
    return np.frombuffer(dump[start : start + stride * height], np.uint8).reshape(height, stride // 4, 4)[:, :width, :3]


def test_the_window_shows_the_filtered_clip(tmp_path):
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    first = cv2.VideoCapture(str(bundled(DEMO))).read()[1]
    screen = subprocess.Popen(["Xvfb", ":97", "-screen", "0", "800x600x24", "-fbdir", str(tmp_path)], stderr=subprocess.DEVNULL)
    call = [Path(sys.executable).parent / "reaging-cam", "--source", "demo", "--sink", "window", "--age", "70", "--device", "cpu"]
    try:
        time.sleep(2)
        camera = subprocess.Popen(call, env={**os.environ, "DISPLAY": ":97"}, stderr=subprocess.PIPE, text=True)
        seen = 0
        while camera.poll() is None:
            lit = screenshot(tmp_path).max(-1) > 8
            color = screenshot(tmp_path)[lit].mean(0) if lit.any() else np.zeros(3)
            seen += lit.sum() > 0.8 * first.shape[0] * first.shape[1] and np.abs(color - first.mean((0, 1))).max() < 25
            time.sleep(0.05)
        assert camera.returncode == 0, camera.stderr.read()
    finally:
        screen.terminate()
        screen.wait(10)
    assert seen, "the screen stayed dark, or showed something else than the clip"
