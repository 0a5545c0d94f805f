"""MJPEG over HTTP: for OBS's browser source, another program, or a phone on the desk.

Two addresses, / (a page that fills itself with the picture) and /stream; nothing of the disk is served.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import cv2

from ...errors import ReagingError
from ..sources.base import Frame

LOCAL = "127.0.0.1"
CLIENTS = 8  # at once; more are refused
SILENCE_S = 10.0  # after which a client that sends or takes nothing is let go
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]
UNSENT = 64 * 1024  # bytes that may wait in the system for a slow client: more would be delay
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
PAGE = b"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>reaging</title><style>html,body{margin:0;height:100%;background:#000}img{width:100%;height:100%;object-fit:contain}</style></head>
<body><img src="/stream" alt="the picture of the filter"></body></html>
"""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'",
    "Cross-Origin-Resource-Policy": "same-origin",  # a page from elsewhere must not show or read the picture
    "X-Content-Type-Options": "nosniff",
}


class Web:
    """Serves the newest frame to every client at its own speed, from threads of its own; the loop only leaves the frame here."""

    closed = False
    note = ""

    def __init__(self, host: str, port: int):
        """Port 0 takes a free one; raises ReagingError where the address cannot be had."""
        self.latest = _Latest()
        try:
            self._server = _Server((host, port), self.latest)
        except (OSError, OverflowError, TypeError, ValueError) as error:  # the last two: a host that is no text for a name server
            what = f"cannot serve on {host}:{port} ({getattr(error, 'strerror', None) or error})"
            raise ReagingError(what, "a free port of this machine", "choose another: --sink http:8081") from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}/"

    def write(self, frame: Frame, time: float, name: str) -> None:
        """Makes this the frame that clients get next."""
        self.latest.put(frame)

    def __enter__(self) -> Web:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.latest.end()
        self._server.shutdown()
        self._server.server_close()
        self._server.drop_clients()


class _Latest:
    """The newest frame, as JPEG for whoever asks; encoded once, and only if somebody does."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._encoding = threading.Lock()
        self._frame: Frame | None = None
        self._number, self.ended = 0, False
        self._encoded: tuple[int, bytes] = (0, b"")

    def put(self, frame: Frame) -> None:
        with self._news:
            self._frame, self._number = frame, self._number + 1
            self._news.notify_all()

    def end(self) -> None:
        with self._news:
            self.ended = True
            self._news.notify_all()

    def jpeg(self, after: int) -> tuple[int, bytes] | None:
        """Number and bytes of a frame newer than ``after``, as soon as there is one; None at the end."""
        with self._news:
            self._news.wait_for(lambda: self.ended or self._number > after)
            if self.ended or self._frame is None:
                return None
            number, frame = self._number, self._frame
        with self._encoding:
            if self._encoded[0] < number:
                self._encoded = number, cv2.imencode(".jpg", frame, QUALITY)[1].tobytes()
            return self._encoded


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = sys.platform != "win32"  # there it would let two programs have one port

    def __init__(self, address: tuple[str, int], latest: _Latest):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.latest, self.host = latest, address[0]
        self._clients: set[Any] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if len(self._clients) >= CLIENTS:
            request.settimeout(1)
            with suppress(OSError):
                request.sendall(BUSY)
            self.shutdown_request(request)
            return
        request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT)
        self._clients.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._clients.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def drop_clients(self) -> None:
        """Ends every connection, and waits for their threads."""
        deadline = time.monotonic() + 2
        while self._clients and time.monotonic() < deadline:
            for client in list(self._clients):
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            time.sleep(0.02)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SILENCE_S
    server_version, sys_version = "reaging", ""

    def do_GET(self) -> None:
        if not trusted(self.headers.get("Host", ""), self.server.host):
            self._answer(403, "text/plain", b"not this machine's name\n")
        elif self.path == "/":
            self._answer(200, "text/html; charset=utf-8", PAGE)
        elif self.path == "/stream":
            self._stream()
        else:
            self._answer(404, "text/plain", b"there is / and /stream\n")

    do_HEAD = do_GET

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self._head(status, kind, {"Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **more, **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(self) -> None:
        self._head(200, "multipart/x-mixed-replace; boundary=frame", {"Connection": "close"})
        if self.command == "HEAD":
            return
        number = 0
        self.wfile.write(b"--frame\r\n")
        while (newest := self.server.latest.jpeg(number)) is not None:
            number, data = newest
            part = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n--frame\r\n" % (len(data), data)
            self.wfile.write(part)  # with the boundary behind it: Chromium shows a picture once it has seen that

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal is the user's."""


def trusted(host: str, bound: str) -> bool:
    """Whether a request's Host header names this machine by address, as localhost or as it was bound.

    A name of somebody else's that points here (DNS rebinding) is how a page on the web would get at the picture.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
    name = name.strip("[]").lower()
    own = {"localhost", bound.lower(), socket.gethostname().lower(), socket.gethostname().lower() + ".local"}
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in own
    return True


def open_web(target: str) -> Web:
    """``http:PORT`` on this machine alone, or ``http:HOST:PORT``; ReagingError where that is something else or taken."""
    return Web(*parse_address(target))


def parse_address(target: str) -> tuple[str, int]:
    """Host and port of ``http:PORT`` or ``http:HOST:PORT``; ReagingError where it is something else."""
    host, _, port = target.partition(":")[2].rpartition(":")
    if not port.isdecimal() or len(port) > 5 or int(port) > 65535:  # the length first: int() refuses thousands of digits
        raise ReagingError(f"cannot serve on {target}", "http:PORT or http:HOST:PORT", "give for example --sink http:8080")
    return host.strip("[]") or LOCAL, int(port)
