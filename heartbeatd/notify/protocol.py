"""What is said on the notifier's socket: one line of JSON each way, see heartbeat-protocol(7)."""

import json
from dataclasses import dataclass

from heartbeatd.core.delivery import Failure
from heartbeatd.core.notification import Notification
from heartbeatd.core.payload import json_text
from heartbeatd.core.subject import Severity
from heartbeatd.core.timefmt import from_iso, rfc3339

LARGEST_BYTES = 256 << 10
LONGEST_S = 60.0


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
    def parse(cls, line: bytes) -> "Try":
        """Raises ValueError if it asks for nothing that can be done."""
        try:
            asked = json.loads(line)
            told = asked["notification"]
            texts = asked["channel"], told["event_id"], told["title"], told["message"]
            if not (all(isinstance(text, str) for text in texts) and isinstance(told["details"], dict)):
                raise TypeError
            return cls(
                asked["channel"],
                min(max(float(asked["timeout_seconds"]), 0.1), LONGEST_S),
                Notification(
                    told["event_id"],
                    from_iso(told["at"]),
                    Severity(told["severity"]),
                    told["title"],
                    told["message"],
                    told["details"],
                ),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            raise ValueError("this is no notification to deliver") from None


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
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError("the notifier gave no answer") from None
