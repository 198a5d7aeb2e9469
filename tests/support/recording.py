"""Real HTTP servers that keep what they saw, and what they may do instead of answering."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


@dataclass
class Seen:
    """One request."""

    path: str
    headers: dict[str, str]
    body: Any
    at: float


class RecordingHandler(BaseHTTPRequestHandler):
    """Records requests that bring JSON, and has `answer` answer them."""

    protocol_version = "HTTP/1.1"
    server: RecordingServer

    def answer(self, seen: Seen, number: int) -> None:
        """Answers the request, the so-manyth (from 0)."""
        raise NotImplementedError

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server, seen = self.server, Seen(self.path, dict(self.headers), body, time.monotonic())
        with server.lock:
            number = len(server.seen)
            server.seen.append(seen)
            server.inside += 1
            server.most_inside = max(server.most_inside, server.inside)
        try:
            self.answer(seen, number)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with server.lock:
                server.inside -= 1

    def give(self, status: int, body: Any, **headers: str) -> None:
        """Answers with a JSON body, or raw bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class RecordingServer(ThreadingHTTPServer):
    """`over` is set when it ends: whoever waits on purpose waits for that."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, handler: type[RecordingHandler], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.lock, self.over = threading.Lock(), threading.Event()
        self.seen: list[Seen] = []
        self.inside = self.most_inside = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


ServerT = TypeVar("ServerT", bound=RecordingServer)


@contextmanager
def running(server: ServerT) -> Iterator[ServerT]:
    """Serves meanwhile."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def hangs(handler: RecordingHandler) -> None:
    """Never answers."""
    handler.server.over.wait()
    handler.close_connection = True


def hangs_up(handler: RecordingHandler) -> None:
    """Closes the connection in the middle of an answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.close_connection = True


def floods(handler: RecordingHandler) -> None:
    """Sends without an end."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while not handler.server.over.is_set():
        handler.wfile.write(b" " * 65536)
    handler.close_connection = True


def drips(handler: RecordingHandler) -> None:
    """Sends a byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()
    handler.close_connection = True
