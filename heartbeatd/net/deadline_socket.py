"""A connection with an end: so much time, and so many bytes, for all that is still read from it.

TLS is done in memory (ssl.MemoryBIO), so that every byte that comes in is read here and counted, those of handshakes and session
tickets too, and no library goes on reading for as long as somebody sends.
"""

import contextlib
import io
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TypeVar

from heartbeatd.cancel import CancelToken

T = TypeVar("T")
READ_BYTES = 16 * 1024  # at once


class Unusable(ValueError):
    """What comes in is no answer that we could take; the text says why, in words for the log."""


class DeadlineSocket:
    """What `http.client` needs of a socket, over TCP, TLS (see `secure`) or AF_UNIX.

    Every operation raises TimeoutError once the deadline has passed, Cancelled if it would have to wait when that is over, and
    Unusable if more would have to be read than may be.
    """

    def __init__(self, sock: socket.socket, cancel: CancelToken, deadline_ns: int, most_bytes: int) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._heard = False  # something has come in that is not read yet
        self._tls: _Tls | None = None
        self._reader: _Reader | None = _Reader(_Incoming(self))
        self.allow(cancel, deadline_ns, most_bytes)

    def allow(self, cancel: CancelToken, deadline_ns: int, most_bytes: int) -> None:
        """From here on wait with `cancel`, until the deadline, and read at most so many bytes."""
        self._cancel: CancelToken | None = cancel
        self._deadline_ns, self._most_bytes, self._left_bytes = deadline_ns, most_bytes, most_bytes

    def allow_no_waiting(self, most_bytes: int) -> None:
        """From here on read what is there already, at most so many bytes of it. BlockingIOError says that nothing is."""
        self._cancel = None
        self._most_bytes, self._left_bytes = most_bytes, most_bytes

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS with the server called `host`. Raises ssl.SSLError."""
        self._tls = _Tls(context, host)
        self._through_tls(self._tls.object.do_handshake)

    @property
    def certificate_ends_s(self) -> float | None:
        """Until when the server's certificate is good, in seconds since the epoch; None without TLS."""
        certificate = self._tls.object.getpeercert() if self._tls is not None else None
        ends = certificate.get("notAfter") if certificate else None
        return ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None

    def sendall(self, data: bytes) -> None:
        """Send all of `data`."""
        tls = self._tls
        if tls is None:
            self._send(data)
        else:
            self._through_tls(lambda: tls.object.write(data))

    def makefile(self, mode: str) -> io.BufferedReader:
        """To read from. It is the same one each time, and closing it closes nothing."""
        assert self._reader is not None, "closed"
        return self._reader

    def receive(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; the bytes that came, 0 at the end."""
        tls = self._tls
        try:
            if tls and self._heard:
                tls.feed(self._take(READ_BYTES))
            data = self._through_tls(lambda: tls.object.read(len(buffer))) if tls else self._take(len(buffer))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0
        buffer[: len(data)] = data
        return len(data)

    def heard_by(self, moment_ns: int) -> bool:
        """Wait for something to come in, or for the end of the connection; False if nothing has by that moment."""
        assert self._cancel is not None, "nothing may be waited for"
        self._heard = bool(self._cancel.select((self._sock.fileno(),), (), moment_ns))
        return self._heard

    def quiet(self) -> bool:
        """True if the connection stands, and nothing has come in that was not asked for. Waits for nothing."""
        self._cancel = None
        try:
            self.makefile("rb").peek(1)  # it may be something for TLS itself, so that it has to be read
        except BlockingIOError:
            return True
        except (OSError, Unusable):
            return False
        return False

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()
        self._tls = self._reader = None  # what they hold is to go now, not when the garbage collector finds them

    def _through_tls(self, operation: Callable[[], T]) -> T:
        """What an operation of TLS gives, for which something may have to be read or sent first."""
        tls = self._tls
        assert tls is not None
        while True:
            try:
                done = operation()
            except ssl.SSLWantReadError:
                self._send(tls.outgoing.read())
                tls.feed(self._take(READ_BYTES))
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # say why, if there is anybody to hear it
                    self._send(tls.outgoing.read())
                raise
            else:
                if tls.outgoing.pending:
                    self._send(tls.outgoing.read())
                return done

    def _take(self, most_bytes: int) -> bytes:
        """What has come in, at most so much of it; nothing at the end."""
        if self._left_bytes <= 0:
            raise Unusable(f"the answer is larger than {self._most_bytes // 1024} KiB")
        while True:
            if self._cancel is not None and not self._heard:
                self._wait((self._sock.fileno(),), ())
            self._heard = False
            try:
                data = self._sock.recv(min(most_bytes, self._left_bytes))
            except BlockingIOError:
                if self._cancel is None:
                    raise
                continue
            self._left_bytes -= len(data)
            return data

    def _send(self, data: bytes) -> None:
        left = memoryview(data) if data else b""
        while left:
            if self._cancel is not None and self._cancel.seconds_until(self._deadline_ns) <= 0:
                raise TimeoutError
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                self._wait((), (self._sock.fileno(),))

    def _wait(self, readable: Sequence[int], writable: Sequence[int]) -> None:
        cancel, deadline_ns = self._cancel, self._deadline_ns
        # Of what never ends nothing is read after the deadline, whatever is there.
        if cancel is None or cancel.seconds_until(deadline_ns) <= 0:
            raise TimeoutError
        if not cancel.select(readable, writable, deadline_ns):
            raise TimeoutError


class _Tls:
    """A TLS connection that knows no socket: what has come in is fed to it, what is to go out is taken from it."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self.outgoing, server_hostname=host)

    def feed(self, data: bytes) -> None:
        """Nothing is the end."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


class _Incoming(io.RawIOBase):
    def __init__(self, wire: DeadlineSocket) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # which is what BufferedReader passes
        return self._wire.receive(buffer)


class _Reader(io.BufferedReader):
    """`http.client` closes what it has read an answer from; the next one comes from here, too."""

    def close(self) -> None:
        pass
