"""heartbeatd-failed.service: tells the webhook that the agent does not run, once for each time that it fails.

systemd gives the agent up for a configuration that is refused, and starts this (`OnFailure=`). Whatever else it fails of, it is
started again for ever, so a timer has this look every two minutes whether it comes up: told is what goes on for
`LASTING_SECONDS`. What was seen and told is noted in the runtime directory; the agent, once its first cycle is over, takes the
notes away, and says that it runs again.

Why it fails is not known here: the package may be broken, the configuration refused, the database gone. So this stands alone:
the standard library only, nothing of this package, and of a configuration that is not even TOML it still takes the line with
the webhook's URL. Tries are repeated after 5 s, 10 s, 20 s … for `PATIENCE_S`; then the next look is the next try.
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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

UNIT = "heartbeatd.service"
NOTES = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
WATCHING = Path("/run/heartbeatd/watching")
SEEN, TOLD = "seen", "told"
FORGET_S = 300.0  # between two looks while it is down lie two minutes
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
    """Exit status 0: told, or there is nothing or nobody to tell; 1: nobody would hear it."""
    if NOTES and Path(NOTES, TOLD).exists():
        return 0
    failure = seen()
    if failure is None:
        return 0
    config = _read(sys.argv[1] if len(sys.argv) > 1 else CONFIG)
    url = _credential() or setting(config, "alerts", "webhook_url")
    if not url:
        print("no alerts.webhook_url can be found: nobody is told that heartbeatd failed", file=sys.stderr)
        _note(TOLD, "")  # or it would be said every two minutes
        return 0
    host = setting(config, "agent", "hostname") or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())  # any bytes
    body = alert(host, failure)
    began_s, pause_s, attempt = time.monotonic(), FIRST_PAUSE_S, 1
    while True:
        problem = post(url, body, attempt, time.monotonic() - began_s)
        if problem is None:
            print("the webhook knows that heartbeatd failed")
            _note(TOLD, "")
            return 0
        print(f"the webhook does not know yet that heartbeatd failed, attempt {attempt}: {problem}", file=sys.stderr)
        if time.monotonic() - began_s + pause_s > PATIENCE_S:
            return 1
        time.sleep(pause_s)
        pause_s, attempt = min(2 * pause_s, LONGEST_PAUSE_S), attempt + 1


@dataclass(frozen=True, slots=True)
class Failure:
    """That the agent does not run: systemd's word for how it ended, and its exit status or signal.

    `lasting_s` is for how long systemd has been starting it again and again; None if it has given it up.
    """

    result: str
    status: str
    lasting_s: float | None = None

    @property
    def refused(self) -> bool:
        """True for a configuration that was refused."""
        return self.result == "exit-code" and self.status in ("78", "CONFIG")

    @property
    def cause(self) -> str:
        """In a few words, e.g. `exit-code 226`."""
        if self.refused:
            return "configuration refused"
        more = f" {self.status}" if self.status and self.result in ("exit-code", "signal", "core-dump") else ""
        return f"{self.result or 'unknown'}{more}"


def seen() -> Failure | None:
    """How it has failed; None if it has not, or not for long enough, or was stopped."""
    by = os.environ.get("MONITOR_UNIT", UNIT)
    result, status = (os.environ.get(f"MONITOR_{name}", "") for name in ("SERVICE_RESULT", "EXIT_STATUS"))
    if by != UNIT and status == "1":
        return None  # started for heartbeatd-failed.service, which ran and found nobody to hear it
    if "MONITOR_UNIT" in os.environ:
        time.sleep(SETTLE_S)  # from version 254 on, OnFailure= also counts failures that systemd recovers from
    unit = _unit()
    if not unit:  # if nobody can tell, it is better told once too often
        return Failure(result, status) if by == UNIT else None
    if stop_took_too_long(unit):
        return None
    if unit["ActiveState"] == "failed":
        return Failure(unit["Result"], unit["ExecMainStatus"])
    patience_s = float(os.environ.get("LASTING_SECONDS", "100"))
    lasting_s = lasting(int(unit["NRestarts"] or 0), time.monotonic())
    if lasting_s < patience_s:
        return None
    if unit["ActiveState"] == "active":  # hung before its first cycle is over, or right at last: that is soon known
        time.sleep(patience_s / 8)
        return None if WATCHING.exists() else Failure(unit["Result"], "", lasting_s)
    for _ in range(10):
        if unit.get("Result", "success") != "success":  # as it is while systemd tries once more
            return Failure(unit["Result"], unit["ExecMainStatus"], lasting_s)
        time.sleep(0.5)
        unit = _unit()
    return Failure("", "", lasting_s)


def stop_took_too_long(unit: dict[str, str]) -> bool:
    """True if somebody had it stopped, and it could not end in time: a thread that waits for a frozen filesystem cannot.

    Whatever else takes too long is started again by `Restart=always`, unless its exit status is that of a refusal.
    """
    stopped = (unit["ActiveState"], unit["Result"], unit["Restart"]) == ("failed", "timeout", "always")
    return stopped and unit["ExecMainStatus"] != "78"


def lasting(restarts: int, now_s: float) -> float:
    """For how many seconds it has been seen to be down at each look, and started again in between.

    `restarts` is how often systemd has started it again, `now_s` now on the monotonic clock.
    """
    first_s, last_s, before = now_s, now_s, restarts
    words = _read(f"{NOTES}/{SEEN}").split() if NOTES else []
    if len(words) == 3:
        first_s, last_s, before = float(words[0]), float(words[1]), int(words[2])
    if now_s - last_s > FORGET_S or restarts < before:  # it was up in between, or was started by somebody
        first_s, before = now_s, restarts
    _note(SEEN, f"{first_s} {now_s} {before}")
    return now_s - first_s if restarts > before else 0.0


def _unit() -> dict[str, str]:
    """The agent's unit, as systemd has it; empty if it does not say."""
    names = ("ActiveState", "Result", "ExecMainStatus", "NRestarts", "Restart")
    words = ["systemctl", "show", UNIT, *(f"--property={name}" for name in names)]
    try:
        shown = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    return found if set(names) <= set(found) else {}


def _note(name: str, text: str) -> None:
    """Keep it for the next look."""
    if NOTES:
        try:
            Path(NOTES, name).write_text(text)
        except OSError as error:
            print(f"{NOTES}/{name}: {error.strerror}", file=sys.stderr)


def setting(config: bytes, section: str, key: str) -> str:
    """A text of the configuration, or nothing; if the file is not TOML, from the first line that looks like it."""
    config = config.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n")  # as other systems' editors write it
    try:
        value = tomllib.loads(config.decode()).get(section, {}).get(key, "")
        return value if isinstance(value, str) else ""
    except (ValueError, AttributeError, RecursionError):
        found = re.search(rb"^[ \t]*" + key.encode() + rb"""[ \t]*=[ \t]*["']([^"']*)["']""", config, re.MULTILINE)
        return found.group(1).decode("ascii", "ignore") if found else ""


def alert(host: str, failure: Failure) -> dict[str, object]:
    """The message, in the shape of every other alert (heartbeat-protocol(7))."""
    now = datetime.now(UTC)
    stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    title, message = text(host, failure)
    return {
        "title": title,
        "message": message,
        "details": {
            "event_id": str(uuid.uuid4()),
            "event": "failure",
            "host": host,
            "subject": "agent",
            "previous": None,
            "current": None,
            "worker_status": None,
            "cause": failure.cause,
            "since": stamp,
            "at": stamp,
            "duration_seconds": None,
            "timestamp_lima": now.astimezone(LIMA).isoformat(timespec="microseconds"),
            "heartbeat_url": None,
        },
    }


def text(host: str, failure: Failure) -> tuple[str, str]:
    """Title and message."""
    unseen = "Nobody watches this host from inside now, and the Worker receives no heartbeats."
    check = "sudo heartbeatctl check, which says what is in the way; " if failure.refused or failure.lasting_s else ""
    look = f"On the host: {check}sudo journalctl -u heartbeatd -e"
    if failure.lasting_s is None:
        return (
            f"{host}: heartbeatd has failed and is not started again ({failure.cause})",
            f"The agent on {host} ended ({failure.cause}), and systemd does not start it again. {unseen} {look}; then sudo "
            "systemctl restart heartbeatd.",
        )
    return (
        f"{host}: heartbeatd does not come up ({failure.cause})",
        f"For {failure.lasting_s:.0f} seconds or more systemd has started the agent on {host} again and again, and it ends "
        f"before its first cycle is over ({failure.cause}). {unseen} systemd goes on trying. {look}.",
    )


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
