"""One cycle at a time, on edges written by hand and a clock that is handed in."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.core.alert_state import AlertState, AlertStates
from heartbeatd.core.delivery import Delivery
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.locale import Locale
from heartbeatd.core.notification import Notification
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.queued import to_queue
from heartbeatd.core.sample import Readings, Row, Sample
from heartbeatd.core.schedule import NS_PER_S, Tick
from heartbeatd.core.subject import Subject
from heartbeatd.core.timefmt import LIMA_ZONE, Zone
from heartbeatd.core.worker import WORKER, WorkerState
from heartbeatd.cycle import Cycle
from tests.support.clocks import NOW_NS, FakeClock
from tests.support.cycles import make_cycle
from tests.support.states import announced

S = NS_PER_S


@dataclass
class World:
    """All edges of a cycle in one: it notes what it is asked for, and fails in what `broken` names."""

    broken: str = ""
    status: int = 200
    did: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    alerts: list[Delivery] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    signs_of_life: int = 0
    states: dict[Subject, AlertState] = field(default_factory=dict)
    waiting: int = 0
    unsaved_rows: int = 0
    read_late: dict[Subject, AlertState] = field(default_factory=dict)

    def _do(self, step: str) -> None:
        self.did.append(step)
        if self.broken == step:
            raise RuntimeError("nobody foresaw this")

    def collect(self, now: Callable[[], int], cancel: CancelToken) -> Sample:
        self._do("collect")
        return Sample(now(), cpu_percent=float("nan") if self.broken == "nan" else 3.0, internet_ok=True, ping_ms=1.0)

    def send(self, body: bytes, cancel: CancelToken) -> HeartbeatResult | None:
        self._do("send")
        self.bodies.append(body)
        return HeartbeatResult(self.status, took_ms=1.0)

    def record(
        self,
        row: Row,
        changed: tuple[AlertState, ...],
        deliveries: tuple[Delivery, ...],
        readings: Readings | None = None,
    ) -> AlertStates:
        self._do("record")
        self.rows.append(row)
        self.alerts += deliveries
        self.states = {**self.states, **{state.subject: state for state in changed}, **self.read_late}
        self.read_late = {}
        return self.states

    def shift(self, by_ns: int) -> AlertStates:
        return self.states

    def address(self, told: Notification) -> tuple[Delivery, ...]:
        self._do("address")
        return (Delivery(to_queue(told), "webhook"),)


@dataclass
class Manager:
    """The service manager."""

    world: World

    def watchdog(self, status: str) -> None:
        self.world.signs_of_life += 1
        self.world.statuses.append(status)


def cycle(world: World, clock: FakeClock, *, zone: Zone = LIMA_ZONE) -> Cycle:
    """A cycle of ten seconds in that world."""
    agent = AgentInfo("nas", "0", clock.wall_ns, Locale(zone))
    return make_cycle(world, world, world, world, Manager(world), clock, agent)


def run(one: Cycle, clock: FakeClock) -> None:
    """One cycle, and the ten seconds after it."""
    one.run(Tick(clock.wall_ns))
    clock.pass_s(10)


def test_a_cycle_does_its_five_steps() -> None:
    """Look, beat, record, report, in this order; alerts are addressed only if there are some."""
    world, clock = World(), FakeClock()
    run(cycle(world, clock), clock)
    assert world.did == ["collect", "send", "record"]
    assert world.rows[0].worker_status == 200
    assert world.signs_of_life == 1
    assert world.states[WORKER].announced == WorkerState.OK


@pytest.mark.parametrize("broken", ["collect", "send", "address", "record"])
def test_a_failed_step_never_hides_the_next(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever one step raises: the others are done, a sign of life is given, and it is logged with where it was, once."""
    world, clock = World(status=200), FakeClock()
    one = cycle(world, clock)
    run(one, clock)
    world.did.clear()
    world.broken, world.status = broken, 503
    run(one, clock)
    expected = ["collect", "send", "address", "record"]
    assert world.did == [
        step for step in expected if (broken, step) != ("send", "address")
    ]  # without an answer there is nothing to tell
    assert world.signs_of_life == 2
    assert len(world.rows) == (1 if broken == "record" else 2)
    run(one, clock)
    assert [r.exc_info is not None for r in caplog.records if "it goes on" in r.message] == [True]
    world.broken, world.status = "", 200
    run(one, clock)
    assert world.signs_of_life == 4


def test_a_figure_that_json_does_not_know(caplog: pytest.LogCaptureFixture) -> None:
    """A heartbeat that cannot be put into words is none; the row is stored all the same."""
    world, clock = World(broken="nan"), FakeClock()
    run(cycle(world, clock), clock)
    assert world.did == ["collect", "record"]
    assert world.signs_of_life == 1


class Zoneless(tzinfo):
    """Rules of a time zone that fail while they are `broken`."""

    broken = False

    def utcoffset(self, at: datetime | None) -> timedelta:
        if self.broken:
            raise RuntimeError("nobody foresaw this")
        return timedelta()

    dst = utcoffset

    def tzname(self, at: datetime | None) -> str:
        return "there"


def test_what_could_not_be_announced_has_not_been() -> None:
    """If the alert cannot be made, the state stands as it was announced, so the next cycle tries again: nothing is swallowed."""
    world, clock, rules = World(), FakeClock(), Zoneless()
    one = cycle(world, clock, zone=Zone(rules, "there"))
    run(one, clock)
    world.status, rules.broken = 503, True
    run(one, clock)
    assert world.states[WORKER].announced == WorkerState.OK
    assert world.alerts == []
    assert world.signs_of_life == 2
    rules.broken = False
    run(one, clock)
    assert [details["event"] for details in told(world)] == ["problem"]


def test_what_could_be_read_only_later_is_gone_on_with() -> None:
    """The database was locked at the start: what had been announced comes with a cycle's record, and counts from then on."""
    world, clock = World(), FakeClock()
    one = cycle(world, clock)
    world.read_late = {WORKER: announced(WorkerState.ERROR, NOW_NS - 60 * S, problem_since_ns=NOW_NS - 60 * S)}
    for _ in range(3):
        run(one, clock)
    assert [(details["event"], details["previous"]) for details in told(world)] == [("recovery", "error")]


def test_changes_that_are_not_announced_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A Worker that is flapping: seven alerts, and a line for each change after them."""
    caplog.set_level(logging.INFO, "heartbeatd")
    world, clock = World(), FakeClock()
    one = cycle(world, clock)
    for number in range(20):
        world.status = 503 if number % 2 else 200
        run(one, clock)
    assert len(world.alerts) == 7
    assert caplog.text.count("not announced, as it is flapping") == 19 - 7
    assert "flapping: 19 changes in an hour" in caplog.text


def told(world: World) -> list[dict[str, object]]:
    """The details of the alerts that were recorded."""
    return [json.loads(alert.notification.body)["details"] for alert in world.alerts]


def test_when_the_agent_started_moves_with_the_clock() -> None:
    """`started_at` in the heartbeat was noted by the old clock."""
    world, clock = World(), FakeClock()
    one = cycle(world, clock)
    run(one, clock)
    clock.wall_ns += 3600 * S
    one.shift(3600 * S)
    run(one, clock)
    started = [json.loads(body)["agent"]["started_at"] for body in world.bodies]
    assert started == ["2026-11-24T17:07:40.000Z", "2026-11-24T18:07:40.000Z"]
