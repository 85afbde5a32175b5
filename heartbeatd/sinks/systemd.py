"""systemd: sd_notify(3), and the journal's native protocol with structured fields.

Without systemd (a terminal, a container) the notifications go nowhere and the log is plain lines on stderr.
"""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from systemd import id128, journal

from heartbeatd.core.events import NOTICE
from heartbeatd.core.plain import plain
from heartbeatd.sinks.reloads import ReloadRequests

IDENTIFIER = "heartbeatd"
FAILURE_NOTES = (Path("/run/heartbeatd-failed/told"), Path("/run/heartbeatd-failed/seen"))
WORKING_US = 120_000_000
WATCHDOG_MARGIN_S = 10  # what a cycle does beside waiting for others, on a slow disk or at the start
LONGEST_LINE = 2000  # characters of a line of the log: a few kilobytes of one text help nobody


def boot_id() -> str:
    """The id of this boot, 32 hexadecimal digits (sd_id128_get_boot(3)); another one after every start of the system."""
    return str(id128.get_boot().hex)


class Notifier:
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

    systemd takes the folder away when the agent ends. See last_words.py, whose notes of a failure are then out of date.
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


class JournalHandler(logging.Handler):
    """Sends records to the journal with their fields (see `core.events.said`) and where in the code they come from."""

    def emit(self, record: logging.LogRecord) -> None:
        """One entry."""
        fields: dict[str, str] = getattr(record, "fields", {})
        with contextlib.suppress(OSError):  # a journal that is gone must not stop the agent
            uninterrupted(
                lambda: journal.send(
                    self.format(record),
                    PRIORITY=str(_priority(record.levelno)),
                    SYSLOG_IDENTIFIER=IDENTIFIER,
                    LOGGER=record.name,
                    CODE_FILE=record.pathname,
                    CODE_LINE=record.lineno,
                    CODE_FUNC=record.funcName,
                    **fields,
                )
            )


class Redacting(logging.Filter):
    """The last line of defence: no record leaves with a secret or a control character in it, whatever wrote it there."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        """Hide secrets in the text, in the fields and in a traceback; the text is one line, as are those of a traceback."""
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            lines = self._redact(record.exc_text).split("\n")
            record.exc_text = "\n".join(plain(line, LONGEST_LINE) for line in lines)
        record.msg, record.args, record.exc_info = plain(self._redact(record.getMessage()), LONGEST_LINE), None, None
        fields: dict[str, str] = getattr(record, "fields", {})
        record.fields = {
            name: value if name == "MESSAGE_ID" else plain(self._redact(value), LONGEST_LINE)
            for name, value in fields.items()
        }
        return True


def log_to_where_it_belongs(redact: Callable[[str], str], level: int = logging.INFO) -> None:
    """Send the log to the journal if stderr is connected to it (JOURNAL_STREAM, systemd.exec(5)), else to stderr."""
    logging.addLevelName(NOTICE, "NOTICE")
    if is_journal(sys.stderr):
        handler: logging.Handler = JournalHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    handler.addFilter(Redacting(redact))
    # No line shows these, and each would cost something in every record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger("heartbeatd")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False


def uninterrupted(call: Callable[[], object]) -> None:
    """Call again while a signal comes in between. libsystemd's calls are not restarted as Python's own are (PEP 475)."""
    while True:
        try:
            call()
        except InterruptedError:
            continue
        return


def is_journal(stream: TextIO) -> bool:
    """True if the stream is connected to the journal (JOURNAL_STREAM, systemd.exec(5))."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def _priority(level: int) -> int:
    """The syslog priority (journald's PRIORITY=) of a logging level."""
    steps = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (NOTICE, 5), (logging.INFO, 6))
    return next((priority for floor, priority in steps if level >= floor), 7)
