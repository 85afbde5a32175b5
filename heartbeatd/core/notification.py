"""Notifications: what is told, as it is queued and as it is delivered (see heartbeat-protocol(7))."""

import json
from dataclasses import dataclass, replace

from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.payload import AgentInfo, json_text
from heartbeatd.core.schedule import NS_PER_S, STEP_NS
from heartbeatd.core.text import Text
from heartbeatd.core.text.agent import gap_text, test_text
from heartbeatd.core.text.subjects import announcement_text
from heartbeatd.core.timefmt import format_duration, from_iso, rfc3339, to_lima

YEAR_NS = 366 * 86_400 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Notification:
    """One message in the queue. `body` is the JSON text of what is sent, less what only the moment of sending knows.

    Its moments are by the wall clock of the boot `boot_id`, which would have shown `booted_ns` at boot time 0.
    """

    event_id: str
    queued_ns: int
    body: str
    attempts: int = 0
    boot_id: str | None = None
    booted_ns: int | None = None


def of_announcement(agent: AgentInfo, announcement: Announcement, event_id: str, heartbeat_url: str) -> Notification:
    """The notification of an announcement. `heartbeat_url` is shown without user info and query."""
    observed = announcement.observed
    details = _Details(
        event=announcement.event,
        subject=str(observed.subject),
        previous=announcement.previous,
        current=observed.state,
        worker_status=None if observed.value is None else int(observed.value),
        cause=observed.reason,
        since_ns=announcement.since_ns,
        at_ns=observed.at_ns,
        duration_s=announcement.duration_s,
    )
    text = announcement_text(agent.host, announcement, heartbeat_url, agent.zone)
    return _notification(agent, event_id, text, details, heartbeat_url)


def of_gap(agent: AgentInfo, gap: Gap, event_id: str, heartbeat_url: str) -> Notification:
    """The notification of event `gap`: the agent, or the whole host, did not run for a while."""
    details = _Details(
        event=Event.GAP,
        subject="host" if gap.kind in (GapKind.SHUTDOWN, GapKind.POWER) else "agent",
        cause=gap.kind,
        since_ns=gap.since_ns,
        at_ns=gap.until_ns,
        duration_s=round(gap.duration_s, 3),
    )
    return _notification(agent, event_id, gap_text(agent.host, gap, agent.zone), details, heartbeat_url)


def of_test(agent: AgentInfo, at_ns: int, event_id: str, heartbeat_url: str) -> Notification:
    """A notification of event `test`: the same shape, with nothing wrong behind it."""
    details = _Details(event=Event.TEST, subject="worker", since_ns=at_ns, at_ns=at_ns)
    return _notification(agent, event_id, test_text(agent.host, at_ns, agent.zone), details, heartbeat_url)


@dataclass(frozen=True, slots=True)
class _Details:
    """What a notification says to programs; what does not apply to its event is null."""

    event: Event
    subject: str
    since_ns: int
    at_ns: int
    previous: str | None = None
    current: str | None = None
    worker_status: int | None = None
    cause: str | None = None
    duration_s: float | None = None


def _notification(agent: AgentInfo, event_id: str, text: Text, details: _Details, heartbeat_url: str) -> Notification:
    told = {
        "event_id": event_id,
        "event": details.event,
        "host": agent.host,
        "subject": details.subject,
        "previous": details.previous,
        "current": details.current,
        "worker_status": details.worker_status,
        "cause": details.cause,
        "since": rfc3339(details.since_ns),
        "at": rfc3339(details.at_ns),
        "duration_seconds": details.duration_s,
        "timestamp_lima": to_lima(details.at_ns),
        "heartbeat_url": heartbeat_url or None,
    }
    return Notification(
        event_id, details.at_ns, json_text({"title": text.title, "message": text.message, "details": told})
    )


def by_this_clock(notification: Notification, now_ns: int, boot_id: str, booted_ns: int) -> Notification:
    """`notification` with its moments by the clock of now, which would have shown `booted_ns` at the start of the boot `boot_id`.

    If the clock was set since, in this boot, by how much is known: `since`, `at` and the time in the queue are corrected, and the
    message, which may name times of day, says so. Of one from another boot whose moment cannot be true it is known that
    it has waited since this boot at least.
    """
    if notification.boot_id != boot_id or notification.booted_ns is None:
        believable = 0 <= now_ns - notification.queued_ns <= YEAR_NS
        return notification if believable else replace(notification, queued_ns=booted_ns)
    by_ns = booted_ns - notification.booted_ns
    if abs(by_ns) < STEP_NS:
        return notification
    which = f"set {'forward' if by_ns > 0 else 'back'} by {format_duration(abs(by_ns) / NS_PER_S)}"
    note = f" (Afterwards the clock of this host was {which}: times of day are by the old one.)"
    corrected = replace(notification, queued_ns=notification.queued_ns + by_ns)
    try:
        message = json.loads(notification.body)
        details = message["details"]
        since_ns, at_ns = from_iso(details["since"]), from_iso(details["timestamp_lima"]) + by_ns
        since_ns += by_ns if since_ns >= notification.booted_ns else 0
        moments = {"since": rfc3339(since_ns), "at": rfc3339(at_ns), "timestamp_lima": to_lima(at_ns)}
        body = json_text({**message, "message": message["message"] + note, "details": {**details, **moments}})
    except (ValueError, TypeError, KeyError):  # not a body of ours: whoever sends it says so
        return corrected
    return replace(corrected, body=body)


def delivery(notification: Notification, now_ns: int) -> bytes:
    """The body of one try to deliver `notification`: with its `attempt` (from 1) and the `queued_seconds` it has waited.

    A message that waited a minute or more says so in its text, since it speaks of the past. Raises ValueError if what was
    stored is no JSON object.
    """
    message: object = json.loads(notification.body)
    if not isinstance(message, dict):
        raise ValueError("no JSON object")
    queued_s = max(0.0, round((now_ns - notification.queued_ns) / NS_PER_S, 3))
    if queued_s >= 60:
        message["message"] = (
            f"{message.get('message', '')} (This message waited {format_duration(queued_s)} to be delivered.)"
        )
    details = message.get("details")
    message["details"] = {
        **(details if isinstance(details, dict) else {}),
        "attempt": notification.attempts + 1,
        "queued_seconds": queued_s,
    }
    return json_text(message).encode()


def with_attempt(notification: Notification) -> Notification:
    """The alert after one more try."""
    return replace(notification, attempts=notification.attempts + 1)
