"""A Worker and an n8n webhook on this machine's loopback: a real HTTP server that answers by a script and keeps what it got."""

import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.support.served import Served

WORKER = "/api/heartbeat"
WEBHOOK = "/webhook/heartbeat"
SILENCE = 0  # in a script: take the request and never answer it


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in; `answered` is the status it was given."""

    path: str
    authorization: str | None
    content_type: str | None
    body: dict[str, Any]
    answered: int
    at_s: float  # time.monotonic()


class _Server(ThreadingHTTPServer):
    """Each connection has a thread, and all of them are closed and joined at the end, kept-alive ones too."""

    daemon_threads = False

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def hang_up(self) -> None:
        """Close every connection there is."""
        for connection in self._connections:
            with suppress(OSError):  # closed by the other side long ago
                connection.shutdown(socket.SHUT_RDWR)

    def server_close(self) -> None:
        self.hang_up()
        super().server_close()


class Receiver(Served):
    """Listens from entering the `with` block to leaving it, on a port of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._scripts: dict[str, list[int]] = defaultdict(lambda: [200])
        self._headers: dict[int, Mapping[str, str]] = {}
        self._events: dict[str, int] = {}
        self._over = threading.Event()
        self._listening = _Server(self._handler())
        super().__init__(self._listening)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        super().__exit__(kind, error, at)

    def url(self, path: str) -> str:
        """The address of `path`, as seen from every host that shares this machine's network."""
        return f"http://127.0.0.1:{self._listening.server_port}{path}"

    def answer(self, path: str, *statuses: int, headers: Mapping[int, Mapping[str, str]] | None = None) -> None:
        """From now on answer POSTs to `path` with these statuses in turn, and then with the last one for ever.

        `headers` are those that come with a status.
        """
        with self._lock:
            self._scripts[path] = list(statuses)
            self._headers = dict(headers or {})

    def answer_event(self, event_id: str, status: int) -> None:
        """From now on answer the alert of this id with this status, whatever the others get."""
        with self._lock:
            self._events[event_id] = status

    def hang_up(self) -> None:
        """Close all connections that are kept, as servers do when they like to."""
        self._listening.hang_up()

    def received(self, path: str) -> list[Received]:
        """What was posted to `path` so far, the oldest first."""
        with self._lock:
            return [request for request in self._received if request.path == path]

    def _take(self, path: str, authorization: str | None, content_type: str | None, body: bytes) -> int:
        posted = json.loads(body)
        with self._lock:
            status = self._events.get(posted.get("details", {}).get("event_id"))
            if status is None:
                script = self._scripts[path]
                status = script.pop(0) if len(script) > 1 else script[0]
            self._received.append(Received(path, authorization, content_type, posted, status, time.monotonic()))
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = self.headers
                status = receiver._take(self.path, headers["Authorization"], headers["Content-Type"], body)
                self._say(status, b'{"status":"recorded"}')

            def do_HEAD(self) -> None:
                """The internet check is sent here too: the tests need no internet."""
                self._say(204, b"")

            def do_OPTIONS(self) -> None:
                self._say(204, b"")

            def _say(self, status: int, body: bytes) -> None:
                if status == SILENCE:
                    receiver._over.wait()
                    return
                self.send_response_only(status)  # no Server header but the one a test wants
                for name, value in receiver._headers.get(status, {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal: a test that fails says what it received."""

        return Handler
