"""What people read: the title and message of an alert, the status line, the line of a cycle."""

from collections.abc import Sequence
from dataclasses import dataclass

from heartbeatd.core.cyclelog import Hour
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.model import Beat, Cause, Change, Event, Observation, Row, WorkerState
from heartbeatd.core.moments import Zone, clock, counted, length, time_of_day


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

ADVICE: dict[WorkerState, str] = {
    WorkerState.OK: "",
    WorkerState.DEGRADED: "Heartbeats arrive, but the Worker cannot be relied on to announce recoveries. Look at its storage "
    "and its log.",
    WorkerState.REJECTED: "The Worker is there but does not take our heartbeats, and will soon believe this host is down. "
    "Compare heartbeat.secret_key and heartbeat.url with the Worker's settings.",
    WorkerState.ERROR: "The Worker fails on our heartbeats, and may soon believe this host is down. Look at its log.",
    WorkerState.UNREACHABLE: "Nobody outside is watching this host meanwhile, and the Worker will soon believe it is down.",
}

CAUSE_ADVICE: dict[Cause, str] = {
    Cause.NO_INTERNET: "The internet check fails too: look at this host's uplink: cable, router, provider.",
    Cause.DNS: "Look at the resolver (/etc/resolv.conf, resolvectl status).",
    Cause.REFUSED: "The address answers, but nothing takes connections there: look at heartbeat.url and any firewall.",
    Cause.TIMEOUT: "The internet check passes: look at the Worker itself, or at a firewall that drops packets.",
    Cause.TLS: "Look at the Worker's certificate, heartbeat.ca_file and this host's clock.",
    Cause.RESET: "Look at the Worker's log, or at a proxy in between.",
    Cause.PROTOCOL: "Look at heartbeat.url: something other than the Worker answers there.",
}


def why(status: int | None, cause: Cause | None) -> str:
    """The reason in a few words: the cause, or the status, or nothing."""
    if cause is not None:
        return CAUSES[cause]
    return f"HTTP {status}" if status is not None else ""


def announce(host: str, change: Change, heartbeat_url: str, zone: Zone) -> Text:
    """The text for a change of the Worker's state."""
    reason = why(change.status, change.cause)
    if change.event is Event.RECOVERY:
        lasted = length(change.duration_s or 0)
        was = str(change.previous) + (f" ({CAUSES[change.previous_cause]})" if change.previous_cause else "")
        return Text(
            f"{host}: heartbeats reach the Worker again after {lasted}",
            f"The heartbeat Worker at {heartbeat_url} answers again (HTTP {change.status}) since "
            f"{clock(change.since_ns, zone)}; before that it was {was}. It was not ok for {lasted}.",
        )
    verb = "is" if change.event is Event.PROBLEM else "is now"
    parts = [
        f"The heartbeat Worker at {heartbeat_url} went from {change.previous} to {change.current} at "
        f"{clock(change.since_ns, zone)}."
    ]
    if change.cause is not None:
        detail = f": {change.detail}" if change.detail else ""
        parts.append(f"Likely cause: {CAUSES[change.cause]}{detail}. {CAUSE_ADVICE[change.cause]}")
    elif change.status is not None:
        parts.append(f"It answers HTTP {change.status}: {change.detail}.")
    parts.append(ADVICE[change.current])
    return Text(f"{host}: the heartbeat Worker {verb} {change.current} ({reason})", " ".join(parts))


def gap(host: str, found: Gap, zone: Zone) -> Text:
    """The text for a time in which the agent did not run."""
    lasted = length(found.duration_s)
    times = f"from {clock(found.since_ns, zone)} to {clock(found.until_ns, zone)}, {lasted}"
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
                "Look at the end of the boot before: journalctl -b -1 -e.",
            )
        case GapKind.CRASH:
            how = f" ({found.result})" if found.result else ""
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


def cycle_line(row: Row, cause: Cause | None, beat: Beat | None, *, no_beat: str = "off") -> str:
    """One cycle in one line, e.g. `cpu 3.2% ram 41.0% disk 63.1% containers 12 internet 23 ms worker 200 in 84 ms`."""
    return " ".join(
        (
            f"cpu {_percent(row.cpu_percent)}",
            f"ram {_percent(row.ram_percent)}",
            f"disk {_percent(row.disk_percent)}",
            f"containers {'?' if row.container_count is None else row.container_count}",
            f"internet {internet(row.internet_ok, row.ping_ms)}",
            f"worker {worker(beat, cause, no_beat)}",
        )
    )


def hour_line(hour: Hour, zone: Zone) -> str:
    """An hour of cycles in one line, e.g. `360 cycles since 15:00:00 (America/Lima): Worker ok in 358 of 360 …`."""
    heartbeats = f"Worker ok in {hour.worker_ok} of {hour.heartbeats}" if hour.heartbeats else "no heartbeats"
    most = f"cpu {_percent(hour.cpu_most)} ram {_percent(hour.ram_most)} disk {_percent(hour.disk_most)}"
    return (
        f"{counted(hour.cycles, 'cycle')} since {time_of_day(hour.since_ns, zone)}: {heartbeats}, "
        f"internet ok in {hour.internet_ok} of {hour.checks}, at most {most}"
    )


def status_line(row: Row, beat: Beat | None, seen: Observation | None, *, notes: Sequence[str], next_at: str) -> str:
    """`STATUS=`: the Worker first, then the host, then what is out of the ordinary, then when the next cycle is."""
    told = "not configured" if seen is None else f"{seen.state} ({worker(beat, seen.cause)})"
    containers = "containers unknown" if row.container_count is None else f"{row.container_count} containers"
    figures = f"cpu {_percent(row.cpu_percent)}, ram {_percent(row.ram_percent)}, disk {_percent(row.disk_percent)}"
    return "; ".join(
        (
            f"Worker {told}",
            f"internet {internet(row.internet_ok, row.ping_ms)}",
            containers,
            figures,
            *notes,
            f"next at {next_at}",
        )
    )


def worker(beat: Beat | None, cause: Cause | None, no_beat: str = "off") -> str:
    """The heartbeat's outcome: `200 in 84 ms`, `no answer: dns`, or what there is to say of none."""
    if beat is None:
        return no_beat
    if beat.status is not None and cause is None:
        return f"{beat.status} in {beat.took_ms:.0f} ms"
    return f"no answer: {cause}"


def internet(ok: int | None, ping_ms: float | None) -> str:
    """The internet check: `23 ms`, `down` or `?`."""
    if ok is None:
        return "?"
    return f"{ping_ms:.0f} ms" if ok and ping_ms is not None else "down"


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}%"
