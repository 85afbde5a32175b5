"""Notifications in the queue: as they are put into it, and as they are told at one try (see heartbeat-protocol(7))."""

import json
from dataclasses import dataclass, replace

from heartbeatd.core.locale import IN_ENGLISH, N_, Locale
from heartbeatd.core.notification import SEVERITIES, Notification
from heartbeatd.core.payload import json_text
from heartbeatd.core.schedule import NS_PER_S, STEP_NS
from heartbeatd.core.subject import Severity
from heartbeatd.core.timefmt import format_duration, from_iso, rfc3339, to_lima

YEAR_NS = 366 * 86_400 * NS_PER_S
_SET_FORWARD = N_("(Afterwards the clock of this host was set forward by {by}: times of day are by the old one.)")
_SET_BACK = N_("(Afterwards the clock of this host was set back by {by}: times of day are by the old one.)")


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
        severity = Severity(body.get("severity", SEVERITIES.get(about, Severity.CRITICAL)))
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
