"""What a cycle says: in the status line, in the journal, and of what it did not do."""

import logging
from collections.abc import Callable, Sequence

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.core.alert_state import AlertState, AlertStates
from heartbeatd.core.cyclelog import LogCycles
from heartbeatd.core.delivery import Delivery
from heartbeatd.core.heartbeat import Cause, HeartbeatResult
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.sample import ProbeReport, ProbeStatus, Readings, Row, Sample
from heartbeatd.core.schedule import NS_PER_S, Tick
from heartbeatd.core.subject import Subject
from heartbeatd.journal import MessageId
from tests.support.clocks import FakeClock
from tests.support.cycles import SITE, make_cycle

SLOT_NS = 1_795_465_210 * NS_PER_S  # 2026-11-23T15:20:10 in Lima


class World:
    """The edges of a cycle: what the probes see and the Worker answers is scripted, what is said is kept."""

    waiting = 0
    unsaved_rows = 0
    undelivered_alerts = 0

    def __init__(self, samples: Sequence[Sample], beats: Sequence[HeartbeatResult | None] | None = None) -> None:
        self.samples, self.beats = iter(samples), beats
        self.states: dict[Subject, AlertState] = {}
        self.rows: list[Row] = []
        self.statuses: list[str] = []
        self.sent = 0

    def collect(self, now: Callable[[], int], cancel: CancelToken) -> Sample:
        return next(self.samples)

    def send(self, body: bytes, cancel: CancelToken) -> HeartbeatResult | None:
        assert self.beats is not None
        self.sent += 1
        return self.beats[self.sent - 1]

    def record(
        self,
        row: Row,
        changed: tuple[AlertState, ...],
        deliveries: tuple[Delivery, ...],
        readings: Readings | None = None,
    ) -> AlertStates:
        self.rows.append(row)
        self.states = {**self.states, **{state.subject: state for state in changed}}
        return self.states

    def shift(self, by_ns: int) -> AlertStates:
        return self.states

    def watchdog(self, status: str) -> None:
        self.statuses.append(status)


def run(world: World, cycles: int, which: LogCycles = LogCycles.ALL) -> None:
    """So many cycles, ten seconds apart."""
    clock = FakeClock(SLOT_NS)
    sender = world if world.beats is not None else None
    agent = AgentInfo("nas", "1", 0)
    cycle = make_cycle(world, sender, world, None, world, clock, agent, log_cycles=which)
    for _ in range(cycles):
        cycle.run(Tick(clock.wall_ns))
        clock.pass_s(10)


def said(caplog: pytest.LogCaptureFixture, kind: MessageId) -> list[tuple[int, str]]:
    """Level and text of the journal's entries of a kind."""
    return [
        (record.levelno, record.getMessage())
        for record in caplog.records
        if getattr(record, "fields", {}).get("MESSAGE_ID") == kind
    ]


def containers(status: ProbeStatus, detail: str = "", count: int | None = None) -> Sample:
    """A sample in which the containers' probe says this."""
    return Sample(SLOT_NS, 1.0, 2.0, 3.0, 4.0, count, True, 5.0, reports=(ProbeReport("containers", status, detail),))


def test_no_docker_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    """Not installed, then installed, then refusing, then well, then removed: each is said once, by what it is."""
    caplog.set_level(logging.INFO)
    no_data = containers(ProbeStatus.NO_DATA, "there is no /run/docker.sock")
    refusing = containers(ProbeStatus.FAILED, "Permission denied")
    samples = [no_data, no_data, containers(ProbeStatus.OK, count=1), refusing, refusing]
    world = World([*samples, containers(ProbeStatus.OK, count=2), no_data])
    run(world, 7)
    assert said(caplog, MessageId.PROBE_CHANGED) == [
        (25, "containers: can be read now"),
        (logging.WARNING, "containers: cannot be read, and is unknown until it can be: Permission denied"),
        (25, "containers: can be read again"),
        (25, "containers: nothing to read any more: there is no /run/docker.sock"),
    ]
    told = [status.split("; ")[2] for status in world.statuses]
    assert told == [
        *[
            "no docker",
            "no docker",
            "1 container",
            "containers unknown",
            "containers unknown",
            "2 containers",
            "no docker",
        ]
    ]
    lines = [line for _, line in said(caplog, MessageId.CYCLE)]
    assert [" no docker internet " in line for line in lines] == [word == "no docker" for word in told]
    assert " containers ? " in lines[3]


def test_containers_that_are_not_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """With docker.socket = "" nothing is said of Docker: it may well be there."""
    caplog.set_level(logging.INFO)
    world = World([containers(ProbeStatus.OFF, "switched off")])
    run(world, 1)
    assert "containers not counted" in world.statuses[0]
    assert "containers off" in said(caplog, MessageId.CYCLE)[0][1]
    assert said(caplog, MessageId.PROBE_CHANGED) == []


def test_why_the_internet_check_fails_is_said_on_change(caplog: pytest.LogCaptureFixture) -> None:
    """When it begins, when the cause is another, and when it is over; a check that was broken off says nothing."""
    caplog.set_level(logging.INFO)

    def seen(ok: bool | None, detail: str = "") -> Sample:
        return Sample(SLOT_NS, internet_ok=ok, ping_ms=5.0 if ok else None, internet_detail=detail)

    dns, slow = seen(False, "dns: the resolver did not answer"), seen(False, "timeout: no connection in time")
    other_dns = seen(False, "dns: Name or service not known")
    world = World([seen(True), dns, other_dns, seen(None), slow, seen(True), seen(True)])
    run(world, 7)
    assert said(caplog, MessageId.INTERNET_CHANGED) == [
        (logging.WARNING, f"the internet check fails: {SITE}: dns: the resolver did not answer"),
        (logging.WARNING, f"the internet check fails: {SITE}: timeout: no connection in time"),
        (25, "the internet check passes again"),
    ]
    assert [status.split("; ")[1] for status in world.statuses[:4]] == [
        "internet 5 ms",
        f"internet down ({SITE}: dns: the resolver did not answer)",
        f"internet down ({SITE}: dns: Name or service not known)",
        "internet ?",
    ]


def test_a_worker_that_asks_to_wait_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Thirty seconds at first, then a minute: no heartbeat, no state, NULL; and the status line says until when.

    But not before the state counts as changed: the alert about it would come late.
    """
    caplog.set_level(logging.INFO)
    wait = HeartbeatResult(429, headers={"retry-after": "86400"})
    world = World([Sample(SLOT_NS)] * 12, [wait, wait, wait, HeartbeatResult(200), HeartbeatResult(200)])
    run(world, 12)
    statuses = [row.worker_status for row in world.rows]
    assert statuses == [429, 429, None, None, 429, None, None, None, None, None, 200, 200]
    assert "Worker asked to wait (Retry-After), no heartbeat before 15:20:50 (America/Lima); " in world.statuses[2]
    assert "no heartbeat before 15:21:50 (America/Lima); " in world.statuses[5]
    assert "worker asked to wait" in said(caplog, MessageId.CYCLE)[2][1]


def test_without_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    """The status line says so, the line of the cycle too."""
    caplog.set_level(logging.INFO)
    world = World([Sample(SLOT_NS)])
    run(world, 1)
    assert world.statuses[0].startswith("Worker not configured; ")
    assert said(caplog, MessageId.CYCLE)[0][1].endswith("worker off")


def test_a_heartbeat_that_was_broken_off() -> None:
    """The agent is stopping: nothing is known of the Worker, which is configured all the same."""
    world = World([Sample(SLOT_NS)], [None])
    run(world, 1)
    assert world.statuses[0].startswith("Worker not asked; ")


def test_a_change_of_the_worker_in_the_journal(caplog: pytest.LogCaptureFixture) -> None:
    """With the Worker's own MESSAGE_ID and fields, whatever else is watched by now."""
    caplog.set_level(logging.INFO)
    silent = HeartbeatResult(None, Cause.TIMEOUT, "no connection in time")
    world = World([Sample(SLOT_NS)] * 4, [HeartbeatResult(200), HeartbeatResult(503), silent, HeartbeatResult(200)])
    run(world, 4)
    found = [dict(record.fields) for record in caplog.records if hasattr(record, "fields")]
    changes = [fields for fields in found if fields.pop("MESSAGE_ID") == MessageId.WORKER_CHANGED]
    assert [{name.removeprefix("HEARTBEAT_").lower(): value for name, value in one.items()} for one in changes] == [
        {"event": "problem", "previous": "ok", "current": "error", "worker_status": "503"},
        {
            "event": "recovery",
            "previous": "error",
            "current": "ok",
            "worker_status": "200",
            "duration_seconds": "20.0",
        },
    ]
