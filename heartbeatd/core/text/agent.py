"""Texts about the agent itself: it does not run, it did not run for a while, and a test."""

from heartbeatd.core.agent_failure import AgentFailure
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.locale import N_, Locale
from heartbeatd.core.text import Text
from heartbeatd.core.timefmt import format_duration

_GAPS: dict[GapKind, tuple[str, str]] = {
    GapKind.STOPPED: (
        N_("heartbeatd was stopped for {lasted}"),
        N_(
            "The agent on {host} was stopped by the administrator from {since} to {until}, {lasted}. Nobody watched the host "
            "from inside meanwhile."
        ),
    ),
    GapKind.SHUTDOWN: (
        N_("was down for {lasted} (shut down in good order)"),
        N_("{host} was shut down in good order, or rebooted, and was down from {since} to {until}, {lasted}."),
    ),
    GapKind.POWER: (
        N_("was down for {lasted} (unclean: power loss or crash)"),
        N_(
            "{host} was down from {since} to {until}, {lasted}, and had not been shut down: power loss, a crash of the system, "
            "or a reset. If the journal is kept on disk, look at the end of the previous boot: journalctl -b -1 -e."
        ),
    ),
    GapKind.FAILURE: (
        N_("heartbeatd runs again"),
        N_(
            "The agent on {host} runs again. It did not run from {since} to {until}, {lasted}: it had failed{result}. Nobody "
            "watched the host from inside meanwhile."
        ),
    ),
    GapKind.CRASH: (
        N_("heartbeatd did not run for {lasted}: crash{result}"),
        N_(
            "The agent on {host} ended by itself or was killed{result} and did not run from {since} to {until}, {lasted}. The "
            "host itself was up when it ended. Look at journalctl -u heartbeatd."
        ),
    ),
}


def gap_text(host: str, found: Gap, locale: Locale) -> Text:
    """The text for a time in which the agent did not run."""
    title, message = _GAPS[found.kind]
    values = {
        "host": host,
        "since": locale.clock(found.since_ns),
        "until": locale.clock(found.until_ns),
        "lasted": format_duration(found.duration_s),
        "result": f" ({found.result})" if found.result else "",
    }
    return Text(locale.say(title, **values), locale.say(message, **values))


def failure_text(host: str, failure: AgentFailure, locale: Locale) -> Text:
    """The text for an agent that has failed, and watches nothing."""
    cause = locale.say("configuration refused") if failure.refused else failure.cause
    unseen = locale.say("Nobody watches this host from inside now, and the Worker receives no heartbeats.")
    check = locale.say("On the host, `sudo heartbeatctl check` says what is in the way.")
    log = locale.say("On the host, `sudo journalctl -u heartbeatd -e` shows what happened.")
    if failure.lasting_s is None:
        title = locale.say("heartbeatd has failed ({cause})", cause=cause)
        ended = locale.say(
            "The agent on {host} ended ({cause}), and systemd does not start it again.", host=host, cause=cause
        )
        then = locale.say("Then start it with `sudo systemctl restart heartbeatd`.")
        return Text(title, f"{ended} {unseen} {check if failure.refused else log} {then}")
    title = locale.say("heartbeatd does not come up ({cause})", cause=cause)
    ended = locale.say(
        "For {lasted} or more systemd has started the agent on {host} again and again, and it ends before its first cycle is "
        "over ({cause}). systemd goes on trying.",
        lasted=format_duration(failure.lasting_s),
        host=host,
        cause=cause,
    )
    return Text(title, f"{ended} {unseen} {check} {log}")


def test_text(host: str, at_ns: int, locale: Locale) -> Text:
    """The text of a test alert."""
    return Text(
        locale.say("test alert from heartbeatd"),
        locale.say(
            "Somebody ran `heartbeatctl test-alert` on {host} at {at}. Nothing is wrong: alerts arrive here.",
            host=host,
            at=locale.clock(at_ns),
        ),
    )
