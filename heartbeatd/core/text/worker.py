"""What is told of the Worker: that it has changed, why, and what follows."""

from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.heartbeat import Cause, is_no_route
from heartbeatd.core.text import Text
from heartbeatd.core.timefmt import Zone, clock, format_duration
from heartbeatd.core.worker import WorkerState

CAUSES: dict[str, str] = {
    Cause.NO_INTERNET: "no internet",
    Cause.DNS: "name resolution failed",
    Cause.REFUSED: "connection refused",
    Cause.TIMEOUT: "no answer in time",
    Cause.TLS: "TLS failed",
    Cause.RESET: "connection broken off",
    Cause.PROTOCOL: "the answer is not HTTP",
}

_MAY_REPORT = "may report this host as down"
CONSEQUENCES: dict[str, str] = {
    WorkerState.OK: "",
    WorkerState.DEGRADED: "Heartbeats arrive, but the Worker cannot be relied on to announce a recovery.",
    WorkerState.REJECTED: f"While this lasts no heartbeat is accepted, and the Worker {_MAY_REPORT}.",
    WorkerState.ERROR: f"While this lasts heartbeats may not be recorded, and the Worker {_MAY_REPORT}.",
    WorkerState.UNREACHABLE: f"While this lasts the Worker {_MAY_REPORT}; if the Worker itself is down, nobody outside is "
    "watching this host.",
}
_UPLINK_DOWN = f"While this lasts the Worker {_MAY_REPORT}."
_AGAIN: dict[str, str] = {
    WorkerState.UNREACHABLE: "heartbeats reach the Worker again",
    WorkerState.REJECTED: "the Worker accepts heartbeats again",
    WorkerState.ERROR: "the Worker records heartbeats again",
}


_VERBS = {Event.PROBLEM: "is", Event.CHANGE: "is now", Event.REMINDER: "is still"}


def why(status: float | None, cause: str | None, detail: str = "") -> str:
    """The reason in a few words: the cause, or the status, or nothing."""
    if cause is not None:
        return "no connection" if is_no_route(cause, detail) else CAUSES.get(cause, cause)
    return f"HTTP {status}" if status is not None else ""


def consequence(state: str, cause: str | None) -> str:
    """What follows while the Worker is in this state, in a sentence."""
    return _UPLINK_DOWN if cause == Cause.NO_INTERNET else CONSEQUENCES[state]


def worker_text(host: str, announcement: Announcement, zone: Zone, heartbeat_url: str) -> Text:
    """The text for a change of the Worker's state."""
    make = _recovery if announcement.event is Event.RECOVERY else _not_ok
    return make(host, announcement, zone, heartbeat_url)


def _not_ok(host: str, announcement: Announcement, zone: Zone, heartbeat_url: str) -> Text:
    observed = announcement.observed
    reason = why(observed.value, observed.reason, observed.detail)
    since = clock(announcement.since_ns, zone)
    if announcement.event is Event.REMINDER:
        parts = [f"The heartbeat Worker at {heartbeat_url} is still {observed.state}, since {since}."]
        if announcement.duration_s is not None:
            parts.append(f"It has not been ok for {format_duration(announcement.duration_s)}.")
    else:
        parts = [
            f"The heartbeat Worker at {heartbeat_url} went from {announcement.previous} to {observed.state} at {since}."
        ]
    if observed.reason is not None:
        more = observed.detail and observed.detail.casefold() != reason.casefold()
        parts.append(f"Likely cause: {reason}{f': {observed.detail}' if more else ''}.")
    elif observed.value is not None:
        parts.append(f"It answers HTTP {observed.value}{f': {observed.detail}' if observed.detail else ''}.")
    parts += [observed.hint, consequence(observed.state, observed.reason)]
    verb = _VERBS[announcement.event]
    return Text(f"{host}: the heartbeat Worker {verb} {observed.state} ({reason})", " ".join(filter(None, parts)))


def _recovery(host: str, announcement: Announcement, zone: Zone, heartbeat_url: str) -> Text:
    duration_s = announcement.duration_s
    lasted = format_duration(duration_s) if duration_s is not None else "a time that is not known"
    on_and_off = ", on and off" if announcement.flapping else ""
    cause = announcement.previous_reason
    # Only the cause is known of then: `refused` may also have been a connection that the system did not let through.
    reason = f" ({'no connection' if cause == Cause.REFUSED else CAUSES.get(cause, cause)})" if cause else ""
    again = _AGAIN.get(announcement.previous, "the heartbeat Worker is ok again")
    return Text(
        f"{host}: {again}" + (f" after {lasted}" if duration_s is not None else ""),
        f"The heartbeat Worker at {heartbeat_url} is ok again (HTTP {announcement.observed.value}) since "
        f"{clock(announcement.since_ns, zone)}. Before that it was {announcement.previous}{reason}. The problem lasted "
        f"{lasted}{on_and_off}.",
    )
