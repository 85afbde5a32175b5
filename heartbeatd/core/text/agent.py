"""Texts about the agent itself: it did not run for a while, and a test."""

from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.text import Text
from heartbeatd.core.timefmt import Zone, clock, format_duration


def gap_text(host: str, found: Gap, zone: Zone) -> Text:
    """The text for a time in which the agent did not run."""
    lasted = format_duration(found.duration_s)
    times = f"from {clock(found.since_ns, zone)} to {clock(found.until_ns, zone)}, {lasted}"
    how = f" ({found.result})" if found.result else ""
    match found.kind:
        case GapKind.STOPPED:
            return Text(
                f"{host}: heartbeatd was stopped for {lasted}",
                f"The agent on {host} was stopped by the administrator {times}. Nobody watched the host from inside meanwhile.",
            )
        case GapKind.SHUTDOWN:
            return Text(
                f"{host}: was down for {lasted} (shut down in good order)",
                f"{host} was shut down in good order, or rebooted, and was down {times}.",
            )
        case GapKind.POWER:
            return Text(
                f"{host}: was down for {lasted} (unclean: power loss or crash)",
                f"{host} was down {times}, and had not been shut down: power loss, a crash of the system, or a reset. "
                "If the journal is kept on disk, look at the end of the previous boot: journalctl -b -1 -e.",
            )
        case GapKind.FAILURE:
            return Text(
                f"{host}: heartbeatd runs again",
                f"The agent on {host} runs again. It did not run {times}: it had failed{how}. Nobody watched the host from "
                "inside meanwhile.",
            )
        case GapKind.CRASH:
            return Text(
                f"{host}: heartbeatd did not run for {lasted} (crash{how})",
                f"The agent on {host} ended by itself or was killed{how} and did not run {times}. The host itself was up when it "
                "ended. Look at journalctl -u heartbeatd.",
            )


def test_text(host: str, at_ns: int, zone: Zone) -> Text:
    """The text of a test alert."""
    return Text(
        f"{host}: test alert from heartbeatd",
        f"Somebody ran `heartbeatctl test-alert` on {host} at {clock(at_ns, zone)}. Nothing is wrong: alerts arrive here.",
    )
