"""*What* a cycle does: look, beat, think, remember, report. One tick, five steps, each of which goes on if the one before failed.

Edges do not raise for what they meet; if one does all the same, or if anything here does, the cycle goes on with what it has:
nothing measured is unknown, no heartbeat says nothing about the Worker, and what could not be announced has not been.

The edges are Protocols here; `wiring` hands in the real ones, the tests others that behave the same.
"""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Protocol, TypeVar

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import Clock, booted_ns
from heartbeatd.core import alerting, answers, cyclelog, gap, payload, wording
from heartbeatd.core.cyclelog import Hour, LogCycles, Logged
from heartbeatd.core.ids import RANDOM_BYTES, uuid7
from heartbeatd.core.model import (
    Alert,
    AlertState,
    Announcement,
    Event,
    HeartbeatResult,
    Observation,
    ProbeReport,
    ProbeStatus,
    Row,
    Sample,
)
from heartbeatd.core.retry_after import Hold, held_after
from heartbeatd.core.schedule import NS_PER_S, Tick
from heartbeatd.core.timefmt import plural, time_of_day, to_lima
from heartbeatd.journal import NOTICE, MessageId, journal_fields

log = logging.getLogger(__name__)
T = TypeVar("T")
Thought = tuple[Observation | None, AlertState | None, Announcement | None, tuple[Alert, ...]]
NO_ALERTS: tuple[Alert, ...] = ()
NOTHING_SEEN: Thought = (None, None, None, NO_ALERTS)


class Collector(Protocol):
    """The probes."""

    def collect(self, now: Callable[[], int], waiter: CancelToken) -> Sample:
        """What is there to see; never raises for what cannot be seen."""


class HeartbeatSender(Protocol):
    """The heartbeat."""

    def send(self, body: bytes, waiter: CancelToken) -> HeartbeatResult | None:
        """One beat; None if it was broken off."""


class Store(Protocol):
    """The ledger."""

    track: AlertState | None

    @property
    def pending(self) -> int:
        """Alerts that have not arrived."""

    @property
    def waiting(self) -> int:
        """Rows that are in memory only."""

    def record(self, row: Row, track: AlertState | None, alerts: tuple[Alert, ...]) -> None:
        """Keep one cycle."""


class AlertQueue(Protocol):
    """The outbox."""

    @property
    def waiting(self) -> int:
        """Alerts that have not arrived."""

    @property
    def alive(self) -> bool:
        """False once nothing is delivered any more, whatever is posted."""

    def post(self, alerts: tuple[Alert, ...]) -> None:
        """Deliver these, and whatever else is pending."""


class ServiceManager(Protocol):
    """The service manager."""

    def watchdog(self, status: str) -> None:
        """A cycle has finished, and saw this."""

    def status(self, text: str) -> None:
        """A cycle saw this, but it is no sign of life."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the configuration a cycle goes by. The URLs are fit to be shown; `gap_alert_s` 0 is never."""

    interval_s: int
    patience: alerting.Thresholds
    heartbeat_url: str
    internet_url: str
    gap_alert_s: int
    log_cycles: LogCycles


@dataclass(frozen=True, slots=True)
class Edges:
    """Where a cycle meets the world. No `heartbeat`: no Worker is configured; no `outbox`: no webhook is."""

    probes: Collector
    heartbeat: HeartbeatSender | None
    ledger: Store
    outbox: AlertQueue | None
    service: ServiceManager


class Cycle:
    """Runs ticks, one after the other."""

    def __init__(
        self,
        edges: Edges,
        rules: Rules,
        agent: payload.AgentInfo,
        before: gap.PreviousRun,
        clock: Clock,
        sequence: Iterator[int],
        waiter: CancelToken,
    ) -> None:
        self._edges, self._rules, self._agent, self._before = edges, rules, agent, before
        self._clock, self._sequence, self._waiter = clock, sequence, waiter
        self._presences: dict[str, ProbeReport] = {}
        self._failures: dict[str, str] = {}  # step → how it failed last time, while it does
        self._check_explains = True
        self._logged = Logged()
        self._hold: Hold | None = None
        self._internet_problem = ""

    def run(self, tick: Tick) -> None:
        """One cycle."""
        woke_ns = self._clock.monotonic_ns()
        sample = self._tried("measure the host", self._look, None) or Sample(self._clock.now_ns())
        row_id = uuid7(sample.taken_ns, os.urandom(RANDOM_BYTES))
        beat = self._tried("send the heartbeat", lambda: self._beat(sample, row_id), None)
        seen, track, change, alerts = self._tried(
            "evaluate the Worker's answer", lambda: self._think(sample, beat), NOTHING_SEEN
        )
        alerts = (
            *self._tried("tell how long nothing ran before this start", lambda: self._gap(sample.taken_ns), NO_ALERTS),
            *alerts,
        )
        row = row_of(sample, row_id, beat, (self._clock.monotonic_ns() - woke_ns) / 1e6)
        self._tried("store what it saw", lambda: self._edges.ledger.record(row, track, alerts), None)
        self._tried("pass on its alerts", lambda: self._post(alerts), None)
        status = self._tried("write the status line", lambda: self._status(tick, sample, beat, seen), "see the journal")
        self._tried("report to systemd", lambda: self._report(status), None)
        self._tried("write its line in the journal", lambda: self._log(tick, sample, row, beat, seen), None)
        self._tried("log what has changed", lambda: self._log_changes(sample, change), None)

    def _tried(self, step: str, work: Callable[[], T], otherwise: T) -> T:
        """What `work` returns, or `otherwise` if it fails in a way nobody foresaw. That is logged, once while it is the same."""
        try:
            found = work()
        except Exception as error:
            if self._failures.get(step) != repr(error):
                self._failures[step] = repr(error)
                log.exception("a cycle could not %s; it goes on", step, extra=journal_fields(MessageId.CYCLE_FAILED))
            return otherwise
        if self._failures.pop(step, None) is not None:
            log.log(NOTICE, "cycles can %s again", step)
        return found

    def _look(self) -> Sample:
        return self._edges.probes.collect(self._clock.now_ns, self._waiter)

    def _post(self, alerts: tuple[Alert, ...]) -> None:
        if self._edges.outbox is not None and (alerts or self._edges.ledger.pending):
            self._edges.outbox.post(alerts)

    def _beat(self, sample: Sample, row_id: str) -> HeartbeatResult | None:
        """The heartbeat's outcome; None if none is sent, or it was broken off."""
        if self._edges.heartbeat is None or self._waiter.cancelled or self._is_held():
            return None
        body = payload.heartbeat_body(self._agent, sample, row_id, next(self._sequence))
        beat = self._edges.heartbeat.send(body, self._waiter)
        if beat is not None:
            self._hold = self._held_after(beat)
        return beat

    def _held_after(self, beat: HeartbeatResult) -> Hold | None:
        """The Worker is asked as often as ever until its trouble counts as such: to wait must not delay the alert about it."""
        track = self._edges.ledger.track
        if track is None or track.current.good:
            return None
        return held_after(self._hold, beat, self._clock.now_ns(), self._clock.boottime_ns())

    def _is_held(self) -> bool:
        """True while the Worker's `Retry-After` holds heartbeats back."""
        return self._hold is not None and self._clock.boottime_ns() < self._hold.until_ns

    def _no_beat(self) -> str:
        """Why no heartbeat was sent in this cycle."""
        if self._edges.heartbeat is None:
            return "not configured"
        if self._hold is not None:
            until_ns = self._clock.now_ns() + self._hold.until_ns - self._clock.boottime_ns()
            return f"asked to wait (Retry-After), no heartbeat before {time_of_day(until_ns, self._agent.zone)}"
        return "not asked"

    def _learn(self, beat: HeartbeatResult | None, internet_ok: bool | None) -> None:
        """Whether the internet check can explain an outage: not while it fails and the Worker answers all the same."""
        if internet_ok:
            self._check_explains = True
        elif beat is not None and beat.status is not None:
            self._check_explains = False

    def _think(self, sample: Sample, beat: HeartbeatResult | None) -> Thought:
        """What was seen of the Worker; the track, if it is another one now; the change to announce, and its alert."""
        seen = answers.classify_response(
            self._clock.now_ns(),
            beat,
            sample.internet_ok,
            check_explains=self._check_explains,
            asked=self._asked(sample),
        )
        self._learn(beat, sample.internet_ok)
        if seen is None:
            return None, None, None, ()
        before = self._edges.ledger.track
        after, change = alerting.advance(before, seen, self._rules.patience)
        if before is not None and change is None and after.current is not before.current:
            self._log_untold(before, after, seen)
        return seen, (after if after != before else None), change, self._alerts(change)

    def shift(self, by_ns: int) -> None:
        """The wall clock was stepped by so much."""
        self._agent = replace(self._agent, started_ns=self._agent.started_ns + by_ns)

    def _gap(self, taken_ns: int) -> tuple[Alert, ...]:
        """The alert for the time before this run, at the first cycle at which it can be told."""
        before = self._before
        if before.run is None or before.run.last_row_ns is None:
            return ()
        now = gap.Now(self._clock.now_ns(), self._clock.boottime_ns(), self._clock.vouched())
        if before.began_boot_ns is None:
            before.began_boot_ns = now.boot_ns - (now.wall_ns - taken_ns)
        found = gap.classify_gap(before, now)
        if found is None:
            if gap.cannot_be_told(before, now):
                before.run = None
                log.warning(
                    "how long nothing ran before this start is unknown: rows were stored by a clock that was ahead"
                )
            return ()
        alerts = self._gap_alerts(found)
        before.run = None
        return alerts

    def _gap_alerts(self, found: gap.Gap) -> tuple[Alert, ...]:
        told = found.kind is gap.GapKind.FAILURE
        if not told and found.duration_s < 2 * self._rules.interval_s:  # a restart: no slot was missed, or hardly one
            return ()
        log.log(
            NOTICE,
            "%s",
            wording.gap(self._agent.host, found, self._agent.zone).message,
            extra=journal_fields(
                MessageId.GAP, cause=found.kind, duration_seconds=round(found.duration_s), result=found.result or None
            ),
        )
        if self._edges.outbox is None or not (told or 0 < self._rules.gap_alert_s < found.duration_s):
            return ()
        event_id = uuid7(found.until_ns, os.urandom(RANDOM_BYTES))
        return (self._dated(payload.gap_alert(self._agent, found, event_id, self._rules.heartbeat_url)),)

    def _dated(self, alert: Alert) -> Alert:
        """With the clock that its moments are by."""
        return replace(alert, boot_id=self._before.boot_id, booted_ns=booted_ns(self._clock))

    def _alerts(self, change: Announcement | None) -> tuple[Alert, ...]:
        """The alert for `change`. Without a webhook none is made: it would be delivered years later, if ever."""
        if change is None or self._edges.outbox is None:
            return ()
        event_id = uuid7(change.at_ns, os.urandom(RANDOM_BYTES))
        return (self._dated(payload.change_alert(self._agent, change, event_id, self._rules.heartbeat_url)),)

    def _status(self, tick: Tick, sample: Sample, beat: HeartbeatResult | None, seen: Observation | None) -> str:
        next_at = time_of_day(tick.slot_ns + self._rules.interval_s * NS_PER_S, self._agent.zone)
        told = wording.worker_state(seen, beat, self._no_beat())
        return wording.status_line(sample, told, notes=self._notes(), next_at=next_at, asked=self._asked(sample))

    def _asked(self, sample: Sample) -> str:
        """What the internet check asked, and why it failed, e.g. `http://www.google.com: dns: the name has no address`."""
        return ": ".join(filter(None, (self._rules.internet_url, sample.internet_detail)))

    def _report(self, status: str) -> None:
        """The status, and a sign of life, unless what delivers alerts has died: then systemd is to start all of it anew."""
        if self._edges.outbox is None or self._edges.outbox.alive:
            self._edges.service.watchdog(status)
            return
        log.error(
            "what delivers alerts has ended: no sign of life for the watchdog, so that systemd starts the agent anew"
        )
        self._edges.service.status(f"alerts are not delivered any more; {status}")

    def _log(
        self, tick: Tick, sample: Sample, row: Row, beat: HeartbeatResult | None, seen: Observation | None
    ) -> None:
        self._logged, due = cyclelog.advance(self._logged, self._rules.log_cycles, tick.slot_ns, row, seen)
        if due.hour is not None:
            self._log_hour(due.hour)
        if due.cycle:
            self._log_cycle(tick, sample, row, beat, seen)

    def _log_hour(self, hour: Hour) -> None:
        log.info("%s", wording.hour_line(hour, self._agent.zone), extra=journal_fields(MessageId.HOUR, **asdict(hour)))

    def _log_cycle(
        self, tick: Tick, sample: Sample, row: Row, beat: HeartbeatResult | None, seen: Observation | None
    ) -> None:
        off = self._edges.heartbeat is None
        log.info(
            "%s",
            wording.cycle_line(sample, seen.cause if seen else None, beat, no_beat="off" if off else self._no_beat()),
            extra=journal_fields(
                MessageId.CYCLE,
                slot=to_lima(tick.slot_ns),
                cpu_percent=row.cpu_percent,
                ram_percent=row.ram_percent,
                ram_used_mb=row.ram_used_mb,
                disk_percent=row.disk_percent,
                container_count=row.container_count,
                internet_ok=row.internet_ok,
                ping_ms=row.ping_ms,
                worker_state=seen.state if seen else None,
                worker_status=row.worker_status,
                worker_cause=seen.cause if seen else None,
                cycle_duration_ms=row.cycle_duration_ms,
            ),
        )

    def _notes(self) -> tuple[str, ...]:
        """What is out of the ordinary, for the status line."""
        outbox, ledger = self._edges.outbox, self._edges.ledger
        notes = []
        if outbox is not None and outbox.waiting:
            notes.append(f"{plural(outbox.waiting, 'alert')} queued")
        if ledger.waiting:
            notes.append(f"{plural(ledger.waiting, 'row')} not stored yet")
        return tuple(notes)

    def _log_changes(self, sample: Sample, change: Announcement | None) -> None:
        for note in sample.notes:
            before = self._presences.get(note.probe)
            if before != note and (before is not None or note.presence is not ProbeStatus.READ):
                self._log_probe(before.presence if before is not None else None, note)
            self._presences[note.probe] = note
        self._log_internet(sample)
        if change is not None:
            text = wording.announce(self._agent.host, change, self._rules.heartbeat_url, self._agent.zone)
            log.log(
                NOTICE if change.event is Event.RECOVERY else logging.WARNING,
                "%s",
                text.message,
                extra=journal_fields(
                    MessageId.WORKER_CHANGED,
                    event=change.event,
                    previous=change.previous,
                    current=change.current,
                    worker_status=change.status,
                    worker_cause=change.cause,
                    duration_seconds=change.duration_s,
                ),
            )

    def _log_internet(self, sample: Sample) -> None:
        """Say it when the internet check begins to fail, fails for another reason, or passes again."""
        if sample.internet_ok is None:
            return
        problem = "" if sample.internet_ok else sample.internet_detail or "no answer"
        cause, before = problem.partition(":")[0], self._internet_problem.partition(":")[0]
        if cause != before:
            log.log(
                logging.WARNING if problem else NOTICE,
                "the internet check %s",
                f"fails: {self._rules.internet_url}: {problem}" if problem else "passes again",
                extra=journal_fields(
                    MessageId.INTERNET_CHANGED, internet_ok=int(sample.internet_ok), detail=problem or None
                ),
            )
        self._internet_problem = problem

    def _log_untold(self, before: AlertState, after: AlertState, seen: Observation) -> None:
        log.log(
            NOTICE,
            "the heartbeat Worker went from %s to %s; not announced, as it is flapping: %s in an hour",
            before.current,
            after.current,
            plural(alerting.changes_in_an_hour(after, seen.at_ns), "change"),
            extra=journal_fields(
                MessageId.WORKER_CHANGED,
                previous=before.current,
                current=after.current,
                worker_status=seen.status,
                worker_cause=seen.cause,
            ),
        )

    def _log_probe(self, before: ProbeStatus | None, note: ProbeReport) -> None:
        level, what = _presence_change(before, note.presence)
        log.log(
            level,
            "%s: %s%s",
            note.probe,
            what,
            f": {note.detail}" if note.detail else "",
            extra=journal_fields(MessageId.PROBE_CHANGED, probe=note.probe, presence=note.presence, detail=note.detail),
        )


def row_of(sample: Sample, row_id: str, beat: HeartbeatResult | None, took_ms: float) -> Row:
    """The row of one cycle, which took so long from waking to being ready to store."""
    return Row(
        id=row_id,
        timestamp_lima=to_lima(sample.taken_ns),
        cpu_percent=sample.cpu_percent,
        ram_percent=sample.ram_percent,
        ram_used_mb=sample.ram_used_mb,
        disk_percent=sample.disk_percent,
        container_count=sample.container_count,
        internet_ok=None if sample.internet_ok is None else int(sample.internet_ok),
        ping_ms=sample.ping_ms,
        worker_status=None if beat is None else beat.status,
        cycle_duration_ms=took_ms,
    )


def _presence_change(before: ProbeStatus | None, now: ProbeStatus) -> tuple[int, str]:
    """How loud to say it, and what. To find nothing to read is no fault; that there was something before is worth a line."""
    match now:
        case ProbeStatus.READ:
            return NOTICE, "can be read again" if before is ProbeStatus.FAULT else "can be read now"
        case ProbeStatus.FAULT:
            return logging.WARNING, "cannot be read, and is unknown until it can be"
        case ProbeStatus.ABSENT if before in (ProbeStatus.READ, ProbeStatus.FAULT):
            return NOTICE, "nothing to read any more"
        case ProbeStatus.ABSENT | ProbeStatus.OFF:
            return logging.DEBUG, "nothing to read"
