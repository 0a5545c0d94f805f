"""Colors between BGR and YUV 4:2:0, against the standards' weights, and there and back through a file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from reaging.runtime.sinks.video import PyAvVideo
from reaging.runtime.sources.clip import PyAvClip, _to_bgr
from reaging.runtime.yuv import from_bgr, planes, to_bgr

WEIGHTS = {"BT.601": (0.299, 0.587, 0.114), "BT.709": (0.2126, 0.7152, 0.0722)}


def colors(height: int, width: int) -> np.ndarray:
    """Soft patches of all colors, black and white among them."""
    rough = np.random.default_rng(3).integers(0, 256, (height // 24 + 2, width // 24 + 2, 3), dtype=np.uint8)
    rough[0, 0], rough[-1, -1] = 0, 255
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("standard", WEIGHTS)
@pytest.mark.parametrize("full", [False, True])
def test_one_color_comes_back_and_its_luma_is_the_standards(standard: str, full: bool) -> None:
    for blue, green, red in ((0, 0, 0), (255, 255, 255), (200, 30, 90), (0, 0, 255), (17, 180, 3)):
        frame = np.full((4, 6, 3), (blue, green, red), np.uint8)
        y, u, v = from_bgr(frame, standard, full)
        assert y.shape == (4, 6) and u.shape == v.shape == (2, 3)
        luma = np.dot(WEIGHTS[standard], (red, green, blue))
        assert abs(int(y[0, 0]) - (luma if full else 16 + luma * 219 / 255)) <= 0.51
        assert np.abs(to_bgr(y, u, v, standard, full).astype(int) - frame).max() <= 2  # each of Y, U, V is rounded once


def test_a_picture_comes_back_but_for_its_finest_colors() -> None:
    frame = colors(96, 128)
    back = to_bgr(*from_bgr(frame))
    assert abs((back.astype(int) - frame).mean()) < 0.1 and np.abs(back.astype(int) - frame).mean() < 2


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("standard", WEIGHTS)
def test_a_frame_of_a_clip_has_the_colors_it_was_made_of(size: tuple[int, int], full: bool, standard: str) -> None:
    av = pytest.importorskip("av")
    width, height = size
    picture = av.VideoFrame(width, height, "yuvj420p" if full else "yuv420p")
    source = colors(height + height % 2, width + width % 2)
    for plane, values in zip(planes(picture), from_bgr(source, standard, full), strict=True):
        plane[:] = values[: plane.shape[0], : plane.shape[1]]
    picture.colorspace = 1 if standard == "BT.709" else 5
    got = _to_bgr(picture)
    assert got.shape == (height, width, 3) and got.dtype == np.uint8 and got.flags.c_contiguous
    assert np.abs(got.astype(int) - source[:height, :width]).mean() < 1.5


def test_a_recording_shows_the_colors_that_went_in(tmp_path: Path) -> None:
    pytest.importorskip("av")
    frame = colors(96, 128)
    with PyAvVideo(tmp_path / "a.mp4", 10, None) as video:
        for i in range(3):
            video.write(frame, i / 10, "")
    shots = list(PyAvClip(tmp_path / "a.mp4"))
    assert len(shots) == 3
    assert np.abs((shots[-1].frame.astype(int) - frame).mean((0, 1))).max() < 1
