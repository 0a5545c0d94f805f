"""The virtual camera, on a stand-in for the system's: pyvirtualcam's own code runs, and its backend is ours."""

import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from reaging.errors import ReagingError
from reaging.runtime.sinks import open_sink
from reaging.runtime.sinks.virtual import fitted


class Backend:
    """What pyvirtualcam asks of a backend; keeps what is sent, and can be slow."""

    sent: list[np.ndarray]
    wait = 0.0

    def __init__(self, width: int, height: int, fps: float, fourcc: int, device: str | None):
        if device not in (None, "stand-in 0"):
            raise RuntimeError(f"no device {device}")
        type(self).size, type(self).sent, type(self).closed = (width, height), [], False

    def device(self) -> str:
        return "stand-in 0"

    def native_fourcc(self) -> None:
        return None

    def send(self, frame: np.ndarray) -> None:
        time.sleep(self.wait)
        self.sent.append(np.array(frame))

    def close(self) -> None:
        type(self).closed = True


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Backend]]:
    camera = pytest.importorskip("pyvirtualcam.camera")
    monkeypatch.setattr(camera, "BACKENDS", {"stand-in": Backend})
    monkeypatch.setattr(Backend, "wait", 0.0)
    yield Backend


def test_frames_arrive_as_they_are(backend: type[Backend]) -> None:
    pyvirtualcam = pytest.importorskip("pyvirtualcam")
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with open_sink("virtual", 30.0, size=(64, 48)) as sink:
        sink.write(noise, 0, "")
        deadline = time.monotonic() + 5
        while not backend.sent and time.monotonic() < deadline:
            time.sleep(0.01)
    assert backend.size == (64, 48) and np.array_equal(backend.sent[0].reshape(48, 64, 3), noise) and backend.closed
    assert pyvirtualcam.PixelFormat.BGR


def test_a_slow_device_delays_nobody_and_gets_the_newest(backend: type[Backend]) -> None:
    backend.wait = 0.2
    before = set(threading.enumerate())
    with open_sink("virtual:stand-in 0", 30.0, size=(64, 48)) as sink:
        start = time.perf_counter()
        for number in range(40):
            sink.write(np.full((48, 64, 3), number, np.uint8), 0, "")
            time.sleep(0.01)
        assert time.perf_counter() - start < 3
        time.sleep(0.5)
    levels = [int(frame.flat[0]) for frame in backend.sent]
    assert levels == sorted(levels) and levels[-1] == 39 and len(levels) < 10
    assert not set(threading.enumerate()) - before


def test_other_sizes_are_fitted_into_the_cameras() -> None:
    wide = np.full((50, 400, 3), 200, np.uint8)
    out = fitted(wide, (200, 100))
    assert out.shape == (100, 200, 3) and (out[40:60] == 200).all() and not out[:30].any() and not out[70:].any()
    assert fitted(np.full((10, 10, 3), 9, np.uint8), (40, 20)).shape == (20, 40, 3)


def test_without_a_backend_one_line_lists_each_and_how_to_install_it(monkeypatch: pytest.MonkeyPatch, backend: type[Backend]) -> None:
    with pytest.raises(ReagingError, match="no device elsewhere") as caught:
        open_sink("virtual:elsewhere")
    for words in ("v4l2loopback-dkms", "modprobe v4l2loopback", "OBS", "Unity Capture"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(ReagingError, match=r"pip install 'reaging\[virtual\]'.*v4l2loopback"):
        open_sink("virtual")


def test_a_camera_that_goes_away_is_one_line(backend: type[Backend], monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Backend, frame: np.ndarray) -> None:
        raise RuntimeError("device is not running")

    monkeypatch.setattr(backend, "send", gone)
    frame = np.zeros((48, 64, 3), np.uint8)
    with open_sink("virtual", 30.0, size=(64, 48)) as sink, pytest.raises(ReagingError, match="is gone"):
        for _ in range(200):
            sink.write(frame, 0, "")
            time.sleep(0.01)
