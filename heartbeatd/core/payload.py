"""What goes over the wire, as JSON text: the heartbeat's body and the alert's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from heartbeatd.core import wording
from heartbeatd.core.model import Alert, Change, Event, Sample
from heartbeatd.core.moments import length, lima, rfc3339
from heartbeatd.core.schedule import NS_PER_S

JsonObject = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Agent:
    """Who sends: the host's name, the agent's version and when it started (wall clock, ns)."""

    host: str
    version: str
    started_ns: int


def heartbeat_body(agent: Agent, sample: Sample, row_id: str, sequence: int) -> bytes:
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
                "timestamp_lima": lima(sample.taken_ns),
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


def change_alert(agent: Agent, change: Change, event_id: str, heartbeat_url: str) -> Alert:
    """The alert that announces `change`. `heartbeat_url` is shown without user info and query."""
    text = wording.announce(agent.host, change, heartbeat_url)
    details = {
        "event_id": event_id,
        "event": change.event,
        "host": agent.host,
        "subject": "worker",
        "previous": change.previous,
        "current": change.current,
        "worker_status": change.status,
        "cause": change.cause,
        "since": rfc3339(change.since_ns),
        "at": rfc3339(change.at_ns),
        "duration_seconds": change.duration_s,
        "timestamp_lima": lima(change.at_ns),
        "heartbeat_url": heartbeat_url,
    }
    body = _json({"title": text.title, "message": text.message, "details": details})
    return Alert(event_id, change.at_ns, body)


def test_alert(agent: Agent, at_ns: int, event_id: str, heartbeat_url: str) -> Alert:
    """An alert of event `test`: the same shape, with nothing wrong behind it."""
    text = wording.test(agent.host, at_ns)
    details = {
        "event_id": event_id,
        "event": Event.TEST,
        "host": agent.host,
        "subject": "worker",
        "previous": None,
        "current": None,
        "worker_status": None,
        "cause": None,
        "since": rfc3339(at_ns),
        "at": rfc3339(at_ns),
        "duration_seconds": None,
        "timestamp_lima": lima(at_ns),
        "heartbeat_url": heartbeat_url or None,
    }
    return Alert(event_id, at_ns, _json({"title": text.title, "message": text.message, "details": details}))


def delivery(alert: Alert, now_ns: int) -> bytes:
    """The body of one try to deliver `alert`: with its `attempt` (from 1) and the `queued_seconds` it has waited.

    A message that waited a minute or more says so in its text, since it speaks of the past.
    """
    message: dict[str, object] = json.loads(alert.body)
    queued_s = max(0.0, round((now_ns - alert.queued_ns) / NS_PER_S, 3))
    if queued_s >= 60:
        message["message"] = f"{message['message']} (This message waited {length(queued_s)} to be delivered.)"
    details = message.get("details")
    message["details"] = {
        **(details if isinstance(details, dict) else {}),
        "attempt": alert.attempts + 1,
        "queued_seconds": queued_s,
    }
    return _json(message).encode()


def tried(alert: Alert) -> Alert:
    """The alert after one more try."""
    return replace(alert, attempts=alert.attempts + 1)


def _json(value: JsonObject) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
