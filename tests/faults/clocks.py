"""Faults of time: clocks that are set, that run fast, that jump years; cycles that take too long; signals at any moment.

libfaketime stands between the agent and its wall clock, and is told by a file what to show; the monotonic clocks stay true.
"""

import random
import re
import signal
import sqlite3
import time
from contextlib import closing, suppress
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.faults.stage import Outcome, Stage, sleep_s
from tests.support.agent import AgentProcess
from tests.support.receiver import SILENCE, WEBHOOK, WORKER
from tests.support.wait import wait_until

HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400


class Wall:
    """What the agent's wall clock shows."""

    def __init__(self, stage: Stage) -> None:
        self._file = stage.folder / "faketime"
        self.set("+0")
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        """An offset in faketime(1)'s words: `+3600`, or `+0 x1.0001` for a clock that runs fast."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}\n")
        new.replace(self._file)  # whole: it is read at any moment


def clock_is_stepped(stage: Stage) -> Outcome:
    """Forward and back by a second, an hour, a day: no burst, no slot twice, no stall, each said once."""
    outcome = Outcome("clock set +1 s, -1 s, +1 h, -1 h, +1 day, -1 day, +10 years")
    wall = Wall(stage)
    steps = ("+1", "+0", f"+{HOUR}", "+0", f"+{DAY}", "+0", f"+{10 * YEAR}")
    with stage.agent(**wall.environment) as agent:
        for step in steps:
            sleep_s(2 + random.random())
            wall.set(step)
        sleep_s(4)
        agent.stop()
    told = agent.log.count("the clock was stepped")
    outcome.expect(told == len(steps), f"{told} of {len(steps)} steps are in the log")
    _steady(stage, outcome, agent)
    counted = re.findall(r"(\d+) slots missed", agent.log)
    outcome.expect(set(counted) <= {"1"}, f"slots are called missed: {counted}")
    return outcome


def clock_is_slewed(stage: Stage) -> Outcome:
    """A leap second smeared, many times as fast as anybody does: nothing is noticed, nothing is lost."""
    outcome = Outcome(f"the clock runs 0.1 % fast for {stage.seconds} s")
    wall = Wall(stage)
    wall.set("+0 x1.001")
    with stage.agent(**wall.environment) as agent:
        sleep_s(stage.seconds + 0.5)  # not in the middle of a cycle, which would end without its beat
        agent.stop()
    outcome.expect("stepped" not in agent.log, "called a step")
    _steady(stage, outcome, agent)
    return stage.conclude(outcome, agent, alerts=0)


def clock_of_a_machine_without_rtc(stage: Stage) -> Outcome:
    """Booted in 2020, an outage begins, and then the true time comes: lengths of time stay true."""
    outcome = Outcome("starts six years ago, steps to now during an outage")
    wall = Wall(stage)
    wall.set(f"-{6 * YEAR}")
    with stage.agent(**wall.environment) as agent:
        stage.receiver.answer(WORKER, 503)
        stage.wait_for_events(1)
        wall.set("+0")
        sleep_s(3)
        stage.receiver.answer(WORKER, 200)
        stage.wait_for_events(2)
        agent.stop()
    recovery = stage.delivered()[-1].body["details"]
    outcome.expect(2 <= recovery["duration_seconds"] <= 10, f"the outage lasted {recovery['duration_seconds']} s")
    outcome.expect(agent.log.count("the clock was stepped") == 1, "not said once")
    _steady(stage, outcome, agent)
    outcome.alerts = "2/2"
    outcome.expect([event for event, *_ in stage.events()] == ["problem", "recovery"], f"alerts: {stage.events()}")
    return outcome


OFF_S = 8


def outage_before_a_boot(stage: Stage) -> Outcome:
    """The clock resumes where it stood when the power went, as timesyncd and fake-hwclock have it, and is then stepped to now."""
    outcome = Outcome(f"off for {OFF_S} s, the clock resumes 1 s after the last row, then is stepped")
    gaps = _gaps_after_an_outage(stage, outcome, booted=True)
    outcome.expect([gap["cause"] for gap in gaps] == ["power loss or crash"], f"alerts: {gaps}")
    return outcome


def killed_while_the_clock_is_waited_for(stage: Stage) -> Outcome:
    """The same, and the agent is killed before the step: the one after it tells the outage, which ended when it ended."""
    outcome = Outcome(f"off for {OFF_S} s, the clock resumes, kill -9 after 3 s, then it is stepped")
    gaps = _gaps_after_an_outage(stage, outcome, booted=True, starts=2)
    outcome.expect([gap["cause"] for gap in gaps][-1:] == ["power loss or crash"], f"alerts: {gaps}")
    return outcome


def clock_set_back_while_nothing_ran(stage: Stage) -> Outcome:
    """Within one boot: the kernel's own clock tells how long it was, once the wall clock is right again, and once."""
    outcome = Outcome(f"kill -9, {OFF_S} s, the clock set back by {OFF_S - 1} s meanwhile, and forward later")
    gaps = _gaps_after_an_outage(stage, outcome, booted=False)
    outcome.expect(len(gaps) == 1, f"alerts: {gaps}")
    return outcome


def _gaps_after_an_outage(stage: Stage, outcome: Outcome, *, booted: bool, starts: int = 1) -> list[dict[str, Any]]:
    """Killed, off, started by a clock that is behind, which is then stepped: what was told, which must not be before the step.

    The last of them must be as long as the rows say, and end when they do, by the clock as it is after the step.
    """
    wall = Wall(stage)
    toml = stage.toml(alerts=f"gap_alert_seconds = {OFF_S // 2}\n")
    with stage.agent(toml, **wall.environment) as agent:
        sleep_s(2)
        agent.process.kill()
        agent.process.wait()
    rows = len(agent.rows("id"))
    if booted:
        with closing(sqlite3.connect(agent.database)) as before, before:
            before.execute("UPDATE run SET boot_id = ?, booted_ns = booted_ns - 1000000000", ("0" * 32,))
    sleep_s(OFF_S)
    wall.set(f"-{OFF_S - 1}")
    for _ in range(starts - 1):
        with stage.agent(toml, **wall.environment) as agent:
            sleep_s(3)
            agent.process.kill()
            agent.process.wait()
    with stage.agent(toml, **wall.environment) as agent:
        sleep_s(3)
        told = [cause for *_, cause in stage.events()]
        # What lies between two starts of one boot may be told, if a slow machine makes it long.
        early = "power loss or crash" in told if starts > 1 else bool(told)
        outcome.expect(not early, f"told by a clock that cannot be believed: {told}")
        wall.set("+0")
        with suppress(AssertionError):
            wait_until(stage.delivered)
        sleep_s(2)
        agent.stop()
    outcome.expect("Traceback" not in agent.log, "a traceback in the log")
    gaps = [alert.body["details"] for alert in stage.delivered()]
    outcome.alerts = f"{len(gaps)}/1"
    last, first = (datetime.fromisoformat(str(stamp)) for (stamp,) in agent.rows("timestamp_lima")[rows - 1 : rows + 1])
    ended = first + timedelta(seconds=OFF_S - 1)
    for gap in gaps[-1:]:
        off_s, late_s = gap["duration_seconds"] - (ended - last).total_seconds(), _seconds_after(ended, gap["at"])
        outcome.expect(abs(off_s) < 0.5, f"too long by {off_s} s")
        outcome.expect(abs(late_s) < 0.5, f"ends {late_s} s after the first row")
    return gaps


def _seconds_after(moment: datetime, at: str) -> float:
    return (datetime.fromisoformat(at) - moment).total_seconds()


def clock_is_stepped_while_an_alert_waits(stage: Stage) -> Outcome:
    """An alert of 2020 waits for the webhook, also over a restart, when the true time comes: its moments and wait are true."""
    outcome = Outcome("an alert queued six years ago by the clock is delivered after the step")
    wall = Wall(stage)
    wall.set(f"-{6 * YEAR}")
    stage.receiver.answer(WEBHOOK, 404)
    with stage.agent(**wall.environment) as agent:
        stage.receiver.answer(WORKER, 503)
        wait_until(lambda: stage.receiver.received(WEBHOOK))
        agent.stop()
    wall.set("+0")
    stage.receiver.answer(WEBHOOK, 200)
    with stage.agent(**wall.environment) as agent:
        stage.wait_for_events(1)
        stage.receiver.answer(WORKER, 200)
        stage.wait_for_events(2)
        agent.stop()
    problem, recovery = (alert.body for alert in stage.delivered()[-2:])
    details = problem["details"]
    outcome.expect(0 < details["queued_seconds"] < 60, f"queued for {details['queued_seconds']} s")
    for name in ("since", "at", "timestamp_lima"):
        ago_s = time.time() - datetime.fromisoformat(details[name]).timestamp()
        outcome.expect(0 < ago_s < 60, f"{name} is {details[name]}")
    outcome.expect("clock of this host was set forward by" in problem["message"], problem["message"])
    outcome.expect(0 < recovery["details"]["duration_seconds"] < 60, f"lasted: {recovery['details']}")
    outcome.alerts = f"{len(stage.events())}/2"
    return outcome


def long_cycle(stage: Stage) -> Outcome:
    """Two slots and a half late: the next boundary, what was missed is counted, and no bunch of cycles after it."""
    outcome = Outcome("a heartbeat takes 2.5 slots")
    stage.receiver.answer(WORKER, 200, 200, SILENCE, SILENCE, 200)  # on the kept connection, and on the new one
    with stage.agent(stage.toml(timeout_s=2.5)) as agent:
        wait_until(lambda: len(stage.beats()) >= 6)
        agent.stop()
    slots = [slot_s for slot_s, _ in stage.moments(agent)]
    gaps = [later - earlier for earlier, later in pairwise(slots)]
    outcome.expect(sorted(gaps)[-2:] == [1, 3], f"gaps between slots: {gaps}")
    outcome.expect("2 slots missed" in agent.log, "what was missed is not counted")
    return stage.conclude(outcome, agent, may_miss=2)


def generous_timeout(stage: Stage) -> Outcome:
    """A Worker that is given longer than the unit's watchdog has patience: each sign of life comes before it would bite."""
    timeout_s = max(4, stage.seconds)
    outcome = Outcome(f"the Worker hangs, timeout_seconds = {timeout_s}, WatchdogSec=3")
    stage.receiver.answer(WORKER, 200, SILENCE)
    with AgentProcess(stage.folder, stage.toml(timeout_s=timeout_s), WATCHDOG_USEC="3000000") as agent:
        watchdog_s = int(agent.next_message()["WATCHDOG_USEC"]) / 1e6
        agent.ready()
        signs = [time.monotonic()]
        for _ in range(2):
            agent.cycles(1)
            signs.append(time.monotonic())
        stage.wait_for_events(1)
        agent.stop()
    longest_s = max(later - earlier for earlier, later in pairwise(signs))
    outcome.expect(
        timeout_s <= longest_s < watchdog_s, f"{longest_s:.1f} s between two signs of life, {watchdog_s} s allowed"
    )
    outcome.expect(stage.events() == [("problem", "unreachable", "timeout")], f"alerts: {stage.events()}")
    outcome.alerts = f"{len(stage.events())}/1"
    outcome.rows = f"{len(agent.rows('id'))}/2"
    outcome.expect("Traceback" not in agent.log, "a traceback in the log")
    return outcome


def signals_at_any_moment(stage: Stage) -> Outcome:
    """SIGHUPs at random, in bunches of ten, and a SIGTERM or SIGINT among them: no slot is lost or run twice."""
    outcome = Outcome(f"SIGHUP at random for {stage.seconds} s, then SIGTERM or SIGINT, three times")
    slowest_s = 0.0
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        with stage.agent() as agent:
            until_s = time.monotonic() + stage.seconds / 3
            while time.monotonic() < until_s:
                for _ in range(random.choice((1, 10))):
                    agent.signal(signal.SIGHUP)
                sleep_s(random.random() / 2)
            agent.signal(signal.SIGHUP)
            began_s = time.monotonic()
            agent.signal(ending)
            code = agent.process.wait(timeout=60)
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            outcome.expect(code == 0, f"exit status {code}")
    outcome.expect(slowest_s < 2, f"{slowest_s:.1f} s to stop")
    sent = [beat.body["metrics"]["id"] for beat in stage.beats()]
    outcome.expect([row for (row,) in agent.rows("id")] == sent, "a beat has no row")
    return stage.conclude(outcome, agent, alerts=0, may_miss=6)


def _steady(stage: Stage, outcome: Outcome, agent: AgentProcess) -> None:
    """By the true clock, beats came at most two intervals apart and never bunched; by its own, no slot was run twice."""
    beats = [beat.at_s for beat in stage.beats()]
    gaps = [later - earlier for earlier, later in pairwise(beats)]
    outcome.expect(max(gaps) < 2.5, f"a stall of {max(gaps):.1f} s")
    outcome.expect(min(gaps) > 0.3, f"two beats within {min(gaps):.2f} s")
    slots = [slot_s for slot_s, _ in stage.moments(agent)]
    late = [off_s for _, off_s in stage.moments(agent) if off_s > 0.5]
    outcome.on_time = f"{len(slots) - len(late)}/{len(slots)}"
    outcome.rows = f"{len(slots)}/{len(beats)}"
    outcome.expect(len(slots) == len(beats), "a beat has no row")
    outcome.expect(not late, f"off the grid: {late}")
    outcome.expect("Traceback" not in agent.log, "a traceback in the log")
    if outcome.problems:
        outcome.problems.append(agent.log[-3000:])
