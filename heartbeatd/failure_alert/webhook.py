"""One try to deliver an alert."""

import contextlib
import errno
import http.client
import json
import signal
import ssl
import urllib.parse
from base64 import b64encode
from collections.abc import Iterator

TIMEOUT_S = 10.0  # for each step of a try
TRY_S = 20.0


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
        with contextlib.closing(connection), at_most(TRY_S):
            connection.request("POST", path, data.encode(), headers)
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return getattr(error, "strerror", None) or type(error).__name__
    return None if 200 <= status < 300 else f"HTTP {status}"


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in the block after that time: an answer need never end, and each part of it be in time."""

    def end(number: int, frame: object) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "no answer in time")

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # and again: a destructor that is interrupted drops the error
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
