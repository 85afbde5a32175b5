"""What `heartbeatctl status` says: for people in lines, for scripts as data. Pure.

What could not be found out is shown as unknown, with the reason: never as zero, as false or as "not configured".
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from heartbeatd.config.model import Config
from heartbeatd.core import retry_after
from heartbeatd.core.schedule import NS_PER_S, next_tick
from heartbeatd.core.silence import Silence
from heartbeatd.core.subject import Severity
from heartbeatd.core.text.cycle import internet
from heartbeatd.core.text.readings import reading_lines
from heartbeatd.core.text.service_lines import service_lines
from heartbeatd.core.timefmt import LIMA_ZONE, Zone, clock, format_duration, from_iso, iso, plural, time_of_day
from heartbeatd.core.worker import WORKER, rule_for
from heartbeatd.ctl.service import Service
from heartbeatd.errors import Problem
from heartbeatd.store.results import Announced, Queue, StoredCheck, StoredReading, StoredRow

STALE_CYCLES = 3
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database says. What keeps it from being read is in `trouble`, and then nothing else is known.

    `last_answer` is the Worker's latest status within the time for which it may have asked to wait (`Retry-After`).
    """

    row: StoredRow | None = None
    announced: tuple[Announced, ...] = ()
    queue: Queue | None = None
    trouble: str = ""
    last_answer: int | None = None
    readings: tuple[StoredReading, ...] = ()
    silences: tuple[Silence, ...] = ()
    checks: tuple[StoredCheck, ...] = ()

    @property
    def worker(self) -> Announced | None:
        """What was announced of the Worker."""
        return next((one for one in self.announced if one.subject == WORKER), None)


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known. `config` is None if it could not be read, `unit` for the reason `no_unit`."""

    config: Config | None
    unit: Service | None
    snapshot: Snapshot
    now_ns: int
    monotonic_ns: int
    refusal: str = ""  # why the configuration could not be read
    failure: Problem | None = None  # why systemd cannot start the service
    no_unit: str = "systemd does not answer"

    @property
    def age_s(self) -> float | None:
        """Seconds since the last row was sampled; negative for a row of a clock that was ahead."""
        stamp = self.snapshot.row.timestamp_lima if self.snapshot.row else None
        return None if stamp is None else (self.now_ns - from_iso(stamp)) / NS_PER_S

    @property
    def patience_s(self) -> float | None:
        """How old the last row may be; None if the interval is not known."""
        return None if self.config is None else float(STALE_CYCLES * self.config.agent.interval_seconds)

    @property
    def fresh(self) -> bool | None:
        """True if the last row is as young as it should be; None if that cannot be told."""
        if self.age_s is None or self.patience_s is None:
            return None
        return -self.patience_s < self.age_s < self.patience_s

    @property
    def running(self) -> bool | None:
        """Whether the service is up; without systemd, whether rows arrive."""
        return self.unit.running if self.unit is not None else self.fresh

    @property
    def starting(self) -> bool:
        """True while the service has not been up for long enough to have stored a row."""
        if self.unit is None or not self.unit.running or self.patience_s is None:
            return False
        return self.monotonic_ns / NS_PER_S - self.unit.since_monotonic_us / 1e6 < self.patience_s

    @property
    def well(self) -> bool:
        """True if nothing is wrong, and enough is known to say so."""
        snapshot = self.snapshot
        announced_well = all(one.severity is Severity.OK for one in snapshot.announced)
        delivers = snapshot.queue is not None and snapshot.queue.last_error is None
        return bool(self.fresh or self.starting) and announced_well and delivers

    @property
    def next_slot_ns(self) -> int | None:
        """When the next cycle is; None if none will run, or that is not known."""
        if self.config is None or not self.running:
            return None
        return next_tick(self.now_ns, self.config.agent.interval_seconds * NS_PER_S).slot_ns

    @property
    def zone(self) -> Zone:
        """In which people read times."""
        return self.config.agent.timezone if self.config is not None else LIMA_ZONE


def facts(report: Report) -> dict[str, object]:
    """One object; null is unknown, or that there is none, and `trouble` says why something is unknown."""
    snapshot, row, announced = report.snapshot, report.snapshot.row, report.snapshot.worker
    failure = str(report.failure) if report.failure is not None else ""
    reasons = [failure, report.refusal, snapshot.trouble, "" if report.unit is not None else report.no_unit]
    return {
        "service": asdict(report.unit) if report.unit is not None else None,
        "last_cycle": asdict(row) if row is not None else None,
        "last_cycle_age_seconds": None if report.age_s is None else round(report.age_s, 3),
        "worker": {
            "configured": None if report.config is None else bool(report.config.heartbeat.url),
            "announced": announced.state if announced is not None else None,
            "since": _iso(announced.since_ns if announced is not None else None, report.zone),
            "last_status": row.worker_status if row is not None else None,
        },
        "subjects": {
            str(one.subject): {
                "announced": one.state,
                "severity": one.severity,
                "since": _iso(one.since_ns, report.zone),
            }
            for one in snapshot.announced
        },
        "readings": {
            str(one.series): {"value": one.value, "at": _iso(one.at_ns, report.zone)} for one in snapshot.readings
        },
        "silences": [
            {"pattern": one.pattern, "until": _iso(one.until_ns, report.zone), "comment": one.comment}
            for one in snapshot.silences
        ],
        "services": {
            one.name: {
                "status": one.status,
                "cause": one.cause,
                "took_ms": one.took_ms,
                "at": _iso(one.at_ns, report.zone),
            }
            for one in _checks(report)
        },
        "internet_ok": row.internet_ok if row is not None else None,
        "container_count": row.container_count if row is not None else None,
        "alerts": {
            "queued": snapshot.queue.waiting if snapshot.queue is not None else None,
            "last_error": snapshot.queue.last_error if snapshot.queue is not None else None,
        },
        "next_slot": _iso(report.next_slot_ns, report.zone),
        "trouble": "; ".join(filter(None, reasons)) or None,
    }


def lines(report: Report) -> Iterator[str]:
    """What people read; each line still has to go through `plain`."""
    if report.unit is None:
        yield f"service     {UNKNOWN}: {report.no_unit}"
    else:
        yield from _service(report.unit)
    if report.failure is not None:
        yield f"            {report.failure.what} ({report.failure.where})"
        yield f"            → {report.failure.hint}"
    snapshot = report.snapshot
    if snapshot.trouble:
        yield f"database    {snapshot.trouble}"
        yield "            so the last cycle, the Worker and the queue of alerts are unknown"
    else:
        yield from _last_cycle(report)
        for one in snapshot.silences:
            why = f": {one.comment}" if one.comment else ""
            yield f"silenced    {one.pattern} until {clock(one.until_ns, report.zone)}{why}"
        yield f"alerts      {_alerts(snapshot.queue)}"
    if report.next_slot_ns is not None:
        yield f"next slot   {time_of_day(report.next_slot_ns, report.zone)}"


def _service(unit: Service) -> Iterator[str]:
    how = f"{unit.active} ({unit.sub})" if unit.sub not in ("", unit.active) else unit.active
    since = f" since {unit.since}" if unit.since and unit.running else ""
    yield f"service     {how}{since}, {plural(unit.restarts, 'restart')}, {unit.enabled or 'no unit'}"
    if unit.status and unit.active != "inactive":
        yield f"            {unit.status}"


def _last_cycle(report: Report) -> Iterator[str]:
    row = report.snapshot.row
    if row is None:
        yield "last cycle  none yet"
        return
    yield f"last cycle  {_when(report)}, {_number(row.cycle_duration_ms, '.0f')} ms"
    yield (
        f"host        cpu {_number(row.cpu_percent)}%, ram {_number(row.ram_percent)}% "
        f"({_number(row.ram_used_mb, '.0f')} MB), disk {_number(row.disk_percent)}%"
    )
    yield from reading_lines({one.series: one.value for one in report.snapshot.readings})
    yield f"worker      {_worker(report, row)}"
    yield f"internet    {internet(row.internet_ok, row.ping_ms)}"
    yield f"containers  {_containers(report, row)}"
    yield from service_lines({one.name: (one.status or UNKNOWN, one.cause, one.took_ms) for one in _checks(report)})
    for one in report.snapshot.announced:
        if one.subject != WORKER and one.severity is not Severity.OK:
            yield f"{one.severity or UNKNOWN:<11} {one.subject}: {one.state or UNKNOWN}{_since(one, report.zone)}"


def _checks(report: Report) -> tuple[StoredCheck, ...]:
    """Of the services that are configured: others may have been until lately."""
    config = report.config
    names = None if config is None else {service.name for service in config.services}
    return tuple(one for one in report.snapshot.checks if names is None or one.name in names)


def _when(report: Report) -> str:
    """The age of the last row, and whether that is as it should be."""
    if report.age_s is None:
        return f"at an {UNKNOWN} time (the row names none)"
    if report.patience_s is not None and report.age_s <= -report.patience_s:
        return f"dated {format_duration(-report.age_s)} ahead of this host's clock"
    stopped = report.unit is not None and not report.unit.running
    late = report.fresh is False and not stopped and not report.starting
    return f"{format_duration(report.age_s)} ago" + (" ← no newer row has been stored" if late else "")


def _worker(report: Report, row: StoredRow) -> str:
    if report.config is not None and not report.config.heartbeat.url:
        return "not configured: nothing is sent"
    status = row.worker_status
    now = "no answer in the last cycle" if _was_sent(report) else "no answer, or no heartbeat sent, in the last cycle"
    if status is not None:
        rule = rule_for(status)
        now = f"HTTP {status}, {rule.state if rule else 'which means nothing'}"
    announced = report.snapshot.worker
    if announced is None:
        return now
    return f"{now}; announced: {announced.state or UNKNOWN}{_since(announced, report.zone)}"


def _was_sent(report: Report) -> bool:
    """True if a heartbeat was sent for certain: the Worker cannot have asked to wait, nor was the agent stopping."""
    may_wait = report.snapshot.last_answer in retry_after.STATUSES
    return report.config is not None and bool(report.running) and not report.starting and not may_wait


def _since(announced: Announced, zone: Zone) -> str:
    return f" since {clock(announced.since_ns, zone)}" if announced.since_ns is not None else ""


def _containers(report: Report, row: StoredRow) -> str:
    """How many run. The row does not say why there is no number: Docker that is not installed is no fault."""
    if row.container_count is not None:
        return str(row.container_count)
    off = report.config is not None and not report.config.docker.socket
    return "not counted (docker.socket is empty)" if off else f"{UNKNOWN} (no Docker, or it cannot be read)"


def _alerts(queue: Queue | None) -> str:
    if queue is None:
        return UNKNOWN
    return f"{queue.waiting} queued" + (f"; last try: {queue.last_error}" if queue.last_error else "")


def _number(value: float | None, form: str = ".1f") -> str:
    return "?" if value is None else format(value, form)


def _iso(at_ns: int | None, zone: Zone) -> str | None:
    return None if at_ns is None else iso(at_ns, zone)
