"""The heartbeat's result: a status, or the cause of having none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# In the detail of `dns`: the name was looked up, or is none, so that no uplink can explain it.
BLOCKED = "is blocked by a DNS filter"
NO_NAME = "is no host name"


class Cause(StrEnum):
    """Why no answer came back."""

    NO_INTERNET = "no internet"
    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TLS = "tls"
    RESET = "reset"
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True)
class HeartbeatResult:
    """The outcome of one heartbeat: a status, or the cause of having none."""

    status: int | None
    cause: Cause | None = None
    detail: str = ""
    took_ms: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)  # of the answer, those of `net.answer.EXPLAINING`


def is_no_route(cause: str | None, detail: str) -> bool:
    """True if the connection was not refused by the other side: `refused` is also what the system does not let through."""
    return cause == Cause.REFUSED and detail not in ("", "Connection refused")
