"""Asking the notifier for one try: one JSON line to it, one back (see heartbeat-protocol(7)). Nothing here ever waits.

systemd starts a process of heartbeatd-notify@.service for each connection. Where the agent goes by a configuration that is not
the system's (`make run`), the same program is its child, at the other end of a socket pair.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from heartbeatd.core.delivery import Failure
from heartbeatd.notify.protocol import Answer

SOCKET = Path("/run/heartbeatd-notify.sock")
ANSWER_MOST_BYTES = 64 << 10
BLOCK_BYTES = 4096
PACKAGE = Path(__file__).parents[1]
LOST = Answer(Failure.ERROR, "the notifier ended without an answer: see journalctl -u 'heartbeatd-notify@*'")


class Attempt(Protocol):
    """A try under way."""

    def fileno(self) -> int:
        """Readable when there is something to see."""

    def line(self) -> bytes | None:
        """What was said; None as long as it is not there whole. What is no line is all there was."""

    def answer(self) -> Answer | None:
        """What came of a try; None as long as nothing has come."""

    def close(self) -> None:
        """Wait for it no longer. It may succeed all the same."""


class Notifier(Protocol):
    """Starts tries."""

    def start(self, request: bytes) -> Attempt:
        """Begin a try. Raises NotifierError if none can be begun now."""


class NotifierError(Exception):
    """No try could be begun; the text says why, and what to do."""


class SpawningNotifier:
    """Tries by a child of this process, for the configuration in `config`.

    `stands_in`: it is not given the credentials that the notifier of the system is given.
    """

    def __init__(self, config: Path, *, stands_in: bool = False) -> None:
        self._command = [sys.executable, "-P", "-m", "heartbeatd.notify", "--config", str(config.absolute())]
        if stands_in:
            self._command.append("--stand-in")

    def start(self, request: bytes) -> Attempt:
        """One child. Raises NotifierError."""
        ours, its = socket.socketpair()
        with its:
            try:
                child = subprocess.Popen(
                    self._command,
                    stdin=its.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=_environment(),
                )
            except OSError as error:
                ours.close()
                raise NotifierError(f"the notifier cannot be started: {error.strerror}") from None
        return _asked(_Connection(ours, child=child), request)


class SocketNotifier:
    """Tries by way of systemd's socket.

    Where nobody answers there, `fallback` makes the try: the sandbox of heartbeatd-notify@.service may be one that this machine
    cannot set up, while whoever asks runs in one that it can.
    """

    def __init__(self, fallback: Notifier | None, path: Path = SOCKET) -> None:
        self._fallback, self._path = fallback, path
        self._was_lost = False

    def start(self, request: bytes) -> Attempt:
        """One connection, or one child. Raises NotifierError."""
        if self._fallback is None:
            return self._connect(request)
        if self._was_lost:
            self._was_lost = False  # once: the next try shows whether it answers again
            return self._fallback.start(request)
        try:
            return self._connect(request)
        except NotifierError:
            return self._fallback.start(request)

    def _connect(self, request: bytes) -> Attempt:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            raise NotifierError(f"{self._path}: {error.strerror}") from None
        return _asked(_Connection(connection, lost=self._note_loss), request)

    def _note_loss(self) -> None:
        self._was_lost = True


class _Connection:
    """A try at the other end of a connected socket. `lost` is called if it ends without an answer."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        child: subprocess.Popen[bytes] | None = None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        connection.setblocking(False)
        self._connection, self._child, self._lost = connection, child, lost
        self._heard = b""

    def fileno(self) -> int:
        return self._connection.fileno()

    def ask(self, request: bytes) -> None:
        """Raises NotifierError. A new socket's buffer takes any request whole: it is bounded, and nothing was written before."""
        try:
            if self._connection.send(request) != len(request):
                raise NotifierError("the notifier took only a part of the request")
        except OSError as error:
            raise NotifierError(f"the notifier does not take the request: {error.strerror}") from None

    def line(self) -> bytes | None:
        try:
            heard = self._connection.recv(BLOCK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            heard = b""
        self._heard += heard
        if b"\n" in self._heard:
            return self._heard
        if heard and len(self._heard) < ANSWER_MOST_BYTES:
            return None
        self._lost()
        return self._heard

    def answer(self) -> Answer | None:
        line = self.line()
        if line is None:
            return None
        try:
            return Answer.parse(line)
        except ValueError:
            return LOST

    def close(self) -> None:
        self._connection.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()


def _asked(connection: _Connection, request: bytes) -> Attempt:
    """Raises NotifierError."""
    try:
        connection.ask(request)
    except NotifierError:
        connection.close()
        raise
    return connection


def _environment() -> dict[str, str]:
    """What the notifier needs of ours: its code, and the credentials that systemd passed to us."""
    kept = {name: os.environ[name] for name in ("CREDENTIALS_DIRECTORY",) if name in os.environ}
    return {"PATH": os.defpath, "PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1", **kept}
