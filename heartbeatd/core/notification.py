"""Notifications: what is told, as it waits in the queue and as it is told at one try (see heartbeat-protocol(7)).

Each channel writes the same notification in its own way: a webhook as JSON, a mail as subject and text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from heartbeatd.core.agent_failure import AgentFailure
from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.locale import IN_ENGLISH, N_, Locale
from heartbeatd.core.payload import AgentInfo, JsonObject, json_text
from heartbeatd.core.schedule import NS_PER_S, STEP_NS
from heartbeatd.core.subject import RANKS, Severity
from heartbeatd.core.text import Text, full_title
from heartbeatd.core.text.agent import failure_text, gap_text, test_text
from heartbeatd.core.text.several import several_text
from heartbeatd.core.timefmt import format_duration, from_iso, rfc3339, to_lima
from heartbeatd.core.worker import WORKER

YEAR_NS = 366 * 86_400 * NS_PER_S
MOST_SUBJECTS = 100  # that are named to programs in one notification
# Of what is about no observed state, by its event; and of what version 0.1 queued, which did not say it, by the state.
_SEVERITIES: Mapping[str, Severity] = {
    Event.FAILURE: Severity.CRITICAL,
    Event.GAP: Severity.WARNING,
    Event.TEST: Severity.OK,
    "ok": Severity.OK,
    "degraded": Severity.WARNING,
}
_SET_FORWARD = N_("(Afterwards the clock of this host was set forward by {by}: times of day are by the old one.)")
_SET_BACK = N_("(Afterwards the clock of this host was set back by {by}: times of day are by the old one.)")


@dataclass(frozen=True, slots=True)
class Notification:
    """What is told: `title` and `message` to people, `details` to programs.

    `worst`: how bad the state is that begins or ends, by which channels choose; None: as `severity`.
    """

    event_id: str
    at_ns: int
    severity: Severity
    title: str
    message: str
    details: JsonObject
    worst: Severity | None = None


@dataclass(frozen=True, slots=True)
class QueuedNotification:
    """A notification in the queue. `body` is its JSON text, less what only the moment of sending knows.

    Its moments are by the wall clock of the boot `boot_id`, which would have shown `booted_ns` at boot time 0.
    """

    event_id: str
    queued_ns: int
    body: str
    boot_id: str | None = None
    booted_ns: int | None = None


def of_announcement(
    agent: AgentInfo, announcement: Announcement, text: Text, event_id: str, heartbeat_url: str
) -> Notification:
    """The notification of an announcement, in these words. `heartbeat_url` is shown without user info and query."""
    observed = announcement.observed
    is_worker = observed.subject == WORKER
    details = _Details(
        event=announcement.event,
        subject=str(observed.subject),
        previous=announcement.previous,
        current=observed.state,
        worker_status=int(observed.value) if is_worker and observed.value is not None else None,
        cause=observed.reason,
        since_ns=announcement.since_ns,
        at_ns=observed.at_ns,
        duration_s=announcement.duration_s,
    )
    made = _notification(agent, event_id, observed.severity, text, details, heartbeat_url)
    if observed.ok:
        made = replace(made, worst=announcement.previous_severity)
    if is_worker:
        return made
    return replace(made, details={**made.details, "severity": observed.severity, "value": observed.value})


def of_several(
    agent: AgentInfo, told: Sequence[tuple[Announcement, Text]], event_id: str, heartbeat_url: str
) -> Notification:
    """One notification of what changed in one cycle: `details.subjects` has each, and the rest is of the worst of them."""
    worst = max((due for due, _ in told), key=lambda due: (RANKS[due.observed.severity], due.event is Event.PROBLEM))
    text = several_text([text for _, text in told], agent.locale)
    made = of_announcement(agent, worst, text, event_id, heartbeat_url)
    subjects = [
        {
            "subject": str(due.observed.subject),
            "event": due.event,
            "previous": due.previous,
            "current": due.observed.state,
            "severity": due.observed.severity,
            "value": due.observed.value,
            "since": rfc3339(due.since_ns),
        }
        for due, _ in told[:MOST_SUBJECTS]
    ]
    return replace(made, details={**made.details, "subjects": subjects})


def of_gap(agent: AgentInfo, gap: Gap, event_id: str, heartbeat_url: str) -> Notification:
    """The notification of event `gap`: the agent, or the whole host, did not run for a while.

    The end of a failure is for all who were told of the failure.
    """
    details = _Details(
        event=Event.GAP,
        subject=str(gap.subject),
        cause=gap.kind,
        since_ns=gap.since_ns,
        at_ns=gap.until_ns,
        duration_s=round(gap.duration_s, 3),
    )
    text = gap_text(agent.host, gap, agent.locale)
    made = _notification(agent, event_id, _SEVERITIES[Event.GAP], text, details, heartbeat_url)
    return replace(made, worst=_SEVERITIES[Event.FAILURE]) if gap.kind is GapKind.FAILURE else made


def of_failure(agent: AgentInfo, failure: AgentFailure, at_ns: int, event_id: str) -> Notification:
    """The notification of event `failure`: the agent does not run, though it should."""
    details = _Details(event=Event.FAILURE, subject="agent", since_ns=at_ns, at_ns=at_ns, cause=failure.cause)
    text = failure_text(agent.host, failure, agent.locale)
    return _notification(agent, event_id, _SEVERITIES[Event.FAILURE], text, details, "")


def of_test(agent: AgentInfo, at_ns: int, event_id: str, heartbeat_url: str) -> Notification:
    """A notification of event `test`: the same shape, with nothing wrong behind it."""
    details = _Details(event=Event.TEST, subject=str(WORKER), since_ns=at_ns, at_ns=at_ns)
    text = test_text(agent.host, at_ns, agent.locale)
    return _notification(agent, event_id, _SEVERITIES[Event.TEST], text, details, heartbeat_url)


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


def _notification(
    agent: AgentInfo, event_id: str, severity: Severity, text: Text, details: _Details, heartbeat_url: str
) -> Notification:
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
    return Notification(event_id, details.at_ns, severity, full_title(agent.host, text), text.message, told)


def to_queue(
    notification: Notification, boot_id: str | None = None, booted_ns: int | None = None
) -> QueuedNotification:
    """`notification`, made at a moment by the clock of this boot, as it is put into the queue."""
    return QueuedNotification(
        notification.event_id, notification.at_ns, _body(notification), boot_id=boot_id, booted_ns=booted_ns
    )


def from_queue(queued: QueuedNotification) -> Notification:
    """What was put into the queue, by this version or an earlier one. Raises ValueError if it is no notification."""
    try:
        body = json.loads(queued.body)
        title, message, details = body["title"], body["message"], body["details"]
        if not (isinstance(title, str) and isinstance(message, str) and isinstance(details, dict)):
            raise ValueError("title and message are texts, details is an object")
        about = str(details.get("current") or details.get("event"))
        severity = Severity(body.get("severity", _SEVERITIES.get(about, Severity.CRITICAL)))
        return Notification(queued.event_id, queued.queued_ns, severity, title, message, details)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(repr(error)) from None


def by_this_clock(
    queued: QueuedNotification, now_ns: int, boot_id: str, booted_ns: int, locale: Locale = IN_ENGLISH
) -> QueuedNotification:
    """`queued` with its moments by the clock of now, which would have shown `booted_ns` at the start of the boot `boot_id`.

    If the clock was set since, in this boot, by how much is known: `since`, `at` and the time in the queue are corrected, and the
    message, which may name times of day, says so to `locale`. Of one from another boot whose moment cannot be true it is known
    that it has waited since this boot at least.
    """
    if queued.boot_id != boot_id or queued.booted_ns is None:
        believable = 0 <= now_ns - queued.queued_ns <= YEAR_NS
        return queued if believable else replace(queued, queued_ns=booted_ns)
    by_ns = booted_ns - queued.booted_ns
    if abs(by_ns) < STEP_NS:
        return queued
    note = locale.say(_SET_FORWARD if by_ns > 0 else _SET_BACK, by=format_duration(abs(by_ns) / NS_PER_S))
    corrected = replace(queued, queued_ns=queued.queued_ns + by_ns)
    try:
        notification = from_queue(queued)
        details = notification.details
        since_ns, at_ns = from_iso(str(details["since"])), from_iso(str(details["timestamp_lima"])) + by_ns
        since_ns += by_ns if since_ns >= queued.booted_ns else 0
        moments = {"since": rfc3339(since_ns), "at": rfc3339(at_ns), "timestamp_lima": to_lima(at_ns)}
        told = replace(notification, message=f"{notification.message} {note}", details={**details, **moments})
        return replace(corrected, body=_body(told))
    except (ValueError, KeyError):  # not a body of ours: whoever sends it says so
        return corrected


def for_this_try(queued: QueuedNotification, attempt: int, now_ns: int, locale: Locale = IN_ENGLISH) -> Notification:
    """What one try tells: with its `attempt` (from 1) and the `queued_seconds` it has waited in `details`.

    A message that waited a minute or more says so in its text, since it speaks of the past. Raises ValueError if what was
    stored is no notification.
    """
    notification = from_queue(queued)
    queued_s = max(0.0, round((now_ns - queued.queued_ns) / NS_PER_S, 3))
    told = replace(notification, details={**notification.details, "attempt": attempt, "queued_seconds": queued_s})
    if queued_s < 60:
        return told
    waited = locale.say("(This message waited {waited} to be delivered.)", waited=format_duration(queued_s))
    return replace(told, message=f"{told.message} {waited}")


def _body(notification: Notification) -> str:
    return json_text(
        {
            "title": notification.title,
            "message": notification.message,
            "severity": notification.severity,
            "details": notification.details,
        }
    )
