"""A cycle, an hour and the status in one line."""

from collections.abc import Sequence

from heartbeatd.core.cyclelog import Hour
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.sample import ProbeStatus, Sample
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.silence import Held
from heartbeatd.core.subject import Observation
from heartbeatd.core.timefmt import Zone, format_duration, plural, time_of_day


def cycle_line(sample: Sample, cause: str | None, beat: HeartbeatResult | None, *, no_beat: str = "off") -> str:
    """One cycle in one line, e.g. `cpu 3.2% ram 41.0% disk 63.1% containers 12 internet 23 ms worker 200 in 84 ms`."""
    return " ".join(
        (
            f"cpu {_percent(sample.cpu_percent)}",
            f"ram {_percent(sample.ram_percent)}",
            f"disk {_percent(sample.disk_percent)}",
            _CONTAINERS_SHORT.get(sample.status("containers"), f"containers {_count(sample.container_count)}"),
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
            _CONTAINERS.get(sample.status("containers")) or _running(sample.container_count),
            figures,
            *notes,
            f"next at {next_at}",
        )
    )


def worker_state(seen: Observation | None, beat: HeartbeatResult | None, no_beat: str) -> str:
    """The Worker in the status line: its state and what it answered, or why nothing was asked."""
    return no_beat if seen is None else f"{seen.state} ({worker(beat, seen.reason)})"


MOST_SUBJECTS = 3


def bad_subjects(bad: Sequence[Observation]) -> tuple[str, ...]:
    """Those that are not ok, in the status line: `disk:/srv warning`, `MOST_SUBJECTS` of them."""
    shown = tuple(f"{observed.subject} {observed.state}" for observed in bad[:MOST_SUBJECTS])
    return shown if len(bad) <= MOST_SUBJECTS else (*shown, f"{len(bad) - MOST_SUBJECTS} more not ok")


def silence_notes(held: Held, now_ns: int) -> tuple[str, ...]:
    """Of whom nobody is told, in the status line: `silenced: disk:/srv for 2 h`, `MOST_SUBJECTS` patterns of it."""
    notes = ("alerts wait until the system is up",) if held.booting else ()
    patterns = [
        f"{one.pattern} for {format_duration((one.until_ns - now_ns) / NS_PER_S)}"
        for one in held.silences[:MOST_SUBJECTS]
    ]
    if not patterns:
        return notes
    more = len(held.silences) - len(patterns)
    return (*notes, f"silenced: {', '.join(patterns)}" + (f", {more} more" if more else ""))


def worker(beat: HeartbeatResult | None, cause: str | None, no_beat: str = "off") -> str:
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
    ProbeStatus.NO_DATA: "no docker",
    ProbeStatus.OFF: "containers not counted",
}
_CONTAINERS_SHORT: dict[ProbeStatus | None, str] = {ProbeStatus.NO_DATA: "no docker", ProbeStatus.OFF: "containers off"}


def _running(count: int | None) -> str:
    return "containers unknown" if count is None else plural(count, "container")


def _count(count: int | None) -> str:
    return "?" if count is None else str(count)


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}%"
