"""What is said on the notifier's socket: one line of JSON each way, see heartbeat-protocol(7).

It is asked for one of three things: a `Try` to deliver a notification to a channel, a `Check` of a channel, which sends nobody
anything, or to `ListChannels`. To a try it answers with an `Answer`, to a check with a `Report`, to the last with what is
`Listed`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar

from heartbeatd.core.delivery import Channel, Failure
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


@dataclass(frozen=True, slots=True)
class ListChannels:
    """Which channels there are, for one who does not read the configuration."""

    timeout_s: ClassVar[float] = 5.0  # it waits for nobody but the disk

    def encode(self) -> bytes:
        """The line that asks for it."""
        return json_text({"channels": True}).encode() + b"\n"


Request = Try | Check | ListChannels


def parse_request(line: bytes) -> Request:
    """Raises ValueError if it asks for nothing that can be done."""
    try:
        asked = json.loads(line)
        if "channels" in asked:
            return ListChannels()
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


@dataclass(frozen=True, slots=True)
class Listed:
    """The channels there are; and what else of the configuration a notification is made with: the host's name, "" for its own."""

    channels: tuple[Channel, ...]
    hostname: str = ""
    language: str = "en"

    def encode(self) -> bytes:
        """The line that says it."""
        channels = [
            {"name": one.name, "timeout_seconds": one.timeout_s, "least": one.least, "events": one.events}
            for one in self.channels
        ]
        return json_text({"channels": channels, "hostname": self.hostname, "language": self.language}).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> "Listed":
        """Raises ValueError if it is none: then what was said is why, if that was an `Answer`."""
        try:
            said = json.loads(line)
            channels = tuple(
                Channel(
                    str(one["name"]),
                    float(one["timeout_seconds"]),
                    Severity(one["least"]),
                    tuple(map(str, one["events"])),
                )
                for one in said["channels"]
            )
            return cls(channels, str(said["hostname"]), str(said["language"]))
        except _NO_JSON:
            raise ValueError("the notifier does not say which channels there are") from None
