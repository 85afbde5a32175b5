"""What people read: the title and message of an alert, the status line, the line of a cycle."""

from collections.abc import Sequence
from dataclasses import dataclass

from heartbeatd.core.alerting import MOST_CHANGES, STEADY_S
from heartbeatd.core.answers import is_no_route
from heartbeatd.core.cyclelog import Hour
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.model import (
    Announcement,
    Cause,
    Event,
    HeartbeatResult,
    Observation,
    ProbeStatus,
    Sample,
    WorkerState,
)
from heartbeatd.core.timefmt import Zone, clock, format_duration, plural, time_of_day


@dataclass(frozen=True, slots=True)
class Text:
    """A message for people: a title that says it all in one line, and what to know and do."""

    title: str
    message: str


CAUSES: dict[Cause, str] = {
    Cause.NO_INTERNET: "no internet",
    Cause.DNS: "name resolution failed",
    Cause.REFUSED: "connection refused",
    Cause.TIMEOUT: "no answer in time",
    Cause.TLS: "TLS failed",
    Cause.RESET: "connection broken off",
    Cause.PROTOCOL: "the answer is not HTTP",
}

_MAY_REPORT = "may report this host as down"
CONSEQUENCES: dict[WorkerState, str] = {
    WorkerState.OK: "",
    WorkerState.DEGRADED: "Heartbeats arrive, but the Worker cannot be relied on to announce a recovery.",
    WorkerState.REJECTED: f"While this lasts no heartbeat is accepted, and the Worker {_MAY_REPORT}.",
    WorkerState.ERROR: f"While this lasts heartbeats may not be recorded, and the Worker {_MAY_REPORT}.",
    WorkerState.UNREACHABLE: f"While this lasts the Worker {_MAY_REPORT}; if the Worker itself is down, nobody outside is "
    "watching this host.",
}
_UPLINK_DOWN = f"While this lasts the Worker {_MAY_REPORT}."
_AGAIN: dict[WorkerState, str] = {
    WorkerState.UNREACHABLE: "heartbeats reach the Worker again",
    WorkerState.REJECTED: "the Worker accepts heartbeats again",
    WorkerState.ERROR: "the Worker records heartbeats again",
}


def why(status: int | None, cause: Cause | None, detail: str = "") -> str:
    """The reason in a few words: the cause, or the status, or nothing."""
    if cause is not None:
        return "no connection" if is_no_route(cause, detail) else CAUSES[cause]
    return f"HTTP {status}" if status is not None else ""


def consequence(state: WorkerState, cause: Cause | None) -> str:
    """What follows while the Worker is in this state, in a sentence."""
    return _UPLINK_DOWN if cause is Cause.NO_INTERNET else CONSEQUENCES[state]


def announce(host: str, change: Announcement, heartbeat_url: str, zone: Zone) -> Text:
    """The text for a change of the Worker's state."""
    make = _recovery if change.event is Event.RECOVERY else _turn_for_the_worse
    text = make(host, change, heartbeat_url, zone)
    if not change.flapping:
        return text
    changes = plural(change.flapping, "change") if change.flapping < MOST_CHANGES else f"{MOST_CHANGES} changes or more"
    flapping = f"flapping: {changes} in an hour"
    held_back = f"Until it is steady, a change is only announced once it has lasted for {format_duration(STEADY_S)}."
    return Text(f"{text.title}, {flapping}", f"{text.message} It is {flapping}. {held_back}")


def _turn_for_the_worse(host: str, change: Announcement, heartbeat_url: str, zone: Zone) -> Text:
    reason = why(change.status, change.cause, change.detail)
    verb = "is" if change.event is Event.PROBLEM else "is now"
    parts = [
        f"The heartbeat Worker at {heartbeat_url} went from {change.previous} to {change.current} at "
        f"{clock(change.since_ns, zone)}."
    ]
    if change.cause is not None:
        more = change.detail and change.detail.casefold() != reason.casefold()
        parts.append(f"Likely cause: {reason}{f': {change.detail}' if more else ''}.")
    elif change.status is not None:
        parts.append(f"It answers HTTP {change.status}{f': {change.detail}' if change.detail else ''}.")
    parts += [change.advice, consequence(change.current, change.cause)]
    return Text(f"{host}: the heartbeat Worker {verb} {change.current} ({reason})", " ".join(filter(None, parts)))


def _recovery(host: str, change: Announcement, heartbeat_url: str, zone: Zone) -> Text:
    known = change.duration_s is not None
    lasted = format_duration(change.duration_s) if change.duration_s is not None else "a time that is not known"
    cause = change.previous_cause
    # Only the cause is known of then: `refused` may also have been a connection that the system did not let through.
    said = f" ({'no connection' if cause is Cause.REFUSED else CAUSES[cause]})" if cause else ""
    again = _AGAIN.get(change.previous, "the heartbeat Worker is ok again")
    return Text(
        f"{host}: {again}" + (f" after {lasted}" if known else ""),
        f"The heartbeat Worker at {heartbeat_url} is ok again (HTTP {change.status}) since {clock(change.since_ns, zone)}. "
        f"Before that it was {change.previous}{said}. The problem lasted {lasted}{', on and off' if change.flapping else ''}.",
    )


def gap(host: str, found: Gap, zone: Zone) -> Text:
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


def test(host: str, at_ns: int, zone: Zone) -> Text:
    """The text of a test alert."""
    return Text(
        f"{host}: test alert from heartbeatd",
        f"Somebody ran `heartbeatctl test-alert` on {host} at {clock(at_ns, zone)}. Nothing is wrong: alerts arrive here.",
    )


def cycle_line(sample: Sample, cause: Cause | None, beat: HeartbeatResult | None, *, no_beat: str = "off") -> str:
    """One cycle in one line, e.g. `cpu 3.2% ram 41.0% disk 63.1% containers 12 internet 23 ms worker 200 in 84 ms`."""
    return " ".join(
        (
            f"cpu {_percent(sample.cpu_percent)}",
            f"ram {_percent(sample.ram_percent)}",
            f"disk {_percent(sample.disk_percent)}",
            _CONTAINERS_SHORT.get(sample.presence("containers"), f"containers {_count(sample.container_count)}"),
            f"internet {internet(sample.internet_ok, sample.ping_ms)}",
            f"worker {worker(beat, cause, no_beat)}",
        )
    )


def hour_line(hour: Hour, zone: Zone) -> str:
    """An hour of cycles in one line, e.g. `360 cycles since 15:00:00 (America/Lima): Worker ok in 358 of 360 …`."""
    heartbeats = f"Worker ok in {hour.worker_ok} of {hour.heartbeats}" if hour.heartbeats else "no heartbeats"
    most = f"cpu {_percent(hour.cpu_most)} ram {_percent(hour.ram_most)} disk {_percent(hour.disk_most)}"
    return (
        f"{plural(hour.cycles, 'cycle')} since {time_of_day(hour.since_ns, zone)}: {heartbeats}, "
        f"internet ok in {hour.internet_ok} of {hour.checks}, at most {most}"
    )


def status_line(sample: Sample, told: str, *, notes: Sequence[str], next_at: str, asked: str = "") -> str:
    """`STATUS=`: the Worker first, then the host, then what is out of the ordinary, then when the next cycle is.

    `told` is what there is to say of the Worker, `asked` is what the internet check asked, and why it failed.
    """
    figures = (
        f"cpu {_percent(sample.cpu_percent)}, ram {_percent(sample.ram_percent)}, disk {_percent(sample.disk_percent)}"
    )
    return "; ".join(
        (
            f"Worker {told}",
            f"internet {internet(sample.internet_ok, sample.ping_ms, asked)}",
            _CONTAINERS.get(sample.presence("containers")) or _running(sample.container_count),
            figures,
            *notes,
            f"next at {next_at}",
        )
    )


def worker_state(seen: Observation | None, beat: HeartbeatResult | None, no_beat: str) -> str:
    """The Worker in the status line: its state and what it answered, or why nothing was asked."""
    return no_beat if seen is None else f"{seen.state} ({worker(beat, seen.cause)})"


def worker(beat: HeartbeatResult | None, cause: Cause | None, no_beat: str = "off") -> str:
    """The heartbeat's outcome: `200 in 84 ms`, `no answer: dns`, or what there is to say of none."""
    if beat is None:
        return no_beat
    if beat.status is not None and cause is None:
        return f"{beat.status} in {beat.took_ms:.0f} ms"
    return f"no answer: {cause}"


def internet(ok: int | None, ping_ms: float | None, why_not: str = "") -> str:
    """The internet check: `23 ms`, `down`, with the reason if one is given, or `?`."""
    if ok is None:
        return "?"
    if ok and ping_ms is not None:
        return f"{ping_ms:.0f} ms"
    return f"down ({why_not})" if why_not else "down"


_CONTAINERS: dict[ProbeStatus | None, str] = {
    ProbeStatus.ABSENT: "no docker",
    ProbeStatus.OFF: "containers not counted",
}
_CONTAINERS_SHORT: dict[ProbeStatus | None, str] = {ProbeStatus.ABSENT: "no docker", ProbeStatus.OFF: "containers off"}


def _running(count: int | None) -> str:
    return "containers unknown" if count is None else plural(count, "container")


def _count(count: int | None) -> str:
    return "?" if count is None else str(count)


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}%"
