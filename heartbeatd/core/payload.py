"""What goes over the wire, as JSON text: the heartbeat's body and the alert's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from heartbeatd.core import wording
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.model import Alert, Announcement, Event, Sample
from heartbeatd.core.schedule import NS_PER_S, STEP_NS
from heartbeatd.core.timefmt import LIMA_ZONE, Zone, format_duration, from_iso, rfc3339, to_lima

JsonObject = Mapping[str, object]
YEAR_NS = 366 * 86_400 * NS_PER_S


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """Who sends: the host's name, the agent's version, when it started (wall clock, ns), and the zone its people read."""

    host: str
    version: str
    started_ns: int
    zone: Zone = LIMA_ZONE


def heartbeat_body(agent: AgentInfo, sample: Sample, row_id: str, sequence: int) -> bytes:
    """The heartbeat of one cycle: JSON with `host`, `timestamp` (UTC, RFC 3339), `sequence`, `agent`, `metrics`, `services`.

    `metrics` has the row's values under the row's names; the two that come to be known only later, `worker_status` and
    `cycle_duration_ms`, are not in it.
    """
    return _json(
        {
            "host": agent.host,
            "timestamp": rfc3339(sample.taken_ns),
            "sequence": sequence,
            "agent": {"version": agent.version, "started_at": rfc3339(agent.started_ns)},
            "metrics": {
                "id": row_id,
                "timestamp_lima": to_lima(sample.taken_ns),
                "cpu_percent": sample.cpu_percent,
                "ram_percent": sample.ram_percent,
                "ram_used_mb": sample.ram_used_mb,
                "disk_percent": sample.disk_percent,
                "container_count": sample.container_count,
                "internet_ok": None if sample.internet_ok is None else int(sample.internet_ok),
                "ping_ms": sample.ping_ms,
            },
            "services": {},
        }
    ).encode()


def change_alert(agent: AgentInfo, change: Announcement, event_id: str, heartbeat_url: str) -> Alert:
    """The alert that announces `change`. `heartbeat_url` is shown without user info and query."""
    details = _Details(
        event=change.event,
        subject="worker",
        previous=change.previous,
        current=change.current,
        worker_status=change.status,
        cause=change.cause,
        since_ns=change.since_ns,
        at_ns=change.at_ns,
        duration_s=change.duration_s,
    )
    return _alert(
        agent, event_id, wording.announce(agent.host, change, heartbeat_url, agent.zone), details, heartbeat_url
    )


def gap_alert(agent: AgentInfo, gap: Gap, event_id: str, heartbeat_url: str) -> Alert:
    """The alert of event `gap`: the agent, or the whole host, did not run for a while."""
    details = _Details(
        event=Event.GAP,
        subject="host" if gap.kind in (GapKind.SHUTDOWN, GapKind.POWER) else "agent",
        cause=gap.kind,
        since_ns=gap.since_ns,
        at_ns=gap.until_ns,
        duration_s=round(gap.duration_s, 3),
    )
    return _alert(agent, event_id, wording.gap(agent.host, gap, agent.zone), details, heartbeat_url)


def test_alert(agent: AgentInfo, at_ns: int, event_id: str, heartbeat_url: str) -> Alert:
    """An alert of event `test`: the same shape, with nothing wrong behind it."""
    details = _Details(event=Event.TEST, subject="worker", since_ns=at_ns, at_ns=at_ns)
    return _alert(agent, event_id, wording.test(agent.host, at_ns, agent.zone), details, heartbeat_url)


@dataclass(frozen=True, slots=True)
class _Details:
    """What an alert says to programs; what does not apply to its event is null."""

    event: Event
    subject: str
    since_ns: int
    at_ns: int
    previous: str | None = None
    current: str | None = None
    worker_status: int | None = None
    cause: str | None = None
    duration_s: float | None = None


def _alert(agent: AgentInfo, event_id: str, text: wording.Text, details: _Details, heartbeat_url: str) -> Alert:
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
    return Alert(event_id, details.at_ns, _json({"title": text.title, "message": text.message, "details": told}))


def by_this_clock(alert: Alert, now_ns: int, boot_id: str, booted_ns: int) -> Alert:
    """`alert` with its moments by the clock of now, which would have shown `booted_ns` at the start of the boot `boot_id`.

    If the clock was set since, in this boot, by how much is known: `since`, `at` and the time in the queue are corrected, and the
    message, which may name times of day, says so. Of an alert from another boot whose moment cannot be true it is known that
    it has waited since this boot at least.
    """
    if alert.boot_id != boot_id or alert.booted_ns is None:
        believable = 0 <= now_ns - alert.queued_ns <= YEAR_NS
        return alert if believable else replace(alert, queued_ns=booted_ns)
    by_ns = booted_ns - alert.booted_ns
    if abs(by_ns) < STEP_NS:
        return alert
    which = f"set {'forward' if by_ns > 0 else 'back'} by {format_duration(abs(by_ns) / NS_PER_S)}"
    note = f" (Afterwards the clock of this host was {which}: times of day are by the old one.)"
    corrected = replace(alert, queued_ns=alert.queued_ns + by_ns)
    try:
        message = json.loads(alert.body)
        details = message["details"]
        since_ns, at_ns = from_iso(details["since"]), from_iso(details["timestamp_lima"]) + by_ns
        since_ns += by_ns if since_ns >= alert.booted_ns else 0
        moments = {"since": rfc3339(since_ns), "at": rfc3339(at_ns), "timestamp_lima": to_lima(at_ns)}
        body = _json({**message, "message": message["message"] + note, "details": {**details, **moments}})
    except (ValueError, TypeError, KeyError):  # not a body of ours: whoever sends it says so
        return corrected
    return replace(corrected, body=body)


def delivery(alert: Alert, now_ns: int) -> bytes:
    """The body of one try to deliver `alert`: with its `attempt` (from 1) and the `queued_seconds` it has waited.

    A message that waited a minute or more says so in its text, since it speaks of the past. Raises ValueError if what was
    stored is no JSON object.
    """
    message: object = json.loads(alert.body)
    if not isinstance(message, dict):
        raise ValueError("no JSON object")
    queued_s = max(0.0, round((now_ns - alert.queued_ns) / NS_PER_S, 3))
    if queued_s >= 60:
        message["message"] = (
            f"{message.get('message', '')} (This message waited {format_duration(queued_s)} to be delivered.)"
        )
    details = message.get("details")
    message["details"] = {
        **(details if isinstance(details, dict) else {}),
        "attempt": alert.attempts + 1,
        "queued_seconds": queued_s,
    }
    return _json(message).encode()


def with_attempt(alert: Alert) -> Alert:
    """The alert after one more try."""
    return replace(alert, attempts=alert.attempts + 1)


def _json(value: JsonObject) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
