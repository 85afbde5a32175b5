"""A rule on a measure that was made up here: from a probe to the database, the webhook, the journal and the status line.

No file of the product knows its kind.
"""

import json
import logging
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.core.alert_state import AlertState, AlertStates
from heartbeatd.core.alerting import Announcement
from heartbeatd.core.delivery import Delivery
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.locale import Locale
from heartbeatd.core.metrics import Series
from heartbeatd.core.notification import Notification
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.policy import Initial, Policy
from heartbeatd.core.queued import for_this_try, from_queue, to_queue
from heartbeatd.core.rule import Rule, RuleSettings, Seen
from heartbeatd.core.sample import Readings, Row, Sample
from heartbeatd.core.schedule import NS_PER_S, Tick
from heartbeatd.core.subject import OK, Observation, Severity, Subject
from heartbeatd.core.text import Text
from heartbeatd.cycle import Cycle
from heartbeatd.journal import MessageId
from heartbeatd.notify.n8n import body_of
from heartbeatd.probes.base import EACH_CYCLE, Probe, Values, at_once
from heartbeatd.probes.collector import Probes
from heartbeatd.rules import KINDS, all_rules
from heartbeatd.store.database import Database
from heartbeatd.store.reader import Reader
from tests.support.clocks import NOW_NS, FakeClock
from tests.support.cycles import make_cycle

AGENT = AgentInfo("nas", "1", 0)
CELLAR = Subject("test", "cellar")


def observe(seen: Seen) -> Iterator[Observation]:
    """Below 970 hPa is low; where there is no reading, there is no observation."""
    for (_, place), value in seen.sample.readings.items():
        state, severity = ("low", Severity.WARNING) if value < 970 else (OK, Severity.OK)
        yield Observation(
            Subject("test", place), state, severity, seen.at_ns, value, "storm" if state == "low" else None
        )


def text(host: str, announcement: Announcement, locale: Locale) -> Text:
    """Its own words."""
    observed = announcement.observed
    return Text(f"air is {observed.state}", f"{observed.value:g} hPa in the {observed.subject.name}.")


RULE = Rule("test", observe, lambda _: Policy(2, 1, Initial.ASSUME_OK, remind_s=60), text)


@dataclass
class World:
    """The edges of a cycle: what is measured, the Worker, a real database, and systemd; and its clock."""

    database: Database
    pressure: Mapping[str, float] = field(default_factory=dict)  # by place
    worker_status: int = 200
    clock: FakeClock = field(default_factory=FakeClock)
    statuses: list[str] = field(default_factory=list)
    waiting = unsaved_rows = 0

    def __post_init__(self) -> None:
        self._probes = Probes((Probe("barometer", EACH_CYCLE, 0.0, at_once(self._air)),))

    def _air(self) -> Values:
        return {Series("air_pressure_hpa", place): value for place, value in self.pressure.items()}

    def collect(self, now: Callable[[], int], cancel: CancelToken) -> Sample:
        return self._probes.collect(now, cancel)

    def send(self, body: bytes, cancel: CancelToken) -> HeartbeatResult | None:
        return HeartbeatResult(self.worker_status)

    @property
    def states(self) -> AlertStates:
        return self.database.states()

    def record(
        self,
        row: Row,
        changed: tuple[AlertState, ...],
        deliveries: tuple[Delivery, ...],
        readings: Readings | None = None,
    ) -> AlertStates:
        self.database.record([row], changed, deliveries, flush=False)
        return self.states

    def shift(self, by_ns: int) -> AlertStates:
        return self.states

    def address(self, told: Notification) -> tuple[Delivery, ...]:
        return (Delivery(to_queue(told), "webhook"),)

    def watchdog(self, status: str) -> None:
        self.statuses.append(status)

    def run(self, cycle: Cycle, *pressures: float) -> None:
        """A cycle each, ten seconds apart, with so much pressure in the cellar."""
        for value in pressures:
            self.pressure = {"cellar": value}
            cycle.run(Tick(self.clock.wall_ns))
            self.clock.pass_s(10)

    def bodies(self) -> list[dict[str, Any]]:
        """What the webhook gets."""
        return [
            json.loads(body_of(for_this_try(one.notification, 1, self.clock.wall_ns)))
            for one in self.database.undelivered()
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(Database.open(tmp_path / "metrics.db", NOW_NS)) as database:
        yield World(database)


def make(world: World, *rules: Rule, held: Callable[[], Container[Subject]] = tuple) -> Cycle:
    """By the agent's rules and these."""
    return make_cycle(world, world, world, world, world, world.clock, AGENT, rules=rules, held=held)


def entries(caplog: pytest.LogCaptureFixture, kind: MessageId) -> list[tuple[int, str, dict[str, str]]]:
    """Level, text and fields of the journal's entries of a kind."""
    found = []
    for record in caplog.records:
        fields = dict(getattr(record, "fields", {}))
        if fields.pop("MESSAGE_ID", "") == kind:
            told = {name.removeprefix("HEARTBEAT_").lower(): value for name, value in fields.items()}
            found.append((record.levelno, record.getMessage(), told))
    return found


def test_a_problem_and_its_recovery(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Told after two cycles, in its own words, kept in the database, and logged; and so is that it is over."""
    caplog.set_level(logging.INFO)
    cycle = make(world, RULE)
    world.run(cycle, 950, 949)
    assert [status.split("; ")[-2] for status in world.statuses] == ["test:cellar low"] * 2
    world.run(cycle, 1013)
    assert "test:cellar" not in world.statuses[-1]
    problem, recovery = world.bodies()
    assert (problem["title"], problem["message"]) == ("nas: air is low", "949 hPa in the cellar.")
    details = problem["details"]
    assert (details["event"], details["subject"], details["previous"]) == ("problem", "test:cellar", OK)
    assert (details["current"], details["cause"], details["worker_status"]) == ("low", "storm", None)
    assert (details["severity"], details["value"]) == ("warning", 949.0)
    assert (recovery["details"]["event"], recovery["details"]["duration_seconds"]) == ("recovery", 20.0)
    assert [from_queue(one.notification).severity for one in world.database.undelivered()] == [
        Severity.WARNING,
        Severity.OK,
    ]
    told = {"event": "problem", "previous": "ok", "current": "low", "severity": "warning", "value": "949.0"}
    assert entries(caplog, MessageId.SUBJECT_CHANGED) == [
        (logging.WARNING, "949 hPa in the cellar.", {"subject": "test:cellar", **told, "cause": "storm"}),
        (
            25,
            "1013 hPa in the cellar.",
            {
                "subject": "test:cellar",
                "event": "recovery",
                "previous": "low",
                "current": "ok",
                "severity": "ok",
                "value": "1013.0",
                "duration_seconds": "20.0",
            },
        ),
    ]
    assert entries(caplog, MessageId.WORKER_CHANGED) == []


def test_it_is_kept_over_a_restart_and_told_again(world: World, tmp_path: Path) -> None:
    """What was announced is in the database, where heartbeatctl finds it; a new run goes on from there, and reminds."""
    world.run(make(world, RULE), 950, 949)
    with closing(Reader.open(tmp_path / "metrics.db")) as reader:
        assert ("test:cellar", "low", Severity.WARNING) in [
            (str(a.subject), a.state, a.severity) for a in reader.announced()
        ]
    world.run(make(world, RULE), *[948] * 6)
    assert [body["details"]["event"] for body in world.bodies()] == ["problem", "reminder"]
    assert world.states[CELLAR].notified_ns == NOW_NS + 70 * NS_PER_S


def test_it_is_told_beside_the_worker(world: World) -> None:
    """In the same cycle, each of its own; the Worker's details have no field that they did not have before."""
    cycle = make(world, RULE)
    world.run(cycle, 1013)
    world.worker_status = 503
    world.run(cycle, 950, 950)
    worker, test = (body["details"] for body in world.bodies())
    assert (worker["subject"], worker["worker_status"]) == ("worker", 503)
    assert set(test) - set(worker) == {"severity", "value"}
    assert world.statuses[-1].startswith("Worker error (503 in 0 ms); ")
    assert "; test:cellar low; " in world.statuses[-1]


def test_a_flapping_subject(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Seven alerts, as of the Worker; after that a line for each change, in general words."""
    caplog.set_level(logging.INFO)
    at_once = Rule("test", observe, lambda _: Policy(), text)
    world.run(make(world, at_once), *[1013, 950] * 10)
    assert len(world.bodies()) == 7
    assert world.bodies()[-1]["title"] == "nas: flapping: air is low"
    found = [told for told in entries(caplog, MessageId.SUBJECT_CHANGED) if "not announced" in told[1]]
    assert len(found) == 19 - 7
    level, line, fields = found[-1]
    assert level == 25
    assert line == "test:cellar went from ok to low; not announced, as it is flapping: 19 changes in an hour"
    assert (fields["subject"], fields["previous"], fields["current"]) == ("test:cellar", "ok", "low")


@pytest.mark.parametrize("broken", ["observe", "text"])
def test_a_rule_that_fails_takes_nothing_from_the_others(
    world: World, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """It is logged, once; what the others observe is told, and what it could not tell has not been announced."""

    def fail(*_: object) -> Any:
        raise RuntimeError("nobody foresaw this")

    before = Rule("before", fail if broken == "observe" else observe, lambda _: Policy(1, 1, Initial.ASSUME_OK), fail)
    cycle = make(world, before, Rule("test", observe, RULE.policy, text))
    world.worker_status = 503 if broken == "observe" else 200
    world.run(cycle, 950, 950)
    subjects = [body["details"]["subject"] for body in world.bodies()]
    assert subjects == ["test:cellar"]
    assert caplog.text.count("a cycle could not evaluate the rule before; it goes on") == 1


def test_a_status_line_is_a_line(world: World) -> None:
    """Of many that are not ok three are named."""
    world.pressure = {f"room-{number}": 900.0 for number in range(1000)}
    make(world, RULE).run(Tick(world.clock.wall_ns))
    told = "; test:room-0 low; test:room-1 low; test:room-2 low; 997 more not ok; next at "
    assert told in world.statuses[0]


def test_every_file_here_has_a_rule() -> None:
    """Named after the kind of its subjects."""
    rules = all_rules(RuleSettings(Policy(2, 1), "https://worker.example/", "http://internet.example"))
    assert "worker" in KINDS
    assert tuple(rule.kind for rule in rules) == KINDS


def test_what_changes_together_is_told_together(world: World) -> None:
    """A message for all of a cycle but the Worker, which has its own; each is in the details."""
    world.pressure = {f"room-{number}": 1013.0 for number in range(50)}
    at_once = Rule("test", observe, lambda _: Policy(initial=Initial.ASSUME_OK), text)
    cycle = make(world, at_once)
    world.worker_status = 200
    cycle.run(Tick(world.clock.wall_ns))
    world.worker_status, world.pressure = 503, dict.fromkeys(world.pressure, 900.0)
    cycle.run(Tick(world.clock.wall_ns))
    worker, several = world.bodies()
    assert worker["details"]["subject"] == "worker"
    assert several["title"] == "nas: 50 changes: air is low; air is low; air is low; 47 more"
    assert several["message"].count("\n- ") == 40
    assert several["message"].endswith("- and 10 more: see heartbeatctl status.")
    assert (several["details"]["event"], several["details"]["severity"]) == ("problem", "warning")
    assert len(several["details"]["subjects"]) == 50
    assert several["details"]["subjects"][7]["subject"] == "test:room-7"


def test_what_is_held_back_is_told_when_that_is_over(world: World) -> None:
    """It is observed meanwhile; what has become ok by then is nobody's news."""
    held: list[Subject] = [CELLAR]
    at_once = Rule("test", observe, lambda _: Policy(initial=Initial.ASSUME_OK), text)
    cycle = make(world, at_once, held=lambda: held)
    world.run(cycle, 950, 950, 1013, 950)
    assert world.bodies() == []
    held.clear()
    world.run(cycle, 950)
    assert [body["details"]["event"] for body in world.bodies()] == ["problem"]
