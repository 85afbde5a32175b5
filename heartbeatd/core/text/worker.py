"""What is told of the Worker: that it has changed, why, and what follows."""

from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.heartbeat import Cause, is_no_route
from heartbeatd.core.locale import N_, Locale
from heartbeatd.core.text import Text
from heartbeatd.core.timefmt import format_duration
from heartbeatd.core.worker import WorkerState

CAUSES: dict[str, str] = {
    Cause.NO_INTERNET: N_("no internet"),
    Cause.DNS: N_("name resolution failed"),
    Cause.REFUSED: N_("connection refused"),
    Cause.TIMEOUT: N_("no answer in time"),
    Cause.TLS: N_("TLS failed"),
    Cause.RESET: N_("connection broken off"),
    Cause.PROTOCOL: N_("the answer is not HTTP"),
}
NO_CONNECTION = N_("no connection")
CONSEQUENCES: dict[str, str] = {
    WorkerState.OK: "",
    WorkerState.DEGRADED: N_("Heartbeats arrive, but the Worker cannot be relied on to announce a recovery."),
    WorkerState.REJECTED: N_("While this lasts no heartbeat is accepted, and the Worker may report this host as down."),
    WorkerState.ERROR: N_(
        "While this lasts heartbeats may not be recorded, and the Worker may report this host as down."
    ),
    WorkerState.UNREACHABLE: N_(
        "While this lasts the Worker may report this host as down; if the Worker itself is down, nobody outside is watching this "
        "host."
    ),
}
_UPLINK_DOWN = N_("While this lasts the Worker may report this host as down.")
_TITLES: dict[Event, str] = {
    Event.PROBLEM: N_("the heartbeat Worker is {state} ({reason})"),
    Event.CHANGE: N_("the Worker is now {state} ({reason})"),
    Event.REMINDER: N_("the Worker is still {state} ({reason})"),
}
# Of a recovery, by what it was before: how it is said, with the time that it lasted and without.
_AGAIN: dict[str, tuple[str, str]] = {
    WorkerState.UNREACHABLE: (
        N_("heartbeats reach the Worker again after {lasted}"),
        N_("heartbeats reach the Worker again"),
    ),
    WorkerState.REJECTED: (
        N_("the Worker accepts heartbeats again after {lasted}"),
        N_("the Worker accepts heartbeats again"),
    ),
    WorkerState.ERROR: (
        N_("the Worker records heartbeats again after {lasted}"),
        N_("the Worker records heartbeats again"),
    ),
}
_OK_AGAIN = (N_("the heartbeat Worker is ok again after {lasted}"), N_("the heartbeat Worker is ok again"))


def why(status: float | None, cause: str | None, detail: str = "") -> str:
    """The reason in a few words: the cause, or the status, or nothing."""
    if cause is not None:
        return NO_CONNECTION if is_no_route(cause, detail) else CAUSES.get(cause, cause)
    return f"HTTP {status}" if status is not None else ""


def consequence(state: str, cause: str | None) -> str:
    """What follows while the Worker is in this state, in a sentence."""
    return _UPLINK_DOWN if cause == Cause.NO_INTERNET else CONSEQUENCES[state]


def worker_text(host: str, announcement: Announcement, locale: Locale, heartbeat_url: str) -> Text:
    """The text for a change of the Worker's state. Its message does not name the host, which is in the title and the details."""
    make = _recovery if announcement.event is Event.RECOVERY else _not_ok
    return make(announcement, locale, heartbeat_url)


def _not_ok(announcement: Announcement, locale: Locale, heartbeat_url: str) -> Text:
    observed = announcement.observed
    state, reason = locale.say(observed.state), locale.say(why(observed.value, observed.reason, observed.detail))
    values = {"url": heartbeat_url, "state": state, "since": locale.clock(announcement.since_ns)}
    if announcement.event is Event.REMINDER:
        parts = [locale.say("The heartbeat Worker at {url} is still {state}, since {since}.", **values)]
        if announcement.duration_s is not None:
            lasted = format_duration(announcement.duration_s)
            parts.append(locale.say("It has not been ok for {lasted}.", lasted=lasted))
    else:
        previous = locale.say(announcement.previous)
        parts = [
            locale.say(
                "The heartbeat Worker at {url} went from {previous} to {state} at {since}.", **values, previous=previous
            )
        ]
    parts += [
        _known(announcement, locale, reason),
        locale.say_all(observed.hints),
        locale.say(consequence(observed.state, observed.reason)),
    ]
    title = locale.say(_TITLES[announcement.event], state=state, reason=reason)
    return Text(title, " ".join(filter(None, parts)))


def _known(announcement: Announcement, locale: Locale, reason: str) -> str:
    """The cause, or the status, and what is known of it. What the system or a library said of it stays in their words."""
    observed = announcement.observed
    detail = locale.say(observed.detail)
    if observed.reason is not None:
        if not detail or detail.casefold() == reason.casefold():
            return locale.say("Likely cause: {reason}.", reason=reason)
        return locale.say("Likely cause: {reason}: {detail}.", reason=reason, detail=detail)
    if observed.value is None:
        return ""
    if not detail:
        return locale.say("It answers HTTP {status}.", status=observed.value)
    return locale.say("It answers HTTP {status}: {detail}.", status=observed.value, detail=detail)


def _recovery(announcement: Announcement, locale: Locale, heartbeat_url: str) -> Text:
    duration_s, cause = announcement.duration_s, announcement.previous_reason
    lasted = None if duration_s is None else format_duration(duration_s)
    # Only the cause is known of then: `refused` may also have been a connection that the system did not let through.
    reason = (NO_CONNECTION if cause == Cause.REFUSED else CAUSES.get(cause, cause)) if cause else ""
    before = locale.say(announcement.previous)
    parts = [
        locale.say(
            "The heartbeat Worker at {url} is ok again (HTTP {status}) since {since}. Before that it was {previous}.",
            url=heartbeat_url,
            status=announcement.observed.value,
            since=locale.clock(announcement.since_ns),
            previous=f"{before} ({locale.say(reason)})" if reason else before,
        )
    ]
    if lasted is None:
        parts.append(locale.say("How long the problem lasted is not known."))
    elif announcement.flapping:
        parts.append(locale.say("The problem lasted {lasted}, on and off.", lasted=lasted))
    else:
        parts.append(locale.say("The problem lasted {lasted}.", lasted=lasted))
    after, at_all = _AGAIN.get(announcement.previous, _OK_AGAIN)
    return Text(locale.say(at_all) if lasted is None else locale.say(after, lasted=lasted), " ".join(parts))
