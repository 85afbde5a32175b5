"""sd_notify(3): what the service manager is told. Without systemd (a terminal, a container) it goes nowhere."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from heartbeatd.core.plain import plain
from heartbeatd.reload_requests import ReloadRequests

# See failure_alert/notes.py.
FAILURE_NOTES = tuple(Path("/run/heartbeatd-failed", name) for name in ("seen", "alert", "heard", "told"))
EXTENSION_US = 120_000_000
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
        self._first_cycle = FirstCycleFlag()

    def close(self) -> None:
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
        self._tell(f"READY=1\nSTATUS={self._line(status)}")

    def reloading(self, monotonic_ns: int) -> None:
        """Reloading has begun, at `monotonic_ns` (MONOTONIC_USEC=, sd_notify(3))."""
        self._requests.take()
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns // 1000}")

    def reloaded(self, status: str, *, taken: bool) -> None:
        """Reloading is over, and the new configuration was taken or not: `systemctl reload` ends by that."""
        self.ready(status)
        self._requests.answer(reloaded=taken)

    def status(self, text: str) -> None:
        self._tell(f"STATUS={self._line(text)}")

    def watchdog(self, status: str) -> None:
        """Sent after each cycle that finished: if none comes in time, systemd kills the agent and starts it again."""
        self._first_cycle.mark()
        self._tell(f"WATCHDOG=1\nSTATUS={self._line(status)}")

    def set_watchdog(self, interval_s: int, longest_cycle_s: float) -> None:
        """Have systemd wait for the next `watchdog` as long as `watchdog_us` says."""
        if self._unit_us == 0:
            return
        wanted_us = watchdog_us(self._unit_us, interval_s, longest_cycle_s)
        if wanted_us != self._watchdog_us:
            self._watchdog_us = wanted_us
            self._tell(f"WATCHDOG_USEC={wanted_us}")

    def extend_timeout(self, status: str) -> None:
        """Neither the start nor the watchdog times out for another `EXTENSION_US`: what takes long goes on."""
        self._tell(f"EXTEND_TIMEOUT_USEC={EXTENSION_US}\nWATCHDOG=1\nSTATUS={self._line(status)}")

    def stopping(self) -> None:
        self._tell("STOPPING=1\nSTATUS=stopping")


def watchdog_us(unit_us: int, interval_s: int, longest_cycle_s: float) -> int:
    """How long the watchdog should wait for the next sign of life, in µs, where WatchdogSec= says `unit_us`.

    For three cycles, so that a missed slot is no death; for the longest cycle that the configuration allows, which may begin an
    interval after the last sign; and never for less than the unit says. 60 s, 10 s and a cycle of up to 62 s: 82 s.
    """
    cycle_us = int((interval_s + longest_cycle_s + WATCHDOG_MARGIN_S) * 1_000_000)
    return max(unit_us, 3 * interval_s * 1_000_000, cycle_us)


class FirstCycleFlag:
    """`watching` in the runtime directory, there from the end of the first cycle on: heartbeatd-failed.service then tells nobody.

    Its notes of an earlier failure are out of date, too. systemd removes the directory when the agent ends.
    """

    def __init__(self) -> None:
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._file = Path(folder) / "watching" if folder else None

    def mark(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.touch()
                self._file = None
                for note in FAILURE_NOTES:
                    note.unlink(missing_ok=True)
