"""heartbeatd-failed.service: tells the webhook that systemd has given the agent up (`OnFailure=`).

When this runs the agent has failed for good, for a reason nobody knows here: the package may be broken, the configuration
refused, the database gone. So it stands alone: the standard library only, nothing of this package, and of a configuration that
is not even TOML it still takes the line with the webhook's URL. Tries are repeated after 5 s, 10 s, 20 s … for `PATIENCE_S`.
"""

import contextlib
import errno
import http.client
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import tomllib
import urllib.parse
import uuid
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

CONFIG = "/etc/heartbeat/config.toml"
SETTLE_S = 2.0
TIMEOUT_S = 10.0  # for each step of a try
TRY_S = 20.0
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
PATIENCE_S = 600.0
LARGEST_BYTES = 1 << 20
LIMA = timezone(timedelta(hours=-5))


def main() -> int:
    """Exit status 0: told, or there is nobody to tell; 1: nobody would hear it."""
    if started_again():
        return 0
    config = _read(sys.argv[1] if len(sys.argv) > 1 else CONFIG)
    url = _credential() or setting(config, "alerts", "webhook_url")
    if not url:
        print("no alerts.webhook_url can be found: nobody is told that heartbeatd failed", file=sys.stderr)
        return 0
    host = setting(config, "agent", "hostname") or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())  # any bytes
    body = alert(host, os.environ.get("MONITOR_SERVICE_RESULT", ""), os.environ.get("MONITOR_EXIT_STATUS", ""))
    began_s, pause_s, attempt = time.monotonic(), FIRST_PAUSE_S, 1
    while True:
        problem = post(url, body, attempt, time.monotonic() - began_s)
        if problem is None:
            print("the webhook knows that heartbeatd failed")
            return 0
        print(f"the webhook does not know yet that heartbeatd failed, attempt {attempt}: {problem}", file=sys.stderr)
        if time.monotonic() - began_s + pause_s > PATIENCE_S:
            return 1
        time.sleep(pause_s)
        pause_s, attempt = min(2 * pause_s, LONGEST_PAUSE_S), attempt + 1


def started_again() -> bool:
    """True if systemd has not given it up after all: from version 254 on, OnFailure= also counts failures it recovers from."""
    unit = os.environ.get("MONITOR_UNIT", "")
    if not unit:
        return False
    time.sleep(SETTLE_S)
    words = ["systemctl", "show", "--property=ActiveState", "--value", unit]
    try:
        state = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return False  # if nobody can tell, it is better told once too often
    return state != "failed"


def setting(config: bytes, section: str, key: str) -> str:
    """A text of the configuration, or nothing; if the file is not TOML, from the first line that looks like it."""
    config = config.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n")  # as other systems' editors write it
    try:
        value = tomllib.loads(config.decode()).get(section, {}).get(key, "")
        return value if isinstance(value, str) else ""
    except (ValueError, AttributeError, RecursionError):
        found = re.search(rb"^[ \t]*" + key.encode() + rb"""[ \t]*=[ \t]*["']([^"']*)["']""", config, re.MULTILINE)
        return found.group(1).decode("ascii", "ignore") if found else ""


def alert(host: str, result: str, status: str) -> dict[str, object]:
    """The message, in the shape of every other alert (heartbeat-protocol(7))."""
    now = datetime.now(UTC)
    refused = result == "exit-code" and status in ("78", "CONFIG")
    more = f" {status}" if status and result in ("exit-code", "signal", "core-dump") else ""
    cause = "configuration refused" if refused else f"{result or 'unknown'}{more}"
    stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "title": f"{host}: heartbeatd has failed and is not started again ({cause})",
        "message": f"The agent on {host} ended ({cause}), and systemd does not start it again. Nobody watches this host "
        "from inside now, and the Worker receives no heartbeats. On the host: journalctl -u heartbeatd -e, "
        + ("heartbeatctl check, " if refused else "")
        + "then systemctl restart heartbeatd.",
        "details": {
            "event_id": str(uuid.uuid4()),
            "event": "failure",
            "host": host,
            "subject": "agent",
            "previous": None,
            "current": None,
            "worker_status": None,
            "cause": cause,
            "since": stamp,
            "at": stamp,
            "duration_seconds": None,
            "timestamp_lima": now.astimezone(LIMA).isoformat(timespec="microseconds"),
            "heartbeat_url": None,
        },
    }


def post(url: str, body: dict[str, object], attempt: int, queued_s: float) -> str | None:
    """One try; what went wrong, or None if the webhook answered 2xx. Never shows the URL, which may hold a secret."""
    details = body["details"]
    assert isinstance(details, dict)
    data = json.dumps({**body, "details": {**details, "attempt": attempt, "queued_seconds": round(queued_s, 3)}})
    headers = {"Content-Type": "application/json", "User-Agent": "heartbeatd"}
    try:
        parts = urllib.parse.urlsplit(url)
        if "@" in parts.path + parts.query + parts.fragment:
            return "a password in the URL ends it early, so it is not known where it leads"
        if parts.username is not None:
            word = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            headers["Authorization"] = "Basic " + b64encode(word.encode()).decode()
        if parts.scheme == "https":
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with contextlib.closing(connection), _at_most(TRY_S):
            connection.request("POST", path, data.encode(), headers)
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return getattr(error, "strerror", None) or type(error).__name__
    return None if 200 <= status < 300 else f"HTTP {status}"


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in the block after that time: an answer need never end, and each part of it be in time."""

    def end(number: int, frame: object) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "no answer in time")

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(
        signal.ITIMER_REAL, seconds, 1.0
    )  # and again, if nobody heard the first: a destructor hears nothing
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _credential() -> str:
    """The URL as a credential, if systemd passed it."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    for name in ("heartbeat.webhook_url", "heartbeat.webhook_url.plain") if folder else ():
        if text := _read(f"{folder}/{name}").decode("ascii", "ignore").strip():
            return text
    return ""


def _read(path: str) -> bytes:
    """What is in the file; nothing if it cannot be read, or is no regular file: a FIFO would hold us for ever."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            return file.read(LARGEST_BYTES) if stat.S_ISREG(os.fstat(opened).st_mode) else b""
    except OSError as error:
        if error.errno != 2:
            print(f"{path}: {error.strerror}", file=sys.stderr)
        return b""


if __name__ == "__main__":
    sys.exit(main())
