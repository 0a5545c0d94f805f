"""The window, on a virtual screen: the filtered clip is really to be seen there."""

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from screen import Screen

from reaging.runtime.bundled import DEMO, bundled


def test_the_window_shows_the_filtered_clip(tmp_path: Path) -> None:
    first = cv2.VideoCapture(str(bundled(DEMO))).read()[1]
    call = [Path(sys.executable).parent / "reaging-cam", "--source", "demo", "--sink", "window", "--age", "70", "--device", "cpu"]
    with Screen(tmp_path) as screen:
        camera = subprocess.Popen(call, env=screen.env, stderr=subprocess.PIPE, text=True)
        seen = 0
        while camera.poll() is None:
            picture = screen.picture()
            lit = picture.max(-1) > 8
            color = picture[lit].mean(0) if lit.any() else np.zeros(3)
            seen += lit.sum() > 0.8 * first.shape[0] * first.shape[1] and np.abs(color - first.mean((0, 1))).max() < 25
            time.sleep(0.05)
        assert camera.returncode == 0, camera.communicate()[1]
    assert seen, "the screen stayed dark, or showed something else than the clip"
