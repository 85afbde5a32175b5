"""sd_notify(3): what the service manager is told. Without systemd (a terminal, a container) it goes nowhere."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from heartbeatd.core.plain import plain
from heartbeatd.reload_requests import ReloadRequests

FAILURE_NOTES = (Path("/run/heartbeatd-failed/told"), Path("/run/heartbeatd-failed/seen"))
WORKING_US = 120_000_000
WATCHDOG_MARGIN_S = 10  # what a cycle does beside waiting for others, on a slow disk or at the start


class NotifySocket:
    """What the service manager is told. Each call is one datagram, or nothing where nobody listens.

    The protocol is that of sd_notify(3), "Standalone Implementations"; the library's own makes a socket for every message.
    A line break in a status would begin another assignment, so each goes through `plain`; every local user may read it, so
    each goes through `redact` as well.
    """

    def __init__(self, redact: Callable[[str], str] = str) -> None:
        self._redact = redact
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        self._unit_us = self._watchdog_us = int(os.environ.get("WATCHDOG_USEC", "0") or 0)
        self._requests = ReloadRequests()
        self._watching = Watching()

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, message: str) -> None:
        """Send it; a service manager that is not to be reached hears the next one."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(message.encode(), self._address)

    def _line(self, status: str) -> str:
        return plain(self._redact(status))

    def ready(self, status: str) -> None:
        """Started."""
        self._tell(f"READY=1\nSTATUS={self._line(status)}")

    def reloading(self, monotonic_ns: int) -> None:
        """Reloading has begun; newer systemd wants to know when (CLOCK_MONOTONIC, µs)."""
        self._requests.take()
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns // 1000}")

    def reloaded(self, status: str, *, taken: bool) -> None:
        """Reloading is over, and the new configuration was taken or not: `systemctl reload` ends by that."""
        self.ready(status)
        self._requests.answer(reloaded=taken)

    def status(self, text: str) -> None:
        """The one line of `systemctl status`."""
        self._tell(f"STATUS={self._line(text)}")

    def alive(self, status: str) -> None:
        """A cycle has finished: the watchdog is satisfied, and the status line says what it saw."""
        self._watching.mark()
        self._tell(f"WATCHDOG=1\nSTATUS={self._line(status)}")

    def expect(self, interval_s: int, longest_cycle_s: float) -> None:
        """Have the watchdog wait for as long as a cycle may take to come and to end, and no longer; see `watchdog_us`."""
        if self._unit_us == 0:
            return
        wanted_us = watchdog_us(self._unit_us, interval_s, longest_cycle_s)
        if wanted_us != self._watchdog_us:
            self._watchdog_us = wanted_us
            self._tell(f"WATCHDOG_USEC={wanted_us}")

    def working(self, status: str) -> None:
        """What takes long goes on: neither the start nor the watchdog is to be given up for another `WORKING_US`."""
        self._tell(f"EXTEND_TIMEOUT_USEC={WORKING_US}\nWATCHDOG=1\nSTATUS={self._line(status)}")

    def stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1\nSTATUS=stopping")


def watchdog_us(unit_us: int, interval_s: int, longest_cycle_s: float) -> int:
    """How long the watchdog should wait for the next sign of life, in µs, where WatchdogSec= says `unit_us`.

    For three cycles, so that a missed slot is no death; for the longest cycle that the configuration allows, which may begin an
    interval after the last sign; and never for less than the unit says. 60 s, 10 s and a cycle of up to 62 s: 82 s.
    """
    cycle_us = int((interval_s + longest_cycle_s + WATCHDOG_MARGIN_S) * 1_000_000)
    return max(unit_us, 3 * interval_s * 1_000_000, cycle_us)


class Watching:
    """A file in the runtime directory from the end of the first cycle on: while it is there, nobody asks whether the agent runs.

    systemd takes the folder away when the agent ends. See failure_alert.py, whose notes of a failure are then out of date.
    """

    def __init__(self) -> None:
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._file = Path(folder) / "watching" if folder else None

    def mark(self) -> None:
        """A cycle has finished."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.touch()
                self._file = None
                for note in FAILURE_NOTES:
                    note.unlink(missing_ok=True)
