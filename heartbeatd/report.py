"""What a cycle has to say: the status line, its line in the journal, and what has changed."""

import logging
from dataclasses import asdict, dataclass

from heartbeatd.core import cyclelog
from heartbeatd.core.alert_state import AlertState, AlertStates
from heartbeatd.core.alerting import Announcement, Event, changes_in_an_hour, is_held_back
from heartbeatd.core.cyclelog import Hour, LogCycles, Logged
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.metrics import values
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.rule import Evaluation
from heartbeatd.core.sample import ProbeReport, ProbeStatus, Row, Sample
from heartbeatd.core.schedule import NS_PER_S, Tick
from heartbeatd.core.subject import Observation
from heartbeatd.core.text import Text
from heartbeatd.core.text.cycle import bad_subjects, cycle_line, hour_line, status_line, worker_state
from heartbeatd.core.timefmt import plural, time_of_day, to_lima
from heartbeatd.core.worker import WORKER
from heartbeatd.journal import NOTICE, MessageId, journal_fields

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CycleOutcome:
    """What a cycle came to. `worker` is what it observed of the Worker, `skipped` why no heartbeat was sent."""

    tick: Tick
    sample: Sample
    row: Row
    result: HeartbeatResult | None
    evaluation: Evaluation
    worker: Observation | None
    skipped: str


class Reporter:
    """Remembers what was said last, so that what goes on is said once. `internet_url` is fit to be shown."""

    def __init__(self, agent: AgentInfo, interval_s: int, internet_url: str, log_cycles: LogCycles) -> None:
        self._agent, self._interval_s, self._internet_url = agent, interval_s, internet_url
        self._log_cycles = log_cycles
        self._logged = Logged()
        self._probes: dict[str, ProbeReport] = {}
        self._internet_problem = ""

    def status(self, outcome: CycleOutcome, notes: tuple[str, ...]) -> str:
        """`STATUS=` after this cycle; `notes` is what is out of the ordinary."""
        sample = outcome.sample
        next_at = time_of_day(outcome.tick.slot_ns + self._interval_s * NS_PER_S, self._agent.locale.zone)
        worker, observations = outcome.worker, outcome.evaluation.observations
        told = worker_state(worker, outcome.result, outcome.skipped)
        others = bad_subjects([observed for observed in observations if observed is not worker and not observed.ok])
        asked = sample.asked(self._internet_url)
        return status_line(sample, told, notes=(*others, *notes), next_at=next_at, asked=asked)

    def log_cycle(self, outcome: CycleOutcome) -> None:
        """The line of the cycle, and of the hour that is over, as far as they are due."""
        slot_ns = outcome.tick.slot_ns
        self._logged, due = cyclelog.advance(self._logged, self._log_cycles, slot_ns, outcome.row, outcome.worker)
        if due.hour is not None:
            self._log_hour(due.hour)
        if due.cycle:
            self._log_line(outcome)

    def log_changes(self, outcome: CycleOutcome, before: AlertStates) -> None:
        """What is another than in the cycle before; `before` are the alert states then."""
        for probe in outcome.sample.reports:
            self._log_probe(probe)
        self._log_internet(outcome.sample)
        evaluation = outcome.evaluation
        for announcement, text in evaluation.told:
            _log_announcement(announcement, text)
        told = {announcement.observed.subject for announcement, _ in evaluation.told}
        for after in evaluation.changed:
            # A subject of which nothing was known has just got its first state.
            earlier = before[after.subject].current if after.subject in before else after.announced
            if after.subject not in told and after.current != earlier:
                _log_untold(earlier, after, next(o for o in evaluation.observations if o.subject == after.subject))

    def _log_hour(self, hour: Hour) -> None:
        log.info("%s", hour_line(hour, self._agent.locale.zone), extra=journal_fields(MessageId.HOUR, **asdict(hour)))

    def _log_line(self, outcome: CycleOutcome) -> None:
        row, worker = outcome.row, outcome.worker
        skipped = "off" if outcome.skipped == "not configured" else outcome.skipped
        log.info(
            "%s",
            cycle_line(outcome.sample, worker.reason if worker else None, outcome.result, no_beat=skipped),
            extra=journal_fields(
                MessageId.CYCLE,
                slot=to_lima(outcome.tick.slot_ns),
                **values(row),
                worker_state=worker.state if worker else None,
                worker_status=row.worker_status,
                worker_cause=worker.reason if worker else None,
                cycle_duration_ms=row.cycle_duration_ms,
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
                f"fails: {self._internet_url}: {problem}" if problem else "passes again",
                extra=journal_fields(
                    MessageId.INTERNET_CHANGED, internet_ok=int(sample.internet_ok), detail=problem or None
                ),
            )
        self._internet_problem = problem

    def _log_probe(self, report: ProbeReport) -> None:
        before = self._probes.get(report.probe)
        self._probes[report.probe] = report
        if before == report or (before is None and report.status is ProbeStatus.OK):
            return
        level, what = _status_change(before.status if before is not None else None, report.status)
        log.log(
            level,
            "%s: %s%s",
            report.probe,
            what,
            f": {report.detail}" if report.detail else "",
            extra=journal_fields(
                MessageId.PROBE_CHANGED, probe=report.probe, presence=report.status, detail=report.detail
            ),
        )


def _log_announcement(announcement: Announcement, text: Text) -> None:
    observed = announcement.observed
    fields = _fields(
        observed, announcement.previous, event=announcement.event, duration_seconds=announcement.duration_s
    )
    log.log(NOTICE if announcement.event is Event.RECOVERY else logging.WARNING, "%s", text.message, extra=fields)


def _log_untold(before: str, after: AlertState, observed: Observation) -> None:
    log.log(
        NOTICE,
        "%s went from %s to %s; not announced, as %s",
        "the heartbeat Worker" if after.subject == WORKER else after.subject,
        before,
        after.current,
        _why_untold(after, observed.at_ns),
        extra=_fields(observed, before),
    )


def _why_untold(after: AlertState, now_ns: int) -> str:
    if is_held_back(after, now_ns):
        return f"it is flapping: {plural(changes_in_an_hour(after, now_ns), 'change')} in an hour"
    if after.untold is None:
        return "nothing else was announced in between"
    return "nobody is told of it for now"


def _fields(observed: Observation, previous: str, **others: object) -> dict[str, dict[str, str]]:
    """Of the journal's entry for a change to what was observed."""
    told: dict[str, object] = {"previous": previous, "current": observed.state, **others}
    if observed.subject == WORKER:
        measured = {"worker_status": observed.value, "worker_cause": observed.reason}
        return journal_fields(MessageId.WORKER_CHANGED, **told, **measured)
    measured = {"severity": observed.severity, "value": observed.value, "cause": observed.reason}
    return journal_fields(MessageId.SUBJECT_CHANGED, subject=observed.subject, **told, **measured)


def _status_change(before: ProbeStatus | None, now: ProbeStatus) -> tuple[int, str]:
    """How loud to say it, and what. To find nothing to read is no fault; that there was something before is worth a line."""
    match now:
        case ProbeStatus.OK:
            return NOTICE, "can be read again" if before is ProbeStatus.FAILED else "can be read now"
        case ProbeStatus.FAILED:
            return logging.WARNING, "cannot be read, and is unknown until it can be"
        case ProbeStatus.NO_DATA if before in (ProbeStatus.OK, ProbeStatus.FAILED):
            return NOTICE, "nothing to read any more"
        case ProbeStatus.NO_DATA | ProbeStatus.OFF:
            return logging.DEBUG, "nothing to read"
