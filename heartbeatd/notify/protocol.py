"""What is said on the notifier's socket: one line of JSON each way, see heartbeat-protocol(7).

It is asked for one of two things: a `Try` to deliver a notification to a channel, or a `Check` of a channel, which sends nobody
anything. To a try it answers with an `Answer`, to a check with a `Report`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from heartbeatd.core.delivery import Failure
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.notification import Notification
from heartbeatd.core.payload import json_text
from heartbeatd.core.subject import Severity
from heartbeatd.core.timefmt import from_iso, rfc3339

LARGEST_BYTES = 256 << 10
LONGEST_S = 60.0
_NO_JSON = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class Try:
    """One try to deliver one notification, as it is told at this try, to one channel, within `timeout_s` in all."""

    channel: str
    timeout_s: float
    notification: Notification

    def encode(self) -> bytes:
        """The line that asks for it."""
        told = self.notification
        notification = {
            "event_id": told.event_id,
            "at": rfc3339(told.at_ns),
            "severity": told.severity,
            "title": told.title,
            "message": told.message,
            "details": told.details,
        }
        asked = {"channel": self.channel, "timeout_seconds": self.timeout_s, "notification": notification}
        return json_text(asked).encode() + b"\n"

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> "Try":
        """Raises what a wrong kind of value raises."""
        told = asked["notification"]
        texts = asked["channel"], told["event_id"], told["title"], told["message"]
        if not (all(isinstance(text, str) for text in texts) and isinstance(told["details"], dict)):
            raise TypeError
        notification = Notification(
            told["event_id"],
            from_iso(told["at"]),
            Severity(told["severity"]),
            told["title"],
            told["message"],
            told["details"],
        )
        return cls(asked["channel"], _bounded(asked), notification)


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a notification would reach this channel, as far as that can be known within `timeout_s` without one."""

    channel: str
    timeout_s: float

    def encode(self) -> bytes:
        """The line that asks for it."""
        return json_text({"check": self.channel, "timeout_seconds": self.timeout_s}).encode() + b"\n"

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> "Check":
        """Raises what a wrong kind of value raises."""
        if not isinstance(asked["check"], str):
            raise TypeError
        return cls(asked["check"], _bounded(asked))


def parse_request(line: bytes) -> Try | Check:
    """Raises ValueError if it asks for nothing that can be done."""
    try:
        asked = json.loads(line)
        return Check.of(asked) if "check" in asked else Try.of(asked)
    except _NO_JSON:
        raise ValueError("this asks for neither a delivery nor a check") from None


def _bounded(asked: Mapping[str, Any]) -> float:
    return min(max(float(asked["timeout_seconds"]), 0.1), LONGEST_S)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a try ended. `failure` is None if it was delivered; `status` is that of HTTP, if there was one."""

    failure: Failure | None = None
    reason: str = ""
    status: int | None = None

    def encode(self) -> bytes:
        """The line that says it."""
        if self.failure is None:
            said: dict[str, object] = {"delivered": True, "status": self.status}
        else:
            said = {"delivered": False, "reason": self.reason, "retry": self.failure}
        return json_text(said).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> "Answer":
        """Raises ValueError if it is none, as where the notifier could not be started, and nothing was said."""
        try:
            said = json.loads(line)
            if said["delivered"] is True:
                return cls(status=said.get("status"))
            return cls(Failure(said["retry"]), str(said["reason"]))
        except _NO_JSON:
            raise ValueError("the notifier gave no answer") from None


class Reached(StrEnum):
    """How far a check came without sending anybody anything."""

    NOTHING = "nothing"  # what is needed is missing, or nothing could be reached
    UNDERSTOOD = "understood"  # the library takes the URL, which says no more
    CONNECTED = "connected"  # a connection was made to where the channel is
    SECURED = "secured"  # and the certificate there is trusted
    ANSWERED = "answered"  # a server answered whether it would take a POST


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. No field holds a secret.

    `address` is where it looked, as far as that may be shown. `reason` says why it came no further, `failure` whether a try would
    be made again all the same, and `cause` what kept an answer away. `status` and `methods` are those of the answer, `authorized`
    says whether the question came with a password or header of the user's. `source` is where the URL is from.
    """

    reached: Reached
    address: str = ""
    reason: str = ""
    failure: Failure | None = None
    cause: Cause | None = None
    status: int | None = None
    methods: str = ""
    took_ms: float = 0.0
    authorized: bool = False
    source: str = ""

    def encode(self) -> bytes:
        """The line that says it."""
        return json_text(asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> "Report":
        """Raises ValueError if it is none."""
        try:
            said = json.loads(line)
            return cls(
                Reached(said["reached"]),
                str(said["address"]),
                str(said["reason"]),
                None if said["failure"] is None else Failure(said["failure"]),
                None if said["cause"] is None else Cause(said["cause"]),
                None if said["status"] is None else int(said["status"]),
                str(said["methods"]),
                float(said["took_ms"]),
                bool(said["authorized"]),
                str(said["source"]),
            )
        except _NO_JSON:
            raise ValueError("the notifier gave no report") from None
