"""*What* a cycle does: collect, beat, evaluate, record, report. One tick, five steps.

A failed step never hides the next. Edges do not raise for what they meet; if one does all the same, or if anything here does, the
cycle goes on with what it has: nothing measured is unknown, no heartbeat says nothing about the Worker, and what could not be
announced has not been. The edges, and what sends a heartbeat, are Protocols: `app` hands in the real ones, the tests others that
behave the same. What else is to be told (`told`) is recorded with the cycle; it does not know what that is.
"""

import logging
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import Clock
from heartbeatd.core import notification
from heartbeatd.core.alert_state import AlertState, AlertStates
from heartbeatd.core.alerting import Announcement
from heartbeatd.core.delivery import Delivery
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.notification import Notification
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.rule import Evaluation, Rule, Seen, evaluate, together
from heartbeatd.core.sample import Readings, Row, Sample, readings_of, row_of
from heartbeatd.core.schedule import Tick
from heartbeatd.core.subject import Subject
from heartbeatd.core.text import Text
from heartbeatd.core.timefmt import plural
from heartbeatd.core.worker import WORKER
from heartbeatd.heartbeats import Heartbeats
from heartbeatd.newid import new_id
from heartbeatd.report import CycleOutcome, Reporter
from heartbeatd.steps import Steps

log = logging.getLogger(__name__)


class Collector(Protocol):
    """The probes."""

    def collect(self, now: Callable[[], int], cancel: CancelToken) -> Sample:
        """What is there to see; never raises for what cannot be seen."""


class Store(Protocol):
    """What was announced, and where a cycle is kept."""

    @property
    def states(self) -> AlertStates:
        """What was announced last of each subject, as far as it could be read."""

    @property
    def unsaved_rows(self) -> int:
        """Rows that are in memory only."""

    def record(
        self,
        row: Row,
        changed: tuple[AlertState, ...],
        deliveries: tuple[Delivery, ...],
        readings: Readings | None = None,
    ) -> AlertStates:
        """Keep one cycle: its row, the alert states that are others now, what is to be delivered, and what has no column.

        The states to go on with. A database that could be read only now may know better than this process did.
        """

    def shift(self, by_ns: int) -> AlertStates:
        """The states, their moments by the wall clock as it is since it was stepped by so much."""


class AlertQueue(Protocol):
    """The outbox."""

    @property
    def waiting(self) -> int:
        """Deliveries that have not arrived."""

    def address(self, told: Notification) -> tuple[Delivery, ...]:
        """A delivery to each channel that takes it."""


class ServiceManager(Protocol):
    """The service manager."""

    def watchdog(self, status: str) -> None:
        """A cycle has finished, and saw this."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Where a cycle meets the world. No `outbox`: no channel is configured.

    `held` says of whom nobody is told now, and `held_notes` says it in the status line.
    """

    probes: Collector
    heartbeats: Heartbeats
    store: Store
    outbox: AlertQueue | None
    service: ServiceManager
    held: Callable[[], Container[Subject]] = tuple
    held_notes: Callable[[], tuple[str, ...]] = tuple


class Cycle:
    """Runs ticks, one after the other. `heartbeat_url` is fit to be shown."""

    def __init__(
        self,
        edges: Edges,
        rules: tuple[Rule, ...],
        reporter: Reporter,
        agent: AgentInfo,
        heartbeat_url: str,
        clock: Clock,
        cancel: CancelToken,
    ) -> None:
        self._edges, self._rules, self._reporter = edges, rules, reporter
        self._agent, self._heartbeat_url = agent, heartbeat_url
        self._clock, self._cancel = clock, cancel
        self._steps = Steps()
        self._check_explains = True
        self._states: AlertStates = {}

    def start(self) -> None:
        """Take up what was announced; before the first tick."""
        self._states = self._edges.store.states

    def run(self, tick: Tick, told: tuple[Notification, ...] = ()) -> None:
        """One cycle. `told` is recorded, to be delivered, with what the cycle itself has to tell, and before it."""
        woke_ns = self._clock.monotonic_ns()
        states = self._states
        sample = self._steps.take("measure the host", self._collect) or Sample(self._clock.now_ns())
        row_id = new_id(sample.taken_ns)
        result = self._steps.take("send the heartbeat", lambda: self._beat(sample, row_id))
        held = self._steps.take("look at what is silenced", self._edges.held) or ()
        evaluation = self._evaluate(Seen(self._clock.now_ns(), sample, result, states, self._check_explains, held))
        row = row_of(sample, row_id, result, (self._clock.monotonic_ns() - woke_ns) / 1e6)
        self._states = self._record(row, readings_of(sample), evaluation, (*told, *self._notify(evaluation)))
        self._report(tick, sample, row, result, evaluation, states)

    def shift(self, by_ns: int) -> None:
        """The wall clock was stepped by so much."""
        self._edges.heartbeats.shift(by_ns)
        self._states = self._edges.store.shift(by_ns)

    def _collect(self) -> Sample:
        return self._edges.probes.collect(self._clock.now_ns, self._cancel)

    def _beat(self, sample: Sample, row_id: str) -> HeartbeatResult | None:
        return self._edges.heartbeats.send(sample, row_id, self._states.get(WORKER))

    def _evaluate(self, seen: Seen) -> Evaluation:
        """Each rule is a step of its own."""
        # Whether the internet check can explain an outage: not while it fails and the Worker answers all the same.
        if seen.sample.internet_ok:
            self._check_explains = True
        elif seen.result is not None and seen.result.status is not None:
            self._check_explains = False
        return together(
            [
                found
                for rule in self._rules
                if (
                    found := self._steps.take(
                        f"evaluate the rule {rule.kind}", partial(evaluate, rule, seen, self._agent)
                    )
                )
            ]
        )

    def _notify(self, evaluation: Evaluation) -> tuple[Notification, ...]:
        """One notification of the Worker, one of all others. None without a channel: it would arrive years later, if ever."""
        if self._edges.outbox is None or not evaluation.told:
            return ()
        worker = [one for one in evaluation.told if one[0].observed.subject == WORKER]
        others = [one for one in evaluation.told if one[0].observed.subject != WORKER]
        made = (
            self._steps.take("write an alert", partial(self._notification, told)) for told in (worker, others) if told
        )
        return tuple(filter(None, made))

    def _notification(self, told: list[tuple[Announcement, Text]]) -> Notification:
        at_ns = told[0][0].observed.at_ns
        if len(told) == 1:
            ((due, text),) = told
            return notification.of_announcement(self._agent, due, text, new_id(at_ns), self._heartbeat_url)
        return notification.of_several(self._agent, told, new_id(at_ns), self._heartbeat_url)

    def _record(
        self, row: Row, readings: Readings | None, evaluation: Evaluation, notifications: tuple[Notification, ...]
    ) -> AlertStates:
        """In one transaction, with a delivery of each notification to each channel that takes it."""
        deliveries = self._steps.take("address its alerts", lambda: self._addressed(notifications)) or ()
        states = self._steps.take(
            "store what it saw", lambda: self._edges.store.record(row, evaluation.changed, deliveries, readings)
        )
        return self._states if states is None else states

    def _report(
        self,
        tick: Tick,
        sample: Sample,
        row: Row,
        result: HeartbeatResult | None,
        evaluation: Evaluation,
        before: AlertStates,
    ) -> None:
        reporter, skipped = self._reporter, self._edges.heartbeats.skipped
        outcome = CycleOutcome(tick, sample, row, result, evaluation, evaluation.of(WORKER), skipped())
        status = self._steps.take("write the status line", lambda: reporter.status(outcome, self._notes()))
        self._steps.take("report to systemd", lambda: self._edges.service.watchdog(status or "see the journal"))
        self._steps.take("write its line in the journal", lambda: reporter.log_cycle(outcome))
        self._steps.take("log what has changed", lambda: reporter.log_changes(outcome, before))

    def _addressed(self, notifications: tuple[Notification, ...]) -> tuple[Delivery, ...]:
        outbox = self._edges.outbox
        return () if outbox is None else tuple(one for told in notifications for one in outbox.address(told))

    def _notes(self) -> tuple[str, ...]:
        """What is out of the ordinary, for the status line."""
        outbox, store = self._edges.outbox, self._edges.store
        notes = []
        if outbox is not None and outbox.waiting:
            notes.append(f"{plural(outbox.waiting, 'alert')} queued")
        if store.unsaved_rows:
            notes.append(f"{plural(store.unsaved_rows, 'row')} not stored yet")
        return (*self._edges.held_notes(), *notes)
