"""*What* a cycle does: collect, beat, evaluate, record, report. One tick, five steps.

A failed step never hides the next. Edges do not raise for what they meet; if one does all the same, or if anything here does, the
cycle goes on with what it has: nothing measured is unknown, no heartbeat says nothing about the Worker, and what could not be
announced has not been. The edges, and what sends a heartbeat, are Protocols: `app` hands in the real ones, the tests others that
behave the same. What else is to be told (`queued`) is recorded with the cycle; it does not know what that is.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import Clock, booted_ns
from heartbeatd.core import notification
from heartbeatd.core.alert_state import AlertState, AlertStates
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.ids import RANDOM_BYTES, uuid7
from heartbeatd.core.notification import Notification, QueuedNotification
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.rule import Evaluation, Rule, Seen, evaluate, together
from heartbeatd.core.sample import Row, Sample, row_of
from heartbeatd.core.schedule import Tick
from heartbeatd.core.timefmt import plural
from heartbeatd.core.worker import WORKER
from heartbeatd.heartbeats import Heartbeats
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
    def undelivered_alerts(self) -> int:
        """Notifications that have not arrived."""

    @property
    def unsaved_rows(self) -> int:
        """Rows that are in memory only."""

    def record(self, row: Row, changed: tuple[AlertState, ...], alerts: tuple[QueuedNotification, ...]) -> AlertStates:
        """Keep one cycle: its row, the alert states that are others now, and what is to be delivered.

        The states to go on with. A database that could be read only now may know better than this process did.
        """

    def shift(self, by_ns: int) -> AlertStates:
        """The states, their moments by the wall clock as it is since it was stepped by so much."""


class AlertQueue(Protocol):
    """The outbox."""

    @property
    def waiting(self) -> int:
        """Alerts that have not arrived."""

    @property
    def alive(self) -> bool:
        """False once nothing is delivered any more, whatever is posted."""

    def post(self, alerts: tuple[QueuedNotification, ...]) -> None:
        """Deliver these, and whatever else is undelivered."""


class ServiceManager(Protocol):
    """The service manager."""

    def watchdog(self, status: str) -> None:
        """A cycle has finished, and saw this."""

    def status(self, text: str) -> None:
        """A cycle saw this, but it is no sign of life."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Where a cycle meets the world. No `outbox`: no webhook is configured."""

    probes: Collector
    heartbeats: Heartbeats
    store: Store
    outbox: AlertQueue | None
    service: ServiceManager


class Cycle:
    """Runs ticks, one after the other. `heartbeat_url` is fit to be shown."""

    def __init__(
        self,
        edges: Edges,
        rules: tuple[Rule, ...],
        reporter: Reporter,
        agent: AgentInfo,
        heartbeat_url: str,
        boot_id: str,
        clock: Clock,
        cancel: CancelToken,
    ) -> None:
        self._edges, self._rules, self._reporter = edges, rules, reporter
        self._agent, self._heartbeat_url, self._boot_id = agent, heartbeat_url, boot_id
        self._clock, self._cancel = clock, cancel
        self._steps = Steps()
        self._check_explains = True
        self._states: AlertStates = {}

    def start(self) -> None:
        """Take up what was announced; before the first tick."""
        self._states = self._edges.store.states

    def run(self, tick: Tick, queued: tuple[QueuedNotification, ...] = ()) -> None:
        """One cycle. `queued` is recorded and passed on with what the cycle itself has to tell, and before it."""
        woke_ns = self._clock.monotonic_ns()
        states = self._states
        sample = self._steps.take("measure the host", self._collect) or Sample(self._clock.now_ns())
        row_id = uuid7(sample.taken_ns, os.urandom(RANDOM_BYTES))
        result = self._steps.take("send the heartbeat", lambda: self._beat(sample, row_id))
        evaluation = self._evaluate(Seen(self._clock.now_ns(), sample, result, self._check_explains))
        row = row_of(sample, row_id, result, (self._clock.monotonic_ns() - woke_ns) / 1e6)
        self._states = self._record(row, evaluation, (*queued, *evaluation.notifications))
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
                if (found := self._steps.take(f"evaluate the rule {rule.kind}", partial(self._apply, rule, seen)))
            ]
        )

    def _apply(self, rule: Rule, seen: Seen) -> Evaluation:
        """Without a webhook no notification is made: it would be delivered years later, if ever."""
        found = evaluate(rule, seen, self._states, self._agent)
        if self._edges.outbox is None or not found.told:
            return found
        made = (
            notification.of_announcement(self._agent, due, text, self._event_id(seen.at_ns), self._heartbeat_url)
            for due, text in found.told
        )
        return replace(found, notifications=tuple(map(self._queued, made)))

    def _record(self, row: Row, evaluation: Evaluation, notifications: tuple[QueuedNotification, ...]) -> AlertStates:
        store, outbox = self._edges.store, self._edges.outbox
        states = self._steps.take("store what it saw", lambda: store.record(row, evaluation.changed, notifications))
        if outbox is not None and (notifications or store.undelivered_alerts):
            self._steps.take("pass on its alerts", lambda: outbox.post(notifications))
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
        self._steps.take("report to systemd", lambda: self._report_to_systemd(status or "see the journal"))
        self._steps.take("write its line in the journal", lambda: reporter.log_cycle(outcome))
        self._steps.take("log what has changed", lambda: reporter.log_changes(outcome, before))

    def _event_id(self, at_ns: int) -> str:
        return uuid7(at_ns, os.urandom(RANDOM_BYTES))

    def _queued(self, made: Notification) -> QueuedNotification:
        """With the clock that its moments are by."""
        return notification.to_queue(made, self._boot_id, booted_ns(self._clock))

    def _report_to_systemd(self, status: str) -> None:
        """The status, and a sign of life, unless what delivers alerts has died: then systemd is to start all of it anew."""
        if self._edges.outbox is None or self._edges.outbox.alive:
            self._edges.service.watchdog(status)
            return
        log.error(
            "what delivers alerts has ended: no sign of life for the watchdog, so that systemd starts the agent anew"
        )
        self._edges.service.status(f"alerts are not delivered any more; {status}")

    def _notes(self) -> tuple[str, ...]:
        """What is out of the ordinary, for the status line."""
        outbox, store = self._edges.outbox, self._edges.store
        notes = []
        if outbox is not None and outbox.waiting:
            notes.append(f"{plural(outbox.waiting, 'alert')} queued")
        if store.unsaved_rows:
            notes.append(f"{plural(store.unsaved_rows, 'row')} not stored yet")
        return tuple(notes)
