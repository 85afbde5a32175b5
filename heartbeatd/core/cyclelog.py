"""Which cycles have a line in the journal (`agent.log_cycles`): each, those that differ from the one before, or one an hour.

What has been logged so far is a value, and `advance` says what is due now. Changes of state, probes that fail and alerts are
logged elsewhere, whatever this says.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from heartbeatd.core.sample import Row
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.subject import Observation

HOUR_NS = 3600 * NS_PER_S


class LogCycles(StrEnum):
    """Which cycles are logged."""

    ALL = "all"
    HOURLY = "hourly"
    CHANGES = "changes"


@dataclass(frozen=True, slots=True)
class Hour:
    """The cycles of one hour of the wall clock so far; `since_ns` is the slot of the first.

    `heartbeats` counts those that were sent and not broken off, `checks` the internet checks that came to an end.
    """

    since_ns: int
    cycles: int = 0
    heartbeats: int = 0
    worker_ok: int = 0
    checks: int = 0
    internet_ok: int = 0
    cpu_most: float | None = None
    ram_most: float | None = None
    disk_most: float | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """What the last cycle saw (the Worker's last answer, the internet check, the number of containers), and the hour so far."""

    last: tuple[object, ...] | None = None
    hour: Hour | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be logged after a cycle: its own line, and the hour that is over."""

    cycle: bool
    hour: Hour | None = None


def advance(logged: Logged, which: LogCycles, slot_ns: int, row: Row, seen: Observation | None) -> tuple[Logged, Due]:
    """What is due after the cycle of `slot_ns`. The first cycle of all has its line in any case."""
    before = logged.last
    # A cycle without a heartbeat says nothing about the Worker, so its answer is taken to be what it was.
    answer = (seen.state, seen.value, seen.reason) if seen is not None else before[0] if before is not None else None
    last = (answer, row.internet_ok, row.container_count)
    match which:
        case LogCycles.ALL:
            return Logged(last), Due(cycle=True)
        case LogCycles.CHANGES:
            return Logged(last), Due(cycle=last != before)
        case LogCycles.HOURLY:
            over = logged.hour if logged.hour is not None and _hour(logged.hour.since_ns) != _hour(slot_ns) else None
            hour = Hour(slot_ns) if over is not None or logged.hour is None else logged.hour
            return Logged(last, _and(hour, row, seen)), Due(cycle=before is None, hour=over)


def _hour(at_ns: int) -> int:
    return at_ns // HOUR_NS


def _and(hour: Hour, row: Row, seen: Observation | None) -> Hour:
    return replace(
        hour,
        cycles=hour.cycles + 1,
        heartbeats=hour.heartbeats + (seen is not None),
        worker_ok=hour.worker_ok + (seen is not None and seen.ok),
        checks=hour.checks + (row.internet_ok is not None),
        internet_ok=hour.internet_ok + (row.internet_ok or 0),
        cpu_most=_most(hour.cpu_most, row.cpu_percent),
        ram_most=_most(hour.ram_most, row.ram_percent),
        disk_most=_most(hour.disk_most, row.disk_percent),
    )


def _most(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return max(known) if known else None
