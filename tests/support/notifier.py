"""The notifier as a process of its own, asked by way of a socket as systemd would hand it one."""

import socket
import subprocess
from pathlib import Path

from heartbeatd.core.notification import Notification
from heartbeatd.core.subject import Severity
from heartbeatd.notify.protocol import Answer, Try
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


def ask(config: Path, asked: Try | bytes, *, prefix: tuple[str, ...] = (), **more_environment: str) -> Answer:
    """What the notifier answers. Raises AssertionError with what it printed if it ends in another way than it should."""
    ours, its = socket.socketpair()
    with ours, its:
        command = [*prefix, *python("heartbeatd.notify", "--config", config)]
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
                ours.sendall(asked.encode() if isinstance(asked, Try) else asked)
                ours.shutdown(socket.SHUT_WR)
                line = b"".join(iter(lambda: ours.recv(65536), b""))
                out, err = process.communicate(timeout=HANG_S)
            finally:
                process.kill()
    assert (process.returncode, out) == (0, b""), err.decode()
    assert line.count(b"\n") == 1, (line, err)
    return Answer.parse(line)
