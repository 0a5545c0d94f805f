"""The picture over HTTP: to whom it is given, how, and that nobody can hold up the loop."""

import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from reaging.errors import ReagingError
from reaging.runtime.sinks import open_sink
from reaging.runtime.sinks.web import CLIENTS, Web, open_web, trusted


def port(web: Web) -> int:
    return int(web.url.rstrip("/").rpartition(":")[2])


def get(web: Web, path: str, host: str | None = None) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port(web), timeout=5)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    data = answer.read() if path != "/stream" or answer.status != 200 else b""
    connection.close()
    return answer.status, data, answer.headers


def level(number: int) -> np.ndarray:
    """A frame whose brightness says which one it is."""
    return np.full((48, 64, 3), number, np.uint8)


def parts(stream: socket.socket) -> Iterator[np.ndarray]:
    """The pictures of a stream, one after the other."""
    file = stream.makefile("rb")
    while not file.readline().startswith(b"--frame"):
        pass
    while True:
        length = 0
        while (line := file.readline().strip()) or not length:
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        yield cv2.imdecode(np.frombuffer(file.read(length), np.uint8), cv2.IMREAD_COLOR)
        assert file.readline() == b"\r\n" and file.readline().startswith(b"--frame")  # at once, not with the next picture


def connect(web: Web) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port(web)), timeout=5)
    stream.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return stream


def test_a_client_sees_the_newest_frame() -> None:
    with open_web("http:0") as web, connect(web) as stream:
        seen = parts(stream)
        for number in (40, 120, 200):
            web.write(level(number), 0, "")
            assert abs(next(seen).mean() - number) < 3
        for number in range(50, 60):
            web.write(level(number), 0, "")
        assert any(abs(next(seen).mean() - 59) < 0.6 for _ in range(10))  # those in between may be skipped, the last may not
    assert web.note == "" and not web.closed


def test_page_and_nothing_else() -> None:
    with open_web("http:0") as web:
        status, page, headers = get(web, "/")
        assert status == 200 and b'src="/stream"' in page and "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["X-Content-Type-Options"] == "nosniff"
        for path in ("/etc/passwd", "/../../etc/passwd", "/stream/", "/.", "//etc/passwd", "/favicon.ico"):
            assert get(web, path)[0] == 404, path


def test_another_name_that_points_here_is_refused() -> None:
    with open_web("http:0") as web:
        web.write(level(9), 0, "")
        for host in ("localhost", f"localhost:{port(web)}", "127.0.0.1", f"127.0.0.1:{port(web)}", "[::1]:80"):
            assert get(web, "/", host)[0] == 200, host
        for host in ("evil.example", f"evil.example:{port(web)}", "localhost.evil.example", "127.0.0.1.evil.example:80"):
            assert get(web, "/", host)[0] == get(web, "/stream", host)[0] == 403, host
    assert trusted("studio.local:8080", "studio.local") and not trusted("", "127.0.0.1") and not trusted("other:1", "0.0.0.0")


def test_it_is_bound_to_this_machine_unless_told_otherwise() -> None:
    with open_web("http:0") as here, open_web("http:0.0.0.0:0") as everywhere:
        assert here.url.startswith("http://127.0.0.1:") and here._server.socket.getsockname()[0] == "127.0.0.1"
        assert everywhere._server.socket.getsockname()[0] == "0.0.0.0"


def test_a_client_that_reads_nothing_delays_nobody() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)  # large as JPEG
    with open_web("http:0") as web, connect(web), connect(web) as reading:
        seen = parts(reading)
        longest = 0.0
        for _ in range(20):
            start = time.perf_counter()
            web.write(frame, 0, "")
            longest = max(longest, time.perf_counter() - start)
            next(seen)
        assert longest < 1  # the idle client's buffers were full after the second
        start = time.perf_counter()
    assert time.perf_counter() - start < 5


def test_clients_are_bounded_and_leave_no_thread() -> None:
    before = set(threading.enumerate())
    with open_web("http:0") as web:
        web.write(level(9), 0, "")
        clients = [connect(web) for _ in range(CLIENTS)]
        for client in clients:
            assert abs(next(parts(client)).mean() - 9) < 3
        assert get(web, "/")[0] == 503
        clients.pop().close()
        web.write(level(10), 0, "")
        deadline = time.monotonic() + 5
        status = 503
        while status == 503 and time.monotonic() < deadline:
            web.write(level(11), 0, "")
            time.sleep(0.05)
            status = get(web, "/")[0]
        assert status == 200
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not set(threading.enumerate()) - before
    for client in clients:
        client.close()


@pytest.mark.parametrize("target", ["http:", "http:eighty", "http:99999", "http:host:"])
def test_bad_addresses_are_one_line(target: str) -> None:
    with pytest.raises(ReagingError, match="http:8080"):
        open_sink(target)


def test_a_port_that_is_taken_is_one_line() -> None:
    with open_web("http:0") as web, pytest.raises(ReagingError, match="choose another"):
        open_sink(f"http:{port(web)}")


def test_the_page_in_chromium(tmp_path: Path) -> None:
    """A real browser paints the stream: a picture of two colors is where it should be in its screenshot."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("not installed: chromium")
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[:, :320] = (40, 40, 220)
    picture[:, 320:] = (220, 60, 30)
    stop = threading.Event()
    with open_web("http:0") as web:

        def feed() -> None:
            while not stop.is_set():
                web.write(picture, 0, "")
                time.sleep(0.05)

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            shot = tmp_path / "page.png"
            call = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--hide-scrollbars"]
            call += ["--window-size=640,480", f"--screenshot={shot}", "--timeout=3000", web.url]
            child = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"HOME": str(tmp_path)})
            deadline = time.monotonic() + 60
            while child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            child.kill()
            child.wait(10)
        finally:
            stop.set()
            feeder.join()
    seen = cv2.imread(str(shot)).astype(int)
    assert np.abs(seen[200, 100] - (40, 40, 220)).max() < 12 and np.abs(seen[200, 540] - (220, 60, 30)).max() < 12
