"""What the probes read in one cycle, and the row that is kept of it.

Names carry their units. `None` means unknown everywhere: a value that could not be read is never guessed or repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from heartbeatd.core.container import Container, Reason
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.metrics import NOT_KEPT, Series, values
from heartbeatd.core.service import ServiceCheck
from heartbeatd.core.timefmt import to_lima
from heartbeatd.core.unit import FailedUnit


class ProbeStatus(StrEnum):
    """How a probe's reading went. The values are those of the journal's field HEARTBEAT_PRESENCE."""

    OK = "read"
    NO_DATA = "absent"  # nothing there to read, which is no fault
    OFF = "off"  # the configuration says not to look
    FAILED = "fault"  # there is something, but it could not be read


class NoData(Exception):
    """There is nothing here to read."""


class Off(Exception):
    """The configuration says not to look."""


class ProbeError(Exception):
    """There is something to read, but it cannot be; the text says why, in words for the log."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What one probe has to say beside its value, for the log: said when it changes, not each cycle."""

    probe: str
    status: ProbeStatus
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the probes saw in one cycle. `readings` are those that have no column; `containers` run, None if unknown.

    `services` is the last look at each, as far as there has been one, `service_checks` those that are new in this cycle.
    """

    taken_ns: int  # wall clock, ns since the epoch
    cpu_percent: float | None = None
    ram_percent: float | None = None
    ram_used_mb: float | None = None  # MB of 1024² bytes
    disk_percent: float | None = None
    container_count: int | None = None
    internet_ok: bool | None = None
    ping_ms: float | None = None
    internet_detail: str = ""  # why the internet check failed; "" when it passed or did not run
    reports: tuple[ProbeReport, ...] = ()
    readings: Mapping[Series, float] = field(default_factory=dict)
    containers: tuple[Container, ...] | None = None
    reasons: Mapping[str, Reason] = field(
        default_factory=dict
    )  # of containers that are not well, by name, as far as known
    failed_units: tuple[FailedUnit, ...] | None = (
        None  # None in a cycle in which systemd was not asked, or did not answer
    )
    services: tuple[ServiceCheck, ...] = ()
    service_checks: tuple[ServiceCheck, ...] = ()

    def status(self, probe: str) -> ProbeStatus | None:
        """How this probe's reading went; None if it was not read in this cycle."""
        return next((report.status for report in self.reports if report.probe == probe), None)

    def asked(self, internet_url: str) -> str:
        """What the internet check asked, and why it failed, e.g. `http://www.google.com: dns: the name has no address`."""
        return ": ".join(filter(None, (internet_url, self.internet_detail)))


@dataclass(frozen=True, slots=True)
class Readings:
    """Values that have no column, looks at services, and the `timestamp_lima` of the row they were read with."""

    timestamp_lima: str
    values: Mapping[Series, float]
    service_checks: tuple[ServiceCheck, ...] = ()

    def __len__(self) -> int:
        return len(self.values) + len(self.service_checks)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of table `metrics`, its columns in order. The database and its readers depend on these names."""

    id: str
    timestamp_lima: str
    cpu_percent: float | None
    ram_percent: float | None
    ram_used_mb: float | None
    disk_percent: float | None
    container_count: int | None
    internet_ok: int | None
    ping_ms: float | None
    worker_status: int | None
    cycle_duration_ms: float


def row_of(sample: Sample, row_id: str, result: HeartbeatResult | None, took_ms: float) -> Row:
    """The row of one cycle, which took so long from waking to being ready to store."""
    return Row(
        id=row_id,
        timestamp_lima=to_lima(sample.taken_ns),
        **values(sample),  # type: ignore[arg-type]  # a test holds the fields of both to the metrics
        worker_status=None if result is None else result.status,
        cycle_duration_ms=took_ms,
    )


def readings_of(sample: Sample) -> Readings | None:
    """What goes into tables `readings` and `service_checks`; None in the many cycles that read nothing of that kind."""
    kept = {series: value for series, value in sample.readings.items() if series.metric not in NOT_KEPT}
    found = Readings(to_lima(sample.taken_ns), kept, sample.service_checks)
    return found if len(found) else None
