"""A real TCP or TLS server that does to each connection what a script says: silence, rubbish, a reset, a byte a second."""

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.support.clocks import FakeClock

Script = Callable[["Connection"], None]


class Connection:
    """One accepted connection, in the hands of a script."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock, self.over = sock, over
        # TLS takes the socket over at a moment of its own; with a second handle the connection can be ended at any.
        self.raw = sock.dup()
        self.sent_bytes = 0
        self.request = b""
        self.reads = self.pauses = self.ended = False

    @property
    def settled(self) -> bool:
        """True if nothing comes on it any more unless something is sent to it, or time passes."""
        arrived = not self.ended and select.select([self.raw], [], [], 0)[0]
        return self.ended or self.pauses or (not arrived and self.reads)  # nothing is read before that is said

    def pause(self, clock: FakeClock, seconds: float) -> None:
        """Wait for so long by the other side's clock."""
        due = threading.Event()

        def go_on() -> None:
            self.pauses = False
            due.set()

        clock.at(seconds, go_on)
        self.pauses = True
        while not due.wait(0.01) and not self.over.is_set():
            pass

    def read(self) -> bytes:
        """What comes next; empty at the end."""
        if not isinstance(self.sock, ssl.SSLSocket):  # which may hold more than the system knows of
            self.reads = True
            select.select([self.raw], [], [])
            self.reads = False
        return self.sock.recv(65536)

    def read_request(self) -> bytes:
        """The next request, headers and body; empty when the other side has closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.read()
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        ]
        while lengths and len(body) < lengths[0]:
            body += self.read()
        self.request = head + b"\r\n\r\n" + body
        return self.request

    def send(self, data: bytes) -> None:
        """Send and count."""
        self.sock.sendall(data)
        self.sent_bytes += len(data)

    def reset(self) -> None:
        """Close with RST in place of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.raw.close()


class Scripted:
    """Listens from entering the `with` block to leaving it. Connection n gets script n, those after the last get the last."""

    def __init__(
        self, *scripts: Script, tls: ssl.SSLContext | None = None, at: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        self._scripts, self._tls = scripts, tls
        self.connections: list[Connection] = []
        self.over = threading.Event()
        self._accepts = False
        self._listener = socket.create_server(at)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="accept")]

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/"

    @property
    def requests(self) -> list[bytes]:
        """The last request of each connection."""
        return [connection.request for connection in self.connections]

    @property
    def settled(self) -> bool:
        """True if nothing comes from it any more unless something is sent to it, or time passes."""
        arrived = select.select([self._listener], [], [], 0)[0]
        return not arrived and not self._accepts and all(connection.settled for connection in self.connections)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # the other side has ended it already
                connection.raw.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for connection in self.connections:
            connection.raw.close()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            select.select([self._listener], [], [])
            self._accepts = True
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(sock, self.over)
            script = self._scripts[min(len(self.connections), len(self._scripts) - 1)]
            self.connections.append(connection)
            thread = threading.Thread(target=self._play, args=(script, connection), name="script")
            self._threads.append(thread)
            thread.start()
            self._accepts = False

    def _play(self, script: Script, connection: Connection) -> None:
        try:
            if self._tls is not None:
                connection.sock = self._tls.wrap_socket(connection.sock, server_side=True)
            script(connection)
        except OSError:
            pass  # the other side went away, which some scripts are written to bring about
        finally:
            connection.sock.close()
            with contextlib.suppress(OSError):
                connection.raw.shutdown(socket.SHUT_RDWR)
            connection.ended = True


def answers(status: int = 200, headers: str = "", body: bytes = b"", *, times: int = 1000) -> Script:
    """Answers so many requests on one connection, and closes it then."""

    def script(connection: Connection) -> None:
        for _ in range(times):
            if not connection.read_request():
                return
            connection.send(
                f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
            )

    return script


def says(data: bytes) -> Script:
    """Sends exactly this to any request, and closes."""

    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(data)

    return script


def endless(head: bytes, block: bytes, pause_s: float = 0.0) -> Script:
    """Sends `head` and `block`, and then `block` again and again for as long as anybody listens."""

    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(head + block)  # at once, so that what follows the head is there when that is
        while not connection.over.wait(pause_s):
            connection.send(block)

    return script


def then(*scripts: Script) -> Script:
    """One after the other, on the same connection."""

    def script(connection: Connection) -> None:
        for one in scripts:
            one(connection)

    return script


def silent(connection: Connection) -> None:
    """Takes everything and never says a word."""
    while not connection.over.is_set() and connection.read():
        pass


def resets(connection: Connection) -> None:
    """Takes the request and resets the connection."""
    connection.read_request()
    connection.reset()


def hangs_up(connection: Connection) -> None:
    """Takes the request and closes the connection."""
    connection.read_request()
