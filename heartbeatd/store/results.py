"""What the reader answers. None is unknown: nothing was known, or the database holds something else than it should."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from heartbeatd.core.metrics import Series
from heartbeatd.core.subject import Severity, Subject


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One line of table `metrics`, its columns in order."""

    id: str | None
    timestamp_lima: str | None  # ISO 8601
    cpu_percent: float | None
    ram_percent: float | None
    ram_used_mb: float | None
    disk_percent: float | None
    container_count: int | None
    internet_ok: int | None
    ping_ms: float | None
    worker_status: int | None
    cycle_duration_ms: float | None


@dataclass(frozen=True, slots=True)
class StoredReading:
    """The latest value of a series, and when it was read."""

    series: Series
    at_ns: int
    value: float


@dataclass(frozen=True, slots=True)
class StoredCheck:
    """The last look at a service, and when that was."""

    name: str
    at_ns: int
    status: str | None
    took_ms: float | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class RollUp:
    """Of the `count` values of one metric that were known in an hour or a day."""

    min: float | None = None
    mean: float | None = None
    max: float | None = None
    count: int | None = 0

    @property
    def sum(self) -> int | None:
        """Of what is 1 or 0: how often it was 1."""
        if self.count == 0:
            return 0
        return None if self.mean is None or self.count is None else round(self.mean * self.count)


@dataclass(frozen=True, slots=True)
class Summary:
    """An hour or a day that begins at `start` (ISO 8601), and the roll-up of each metric of which anything was known."""

    start: str | None
    roll_ups: Mapping[str, RollUp] = field(default_factory=dict)

    def of(self, metric: str) -> RollUp:
        return self.roll_ups.get(metric, RollUp())

    @property
    def cycles(self) -> int | None:
        return self.of("worker_ok").count


@dataclass(frozen=True, slots=True)
class Announced:
    """What was last announced of a subject."""

    subject: Subject
    state: str | None
    severity: Severity | None
    since_ns: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """How many deliveries have not arrived, and what the last try of one of them came to."""

    waiting: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """One notification on its way to one channel, or at its end."""

    event_id: str | None
    title: str | None
    channel: str | None
    attempts: int | None
    queued_ns: int | None
    next_try_ns: int | None
    delivered_ns: int | None
    set_aside_ns: int | None
    last_error: str | None
