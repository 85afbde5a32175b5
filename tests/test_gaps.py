"""The time before a run is told once, whatever becomes of the run that was to tell it: real databases, a clock set by hand."""

import logging
import signal
from pathlib import Path

import pytest

from heartbeatd.cancel import CancelToken, SerialWorker
from heartbeatd.core.gap import PATIENCE_NS, ExitRecord, Start
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.silence import Silence
from heartbeatd.holds import Holds
from tests.support.agent import run_python
from tests.support.clocks import FakeClock
from tests.support.runs import INTERVAL_S, RunOfAgent, run

OLD, NEW, NEXT = "a" * 32, "b" * 32, "c" * 32
HOURS_S = 3 * 3600
PATIENCE_CYCLES = PATIENCE_NS // (INTERVAL_S * NS_PER_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "metrics.db"


@pytest.fixture
def clock() -> FakeClock:
    """Nobody vouches for it."""
    return FakeClock()


def killed(path: Path, clock: FakeClock, boot_id: str, cycles: int) -> None:
    """A run that is killed after so many cycles."""
    moment = str(clock.wall_ns), str(clock.boot_ns)
    done = run_python("-m", "tests.support.runs", path, boot_id, *moment, str(cycles))
    assert done.returncode == -signal.SIGKILL, done.stderr
    clock.pass_s(cycles * INTERVAL_S)


def power_cut(path: Path, clock: FakeClock, *, resumed: bool = True) -> None:
    """A run in one boot, a power cut of three hours, and the next boot."""
    killed(path, clock, OLD, 3)
    clock.boot(after_s=HOURS_S, resumed=resumed)


def test_a_first_run_has_nothing_to_tell(path: Path, clock: FakeClock) -> None:
    """Nor has one that follows a run which stored nothing."""
    assert run(path, clock, OLD, 0) == []
    clock.pass_s(3600)
    assert run(path, clock, OLD, 3) == []


def test_the_clock_is_stepped_after_some_cycles(path: Path, clock: FakeClock) -> None:
    """The clock goes on where it stood, and is stepped by three hours after the third cycle: one alert, with the end it had."""
    power_cut(path, clock)
    agent = RunOfAgent(path, clock, Start(NEW))
    agent.cycles(3)
    assert agent.told == []
    clock.wall_ns += HOURS_S * NS_PER_S
    agent.cycles(PATIENCE_CYCLES + 10)
    (gap,) = agent.told
    assert (gap["event"], gap["cause"], gap["duration_seconds"]) == ("gap", "power loss or crash", HOURS_S + 30.0)
    assert gap["at"] == "2026-11-24T20:08:30.000Z"
    agent.stop()


@pytest.mark.parametrize("cycles", [1, PATIENCE_CYCLES + 1])
def test_who_vouches_for_the_clock(path: Path, clock: FakeClock, cycles: int) -> None:
    """A time server or a battery clock: told before the first cycle. Nobody: told after ten minutes, with the end it had."""
    power_cut(path, clock, resumed=False)
    clock.time_server = cycles == 1
    agent = RunOfAgent(path, clock, Start(NEW))
    agent.cycles(cycles - 1)
    assert agent.told == []
    agent.cycles(1)
    (gap,) = agent.told
    assert (gap["duration_seconds"], gap["at"]) == (HOURS_S + 30.0, "2026-11-24T20:08:30.000Z")
    agent.stop()


@pytest.mark.parametrize(("seconds", "lengths"), [(5, []), (9.999, []), (10, [20.0]), (3600, [3610.0])])
def test_a_restart_is_believed_at_once(path: Path, clock: FakeClock, seconds: float, lengths: list[float]) -> None:
    """Within a boot nothing is waited for; and where hardly a slot was missed there is nothing to tell."""
    run(path, clock, OLD, 3)
    clock.pass_s(seconds)
    assert [gap["duration_seconds"] for gap in run(path, clock, OLD, 1)] == lengths


def test_a_clock_that_was_set_back_between_two_runs_of_a_boot(path: Path, clock: FakeClock) -> None:
    """The kernel's own clock tells the length; it is told once the clock is right again, with moments that are."""
    run(path, clock, OLD, 3)
    clock.pass_s(14)
    clock.wall_ns -= 17 * NS_PER_S
    agent = RunOfAgent(path, clock, Start(OLD))
    agent.cycles(1)
    assert agent.told == []
    clock.wall_ns += 17 * NS_PER_S
    agent.cycles(1)
    (gap,) = agent.told
    assert (gap["duration_seconds"], gap["at"]) == (24.0, "2026-11-24T17:08:24.000Z")
    agent.stop()


def test_a_clock_that_was_ahead(path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """The last row is of the year 2036: no gap is made up; it is said once that its length is unknown."""
    caplog.set_level(logging.WARNING)
    clock.wall_ns += 10 * 365 * 86_400 * NS_PER_S
    power_cut(path, clock)
    clock.wall_ns -= 10 * 365 * 86_400 * NS_PER_S
    clock.time_server = True
    assert run(path, clock, NEW, 3) == []
    assert caplog.text.count("how long nothing ran before this start is unknown") == 1


@pytest.mark.parametrize("by_force", [True, False])
def test_a_restart_while_the_clock_is_waited_for(path: Path, clock: FakeClock, *, by_force: bool) -> None:
    """Stopped or killed three minutes after a boot without a battery clock: the outage before it is told by the run after it."""
    power_cut(path, clock)
    if by_force:
        killed(path, clock, NEW, 18)
    else:
        assert run(path, clock, NEW, 18) == []
    clock.pass_s(2)
    agent = RunOfAgent(path, clock, Start(NEW))
    agent.cycles(1)
    assert agent.told == []
    clock.wall_ns += HOURS_S * NS_PER_S
    agent.cycles(1)
    (gap,) = agent.told
    assert (gap["cause"], gap["duration_seconds"]) == ("power loss or crash", HOURS_S + 30.0)
    assert gap["at"] == "2026-11-24T20:08:30.000Z"  # the first cycle after the boot, in the run before
    agent.stop()
    assert run(path, clock, NEW, PATIENCE_CYCLES) == []


def test_patience_counts_from_the_first_cycle_after_the_boot(path: Path, clock: FakeClock) -> None:
    """However often the agent is started again meanwhile, it is told after ten minutes."""
    power_cut(path, clock, resumed=False)
    told = []
    for _ in range(8):
        told.append(len(run(path, clock, NEW, 9)))
    assert told == [0, 0, 0, 0, 0, 0, 1, 0]


def test_a_run_that_was_killed_before_its_first_cycle(path: Path, clock: FakeClock) -> None:
    """It has ended no gap: the one before it goes on, with the cause it had."""
    power_cut(path, clock)
    killed(path, clock, NEW, 0)
    clock.pass_s(60)
    clock.time_server = True
    (gap,) = run(path, clock, NEW, 1)
    assert (gap["cause"], gap["duration_seconds"]) == ("power loss or crash", 90.0)


def test_why_the_run_before_had_ended_is_kept(path: Path, clock: FakeClock) -> None:
    """The exit record is taken at the first start; the run that tells finds another one, which says nothing about that gap."""
    run(path, clock, OLD, 3)
    clock.boot(after_s=HOURS_S, resumed=True)
    assert run(path, clock, NEW, 2, ExitRecord(OLD, "success", system_stopping=True)) == []
    clock.pass_s(30)
    clock.time_server = True
    told = run(path, clock, NEW, 2, ExitRecord(NEW, "watchdog"))
    assert [gap["cause"] for gap in told] == ["shutdown", "crash"]


def test_another_boot_while_the_clock_is_waited_for(path: Path, clock: FakeClock) -> None:
    """What was stored in between has no time to be believed: the gap goes on until the first cycle of the boot that tells."""
    power_cut(path, clock)
    killed(path, clock, NEW, 6)
    clock.boot(after_s=HOURS_S, resumed=True)
    clock.wall_ns += 2 * HOURS_S * NS_PER_S
    clock.time_server = True
    (gap,) = run(path, clock, NEXT, 3)
    assert (gap["cause"], gap["since"]) == ("power loss or crash", "2026-11-24T17:08:00.000Z")
    assert gap["duration_seconds"] == 2 * HOURS_S + 110.0


@pytest.mark.parametrize("pattern", ["*", "agent", "host", "worker"])
@pytest.mark.parametrize(("from_s", "to_s"), [(-60, 7200), (3500, 3900), (3601, 7200), (-60, 1800)])
def test_a_gap_that_ended_silenced_is_logged_only(
    path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture, pattern: str, from_s: int, to_s: int
) -> None:
    """Of an hour that began silenced: what counts is its end. A silence that begins after it says nothing of it."""
    caplog.set_level(logging.INFO)
    run(path, clock, OLD, 3)
    stopped_ns = clock.wall_ns
    clock.pass_s(3600)
    made = Silence(pattern, stopped_ns + to_s * NS_PER_S, created_ns=stopped_ns + from_s * NS_PER_S)
    holds = Holds(lambda: (made,), SerialWorker("system"), CancelToken(clock), OLD)
    agent = RunOfAgent(path, clock, Start(OLD), holds.covers)
    agent.cycles(2)
    silenced = pattern in ("*", "agent") and from_s < 3600 < to_s
    assert len(agent.told) == (not silenced)
    assert "stopped by the administrator" in caplog.text
    agent.stop()


def test_the_end_of_a_failure_is_told_in_spite_of_a_silence(path: Path, clock: FakeClock) -> None:
    """Its beginning was told, past the agent: nobody is to be left with that."""
    run(path, clock, OLD, 3)
    clock.pass_s(3600)
    found = ExitRecord(OLD, "exit-code", "78", was_watching=True)
    agent = RunOfAgent(path, clock, Start(OLD, found, failure_told=True), lambda subject, at_ns: True)
    agent.cycles(2)
    assert [gap["cause"] for gap in agent.told] == ["failure"]
    agent.stop()


def test_what_a_disk_does_not_take_is_not_told_twice(path: Path, clock: FakeClock) -> None:
    """Told while the database cannot be written: it is once in the queue, and the next run does not know of it any more."""
    run(path, clock, OLD, 3)
    clock.pass_s(3600)
    agent = RunOfAgent(path, clock, Start(OLD))
    beside = path.with_name("beside")
    path.rename(beside)
    path.mkdir()
    agent.cycles(2)
    assert len(agent.told) == 1
    path.rmdir()
    beside.rename(path)
    agent.cycles(2)
    assert len(agent.told) == 1
    assert len(agent.store.undelivered) == 1
    agent.stop()
    assert run(path, clock, OLD, 2) == []
