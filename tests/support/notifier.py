"""The notifier as a process of its own, asked by way of a socket as systemd would hand it one."""

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from heartbeatd.core.notification import Notification
from heartbeatd.core.subject import Severity
from heartbeatd.notify.protocol import Answer, Check, ListChannels, Listed, Report, Try
from tests.support.agent import environment, python

HANG_S = 60.0
PROBLEM = Notification(
    event_id="019aa3d5-3f1c-7c5e-9a52-0c4b1ab0aa01",
    at_ns=1_795_540_060_000_000_000,
    severity=Severity.CRITICAL,
    title="nas: the Worker is unreachable",
    message="It does not answer.",
    details={"event": "problem", "subject": "worker", "attempt": 1, "queued_seconds": 0.021},
)


def about(channel: str, timeout_s: float = 20.0, notification: Notification = PROBLEM) -> Try:
    """A notification to be delivered to this channel."""
    return Try(channel, timeout_s, notification)


def ask(config: Path, asked: Try | bytes, *words: str, prefix: tuple[str, ...] = (), **more_environment: str) -> Answer:
    """What the notifier answers to one who wants a notification delivered."""
    line = asked.encode() if isinstance(asked, Try) else asked
    return Answer.parse(
        _said(line, [*prefix, *python("heartbeatd.notify", "--config", config), *words], more_environment)
    )


def listed(config: Path, *words: str, **more_environment: str) -> Listed:
    """Which channels there are, as the notifier says."""
    command = [*python("heartbeatd.notify", "--config", config), *words]
    return Listed.parse(_said(ListChannels().encode(), command, more_environment))


def checked(config: Path, channel: str, timeout_s: float = 20.0, *words: str, **more_environment: str) -> Report:
    """What the notifier reports of a channel."""
    command = [*python("heartbeatd.notify", "--config", config), *words]
    report = Report.parse(_said(Check(channel, timeout_s).encode(), command, more_environment))
    assert "hidden" not in report.reason + report.address + report.methods
    return report


def _said(asked: bytes, command: Sequence[str | Path], more_environment: Mapping[str, str]) -> bytes:
    """The line that answers this. Raises AssertionError with what it printed if it ends in another way than it should."""
    ours, its = socket.socketpair()
    with ours, its:
        process = subprocess.Popen(
            command,
            stdin=its.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**more_environment),
        )
        with process:
            its.close()
            ours.settimeout(HANG_S)
            try:
                ours.sendall(asked)
                ours.shutdown(socket.SHUT_WR)
                line = b"".join(iter(lambda: ours.recv(65536), b""))
                out, err = process.communicate(timeout=HANG_S)
            finally:
                process.kill()
    assert (process.returncode, out) == (0, b""), err.decode()
    assert line.count(b"\n") == 1, (line, err)
    return line
