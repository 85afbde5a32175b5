"""What comes of a request: an answer, or the reason for having none."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from heartbeatd.core.heartbeat import Cause

# Who answered in the server's place, why, when to ask again, and what may be sent.
EXPLAINING = ("cf-mitigated", "retry-after", "server", "access-control-allow-methods")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status, how long it took from the start of the try that got it, and those headers that explain it.

    `headers` has the names of `EXPLAINING` that were there, in lower case; a value is at most 100 characters long.
    `inspected` is what the request asked to know beside them.
    """

    status: int
    took_ms: float
    headers: Mapping[str, str] = field(default_factory=dict)
    inspected: "Inspected | None" = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """All headers, by their names in lower case; the beginning of the body; and until when the server's certificate is good.

    `certificate_ends_s` is in seconds since the epoch; None without TLS.
    """

    headers: Mapping[str, str]
    body: bytes
    certificate_ends_s: float | None


class RequestError(Exception):
    """No status came back; `cause` and `detail` say why. The detail names hosts and system errors, never a secret.

    `sent` is True if the request had gone out by then: the other side may have acted on it.
    """

    def __init__(self, cause: Cause, detail: str, *, sent: bool = False) -> None:
        self.cause, self.detail, self.sent = cause, detail, sent
        super().__init__(detail if cause in detail.casefold().split() else f"{cause}: {detail}")
