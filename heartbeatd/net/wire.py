"""A connection that has only so much time left for all that is still done with it."""

import contextlib
import io
import select
import socket
import ssl

from heartbeatd.waiting import seconds_until

SLACK_S = 0.02  # of the deadline: to tell the socket what is left at every operation would be a system call each time


class Wire:
    """What `http.client` needs of a socket. Every operation raises TimeoutError once `deadline_ns` has passed."""

    def __init__(self, sock: socket.socket, deadline_ns: int) -> None:
        self._sock, self.deadline_ns = sock, deadline_ns
        self._timeout_s: float | None = sock.gettimeout()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def shake_hands(self) -> None:
        """Begin TLS, if this is to be TLS. Raises ssl.SSLError."""
        if isinstance(self._sock, ssl.SSLSocket):
            self._limit()
            self._sock.do_handshake()

    def sendall(self, data: bytes) -> None:
        """Send all of `data`."""
        self._limit()
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """To read from. It holds no part of the connection: closing it closes nothing."""
        return io.BufferedReader(_Incoming(self))

    def receive(self, buffer: memoryview | bytearray) -> int:
        """Fill some of `buffer`; the bytes that came, 0 at the end. What is there already is taken even after the deadline."""
        self._bound(max(0.0, seconds_until(self.deadline_ns)))
        try:
            return self._sock.recv_into(buffer)
        except (BlockingIOError, ssl.SSLWantReadError):
            raise TimeoutError from None

    def quiet(self) -> bool:
        """True if the connection stands, and nothing has come in that was not asked for."""
        if not self._poll.poll(0):
            return True
        self.deadline_ns = 0  # it may be something for TLS itself, so that it has to be read
        try:
            self.receive(bytearray(1))
        except TimeoutError:
            return True
        except OSError:
            return False
        return False

    def cut(self) -> None:
        """End the connection, whatever a thread is doing with it: shutdown(2) past TLS, which is not to be touched meanwhile."""
        with contextlib.suppress(OSError):  # already gone
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _limit(self) -> None:
        left_s = seconds_until(self.deadline_ns)
        if left_s <= 0:
            raise TimeoutError
        self._bound(left_s)

    def _bound(self, left_s: float) -> None:
        set_s = self._timeout_s
        if set_s is None or left_s == 0 or abs(set_s - left_s) > SLACK_S:
            self._sock.settimeout(left_s)
            self._timeout_s = left_s


class _Incoming(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # which is what BufferedReader passes
        return self._wire.receive(buffer)
