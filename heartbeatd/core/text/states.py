"""The frame of what is told of a subject on this host; what it is, or does, is its kind's own words, and so are the hints.

`what` is a clause ("/srv is 91 % full") or a name ("container web"). In a title it may be shortened.
"""

from dataclasses import dataclass

from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.locale import N_, Locale, Sentence
from heartbeatd.core.subject import GONE
from heartbeatd.core.text import Text, in_title
from heartbeatd.core.timefmt import format_duration

# The words for states that stand in texts; those of programs are never translated.
STATES = (
    N_("ok"),
    N_("warning"),
    N_("critical"),
    N_("degraded"),
    N_("rejected"),
    N_("error"),
    N_("unreachable"),
    N_("stopped"),
    N_("unhealthy"),
    N_("restarting"),
    N_("unknown"),
    N_("down"),
    N_("timeout"),
    N_("ending"),
    N_("failed"),
)


@dataclass(frozen=True, slots=True)
class Words:
    """`what` has its `name`, which is shortened in a title, and its `value` in it; `hints` say what to know and do."""

    what: str
    name: str
    value: str = ""
    hints: tuple[Sentence, ...] = ()


def state_text(host: str, announcement: Announcement, locale: Locale, words: Words) -> Text:
    """What it is, since when, and what to do; what it was, and for how long, if it is over."""
    title = locale.say(words.what, name=in_title(words.name), value=words.value)
    what = locale.say(words.what, name=words.name, value=words.value)
    observed = announcement.observed
    values = {
        "host": host,
        "what": what,
        "state": locale.say(observed.state),
        "previous": locale.say(announcement.previous),
        "since": locale.clock(announcement.since_ns),
    }
    if observed.reason == GONE:
        return Text(
            locale.say("gone, or no longer watched: {what}", what=title),
            locale.say(
                "On {host}, {what}: it is not there any more, or not watched any more. Before it was {previous}.",
                **values,
            ),
        )
    if observed.ok:
        return Text(locale.say("ok again: {what}", what=title), _recovery(announcement, locale, values))
    if announcement.event is Event.REMINDER:
        shown = locale.say("still: {what}", what=title)
        told = locale.say("On {host}, {what}, still: {state} since {since}.", **values)
    else:
        shown, told = title, locale.say("On {host}, {what}: {state} since {since}.", **values)
    return Text(shown, " ".join(filter(None, (told, locale.say_all(words.hints)))))


def _recovery(announcement: Announcement, locale: Locale, values: dict[str, str]) -> str:
    if announcement.duration_s is None:
        return locale.say("On {host}, {what}: ok again since {since}. Before it was {previous}.", **values)
    return locale.say(
        "On {host}, {what}: ok again since {since}, after {lasted}. Before it was {previous}.",
        **values,
        lasted=format_duration(announcement.duration_s),
    )
