"""The journal: the kinds of entry, each with its MESSAGE_ID, and where log records go.

`systemd/heartbeatd.catalog` explains every kind. The numbers were drawn once with `systemd-id128 new` and never change: people
filter by them (`journalctl MESSAGE_ID=…`). Without systemd the log is plain lines on stderr.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import TextIO

from systemd import journal

from heartbeatd.core.plain import plain

IDENTIFIER = "heartbeatd"
LONGEST_LINE = 2000  # characters of a line of the log: a few kilobytes of one text help nobody


class MessageId(StrEnum):
    """One 128-bit id for each kind of log entry."""

    STARTED = "ed33aadee6d44d15865a27e766a94450"
    STOPPED = "36c9a155d30e43b698b7d2dc0487ccb3"
    CONFIG_REFUSED = "c02bf468ae474e11a2f0e727882cb3cb"
    CONFIG_RELOADED = "14971ecea0dc49f481ba0960d498ec74"
    CYCLE = "a65b5f9cdbd94af1873c68598951c22b"
    HOUR = "f415c8a3e6e447629ff7466a430bf4f1"
    CYCLE_FAILED = "a2cd243ac18b4def9cf5591983c3b1f4"
    SLOTS_MISSED = "8f6f6dd1209e4a05bfb1009510a64b05"
    CLOCK_STEPPED = "b5f9272d954049faa752561b429fe5ee"
    PROBE_CHANGED = "010588366ac542c986e95cea10aed7ea"
    INTERNET_CHANGED = "299da2ad210c495482366f307d3486c6"
    WORKER_CHANGED = "d18d90dd467e401a9635dbf53f6f60fa"
    SUBJECT_CHANGED = "05c75f5f68c84c48974204bce8a318ce"
    GAP = "c3107ba3a0af45bba27979668695b793"
    ALERT_DELIVERED = "ad667aac71c74ed7932dd39c4c70ebf0"
    ALERT_DELAYED = "fc4a32e4296247a892eedbd07c385a99"
    ALERT_SET_ASIDE = "e21890fa30314d929df6c77f724f984c"
    ALERTS_GIVEN_UP = "969cd518b3c145c0873b07416f1b4544"
    STORE_FAILED = "1ba18ec0d7904b70ab3fa59705a1b0f0"
    STORE_RECOVERED = "fbd3b3c990894d98bfae2d7fc87ab0f6"
    STORE_REPLACED = "e0ba2456ad154caca1d21837fdcce716"
    STORE_TAKEN_OVER = "9608df0ce1854d399b61e1dda036b9fa"


NOTICE = 25  # between logging's INFO and WARNING, as syslog's notice is; journald knows it as priority 5


def journal_fields(message_id: MessageId, **values: object) -> dict[str, dict[str, str]]:
    """The `extra` of a log call: the structured fields of a journal entry, `HEARTBEAT_` before each name.

    `journal_fields(MessageId.CYCLE, cpu_percent=3.2)` → `{"fields": {"MESSAGE_ID": "…", "HEARTBEAT_CPU_PERCENT": "3.2"}}`.
    What is None is left out: the field is absent where the value is unknown.
    """
    fields = {f"HEARTBEAT_{name.upper()}": str(value) for name, value in values.items() if value is not None}
    return {"fields": {"MESSAGE_ID": str(message_id), **fields}}


class JournalHandler(logging.Handler):
    """Sends records to the journal with their fields (see `journal_fields`) and where in the code they come from."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, str] = getattr(record, "fields", {})
        with contextlib.suppress(OSError):  # a journal that is gone must not stop the agent
            retry_on_eintr(
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


class RedactingFilter(logging.Filter):
    """Keeps secrets and control characters out of every record, whatever wrote them there."""

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


def setup_logging(redact: Callable[[str], str], level: int = logging.INFO) -> None:
    """Send the log to the journal if stderr is connected to it (JOURNAL_STREAM, systemd.exec(5)), else to stderr."""
    logging.addLevelName(NOTICE, "NOTICE")
    if is_journal(sys.stderr):
        handler: logging.Handler = JournalHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    handler.addFilter(RedactingFilter(redact))
    # No line shows these, and each would cost something in every record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger("heartbeatd")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False


def retry_on_eintr(call: Callable[[], object]) -> None:
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
