"""The requests for a reload: `heartbeatd/reload.py` waits for the answer at a datagram socket of its own."""

import contextlib
import os
import socket
from pathlib import Path

RELOADED, REFUSED = b"reloaded", b"refused"


class ReloadRequests:
    """The sockets in the runtime directory at which an answer is waited for; none where systemd has made no such directory."""

    def __init__(self) -> None:
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._folder = Path(folder) if folder else None
        self._waiting: list[Path] = []

    def take(self) -> None:
        """Note who waits now. Whoever comes later has sent a signal that is still to be acted on."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._waiting = list(self._folder.glob("reload.*"))

    def answer(self, *, reloaded: bool) -> None:
        """Tell those that were noted how it went."""
        waiting, self._waiting = self._waiting, []
        for path in waiting:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                try:
                    sender.sendto(RELOADED if reloaded else REFUSED, str(path))
                except ConnectionRefusedError:  # it was killed, and left its socket behind
                    path.unlink()
