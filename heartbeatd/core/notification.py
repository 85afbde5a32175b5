"""Notifications: what is told (see heartbeat-protocol(7)).

Each channel writes the same notification in its own way: a webhook as JSON, a mail as subject and text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from heartbeatd.core.agent_failure import AgentFailure
from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.payload import AgentInfo, JsonObject
from heartbeatd.core.subject import RANKS, Severity
from heartbeatd.core.text import Text, full_title
from heartbeatd.core.text.agent import failure_text, gap_text, test_text
from heartbeatd.core.text.several import several_text
from heartbeatd.core.timefmt import rfc3339, to_lima
from heartbeatd.core.worker import WORKER

MOST_SUBJECTS = 100  # that are named to programs in one notification
# Of what is about no observed state, by its event; and of what version 0.1 queued, which did not say it, by the state.
SEVERITIES: Mapping[str, Severity] = {
    Event.FAILURE: Severity.CRITICAL,
    Event.GAP: Severity.WARNING,
    Event.TEST: Severity.OK,
    "ok": Severity.OK,
    "degraded": Severity.WARNING,
}


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
    made = _notification(agent, event_id, SEVERITIES[Event.GAP], text, details, heartbeat_url)
    return replace(made, worst=SEVERITIES[Event.FAILURE]) if gap.kind is GapKind.FAILURE else made


def of_failure(agent: AgentInfo, failure: AgentFailure, at_ns: int, event_id: str) -> Notification:
    """The notification of event `failure`: the agent does not run, though it should."""
    details = _Details(event=Event.FAILURE, subject="agent", since_ns=at_ns, at_ns=at_ns, cause=failure.cause)
    text = failure_text(agent.host, failure, agent.locale)
    return _notification(agent, event_id, SEVERITIES[Event.FAILURE], text, details, "")


def of_test(agent: AgentInfo, at_ns: int, event_id: str, heartbeat_url: str) -> Notification:
    """A notification of event `test`: the same shape, with nothing wrong behind it."""
    details = _Details(event=Event.TEST, subject=str(WORKER), since_ns=at_ns, at_ns=at_ns)
    text = test_text(agent.host, at_ns, agent.locale)
    return _notification(agent, event_id, SEVERITIES[Event.TEST], text, details, heartbeat_url)


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
