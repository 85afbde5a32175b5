"""Texts about units of systemd."""

from heartbeatd.core.alerting import Announcement
from heartbeatd.core.locale import N_, Locale, Sentence
from heartbeatd.core.text import Text
from heartbeatd.core.text.states import Words, state_text

UNIT = "unit"  # the kind of subject
FAILED = "failed"  # its state beside ok
# systemd.exec(5), $SERVICE_RESULT
RESULTS: dict[str, str] = {
    "exit-code": N_("It ended with exit status {status}."),
    "signal": N_("It was killed by signal {status}."),
    "core-dump": N_("It crashed with signal {status}."),
    "timeout": N_("It took too long to start or to stop."),
    "watchdog": N_("It did not give a sign of life to the watchdog in time."),
    "oom-kill": N_("It was killed for want of memory."),
    "start-limit-hit": N_("It was started too often in a short time, and systemd has given it up."),
    "resources": N_("systemd could not get what it needs to start it."),
}
_OTHER = N_("systemd's word for why is {result}.")
_HINT = N_("See why: systemctl status {name}, journalctl -u {name} -n 50; systemctl reset-failed {name} forgets it.")


def unit_text(host: str, announcement: Announcement, locale: Locale) -> Text:
    """That it has failed, why, since when, and what to do."""
    observed = announcement.observed
    name = observed.subject.name
    if observed.ok:
        return state_text(host, announcement, locale, Words(N_("unit {name}"), name))
    hints = [Sentence(_HINT, (("name", name),))]
    if observed.reason:
        status = "?" if observed.value is None else f"{observed.value:.0f}"
        values = (("status", status), ("result", observed.reason))
        hints.insert(0, Sentence(RESULTS.get(observed.reason, _OTHER), values))
    return state_text(host, announcement, locale, Words(N_("unit {name} has failed"), name, hints=tuple(hints)))
