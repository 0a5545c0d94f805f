"""Cameras: by number or by name."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

from ...errors import ReagingError
from .capture import Capture, Opened, Say, first_frame

SIZE = (640, 480)
MJPG = cv2.VideoWriter.fourcc(*"MJPG")  # uncompressed, USB carries 640x480 at 30 frames a second at most
V4L = Path("/sys/class/video4linux")


def list_cameras(devices: Path = V4L) -> list[tuple[int, str]]:
    """(number, name) of each camera; elsewhere than on Linux without names, unless cv2-enumerate-cameras is installed."""
    if sys.platform.startswith("linux"):
        nodes = sorted(devices.glob("video*"), key=lambda node: int(node.name[5:]))
        # a camera has further nodes, for its metadata, with an index above 0
        return [(int(n.name[5:]), (n / "name").read_text().strip()) for n in nodes if (n / "index").read_text().strip() == "0"]
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ImportError:
        numbers = range(8)
        return [(number, f"camera {number}") for number in numbers if first_frame(cv2.VideoCapture(number)) is not None]
    return [(camera.index, camera.name) for camera in enumerate_cameras()]


def find_camera(which: str, devices: Path = V4L) -> int:
    """The number of a camera by its number or by a part of its name; ReagingError where none or several have it."""
    if which.isdecimal() and len(which) < 6:
        return int(which)
    cameras = list_cameras(devices)
    fitting = [number for number, name in cameras if which.lower() in name.lower()]
    exact = [number for number, name in cameras if which.lower() == name.lower()]
    if len(exact) == 1 or len(fitting) == 1:
        return (exact or fitting)[0]
    there = ", ".join(f"{number} {name}" for number, name in cameras) or "none"
    raise ReagingError(
        f"{len(fitting) or 'no'} cameras are named {which}",
        f"a part of one camera's name, or its number (there: {there})",
        "see --list-cameras",
    )


def open_camera(which: str, size: tuple[int, int] | None, say: Say) -> Capture:
    """Camera ``which``, a number or a name, asked for MJPG and ``size`` (640x480 unless given) and for as little delay as it can.

    Says the real size where it is another than a given one.  Raises ReagingError where it is not there.
    """
    find_camera(which)
    refusal = ReagingError(
        f"camera {which} is not there, or another program has it", "a camera", "plug it in, or name another: see --list-cameras"
    )
    camera = Capture(f"camera {which}", "camera", lambda: _open(which, size or SIZE), refusal, say)
    if size and camera.size != size:
        say(f"camera {which} gives {camera.size[0]}x{camera.size[1]} in place of {size[0]}x{size[1]}")
    return camera


def _open(which: str, size: tuple[int, int]) -> Opened | None:
    try:
        capture = cv2.VideoCapture(find_camera(which))  # after being plugged in anew it may have another number
    except ReagingError:
        return None
    if capture.isOpened():
        capture.set(cv2.CAP_PROP_FOURCC, MJPG)
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # old frames in the driver's queue are delay
    return first_frame(capture)
