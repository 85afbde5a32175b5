"""A planned stop, a shutdown, a crash and a power cut are told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.gap import (
    PATIENCE_NS,
    ExitRecord,
    Gap,
    GapKind,
    Now,
    Run,
    Start,
    UntoldGap,
    cannot_be_told,
    classify_gap,
    resumed,
)
from heartbeatd.core.notification import of_gap
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.schedule import NS_PER_S, STEP_NS

NOW_NS = 1_795_540_060 * NS_PER_S
BEFORE_NS = NOW_NS - 8880 * NS_PER_S
S = NS_PER_S
OLD, NEW = "a" * 32, "b" * 32


@pytest.mark.parametrize(
    ("boot", "ended", "ending", "kind", "result"),
    [
        (OLD, True, ExitRecord(OLD, "success"), GapKind.STOPPED, ""),
        (NEW, True, ExitRecord(OLD, "success"), GapKind.STOPPED, ""),
        (NEW, True, ExitRecord(OLD, "success", system_stopping=True), GapKind.SHUTDOWN, ""),
        (OLD, False, ExitRecord(OLD, "watchdog", "ABRT"), GapKind.CRASH, "watchdog"),
        (OLD, False, ExitRecord(OLD, "timeout", was_watching=True), GapKind.STOPPED, ""),  # on a frozen filesystem
        (OLD, False, ExitRecord(OLD, "timeout"), GapKind.CRASH, "timeout"),  # it did not start in time
        (OLD, False, ExitRecord(OLD, "oom-kill", "KILL"), GapKind.CRASH, "oom-kill"),
        (NEW, False, ExitRecord(OLD, "exit-code", "78"), GapKind.CRASH, "exit-code 78"),
        (NEW, False, None, GapKind.POWER, ""),
        (OLD, False, None, GapKind.CRASH, ""),
        (OLD, True, None, GapKind.STOPPED, ""),
        # What was left by a run before that one says nothing about it.
        (NEW, False, ExitRecord("c" * 32, "success"), GapKind.POWER, ""),
    ],
)
def test_how_a_run_ended(boot: str, ended: bool, ending: ExitRecord | None, kind: GapKind, result: str) -> None:
    """By systemd's verdict if there is one for that boot; else by the boot id and the database's own note."""
    now = Now(NOW_NS, S, vouched=True)
    (gap,) = resumed((UntoldGap(Run(OLD, BEFORE_NS, ended)),), Start(boot, ending), now)
    assert classify_gap(gap, now) == Gap(kind, BEFORE_NS, NOW_NS, result)


def test_a_failure_that_was_told_of_is_over() -> None:
    """Whatever the exit record says of it."""
    now = Now(NOW_NS, S, vouched=True)
    start = Start(OLD, ExitRecord(OLD, "exit-code", "1"), failure_told=True)
    (gap,) = resumed((UntoldGap(Run(OLD, BEFORE_NS, False)),), start, now)
    assert classify_gap(gap, now) == Gap(GapKind.FAILURE, BEFORE_NS, NOW_NS, "exit-code 1")


def test_a_run_without_rows_leaves_no_gap() -> None:
    """Nothing is known of when it ended; nor of a gap in whose end no cycle ran."""
    assert classify_gap(after(Run(OLD, None, False), Now(0, 0)), Now(NOW_NS, S, vouched=True)) is None
    assert classify_gap(UntoldGap(Run(OLD, BEFORE_NS, False)), Now(NOW_NS, S, vouched=True)) is None


def after(run: Run, first: Now, boot: str = NEW) -> UntoldGap:
    """The gap that began with that run's last row, and the first cycle after it."""
    (gap,) = resumed((UntoldGap(run),), Start(boot), first)
    return gap


@given(st.integers(1, 10**19), st.booleans(), st.booleans(), st.integers(0, 10**15))
def test_a_clock_that_is_behind_is_waited_for(behind_ns: int, vouched: bool, stepped: bool, waited_ns: int) -> None:
    """A machine without RTC starts years ago: no gap is told, least of all one that ends before it began."""
    gap = after(Run(OLD, BEFORE_NS, False), Now(BEFORE_NS - behind_ns - (3600 * S if stepped else 0), 0))
    assert classify_gap(gap, Now(BEFORE_NS - behind_ns + waited_ns, waited_ns, vouched)) is None


@pytest.mark.parametrize(
    ("stepped", "vouched", "waited_ns", "told"),
    [
        (False, False, 0, False),
        (False, False, PATIENCE_NS - 1, False),
        (False, False, PATIENCE_NS, True),
        (True, False, 0, True),
        (False, True, 0, True),
    ],
)
def test_after_a_boot_the_clock_has_to_be_believed(stepped: bool, vouched: bool, waited_ns: int, told: bool) -> None:
    """The clock resumes 4 s after the last row, and nobody vouches for it: waited until somebody does, it is stepped, or for ten
    minutes."""
    gap = after(Run(OLD, BEFORE_NS, False), Now(BEFORE_NS + (1 if stepped else 4) * S, S))
    found = classify_gap(gap, Now(BEFORE_NS + 4 * S + waited_ns, S + waited_ns, vouched))
    assert found == (Gap(GapKind.POWER, BEFORE_NS, BEFORE_NS + 4 * S) if told else None)


def test_after_a_step_it_is_as_long_as_it_was() -> None:
    """The first cycle was 4 s after the last row by a clock that is then stepped by three hours: that cycle ends the gap."""
    gap = after(Run(OLD, BEFORE_NS, False), Now(BEFORE_NS + 4 * S, S))
    now = Now(BEFORE_NS + (4 + 10_800 + 60) * S, 61 * S)
    assert classify_gap(gap, now) == Gap(GapKind.POWER, BEFORE_NS, BEFORE_NS + 10_804 * S)


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(-(10**18), 10**18), st.sampled_from([OLD, NEW]))
def test_within_a_boot_the_kernel_tells(gap_ns: int, waited_ns: int, moved_ns: int, boot: str) -> None:
    """The length is that of the boot-time clock, whatever was done to the wall clock meanwhile; if that was set, it has to be
    believed first. A container that is booted again, on a kernel that was not, has another boot id and the same clocks."""
    last_boot_ns, booted_ns = 10 * S, BEFORE_NS
    began_ns = last_boot_ns + gap_ns
    run = Run(OLD, booted_ns + last_boot_ns, False, booted_ns)
    boot_ns = began_ns + waited_ns
    if boot == NEW:
        moved_ns = 0
    now, first = Now(booted_ns + boot_ns + moved_ns, boot_ns), Now(booted_ns + began_ns + moved_ns, began_ns)
    at_once = classify_gap(after(run, first, boot), now)
    assert (at_once is not None) == (abs(moved_ns) < STEP_NS or waited_ns >= PATIENCE_NS)
    found = classify_gap(after(run, Now(first.wall_ns - S, began_ns), boot), now)  # and stepped by a second since
    assert found is not None
    assert (found.until_ns - found.since_ns, found.until_ns) == (gap_ns, booted_ns + began_ns + moved_ns)


def test_a_restart_right_after_an_upgrade() -> None:
    """The run before did not note its clock: within a boot it is believed, as it was."""
    gap = after(Run(OLD, BEFORE_NS, False), Now(BEFORE_NS + 60 * S, S), OLD)
    assert classify_gap(gap, Now(BEFORE_NS + 60 * S, S)) == Gap(GapKind.CRASH, BEFORE_NS, BEFORE_NS + 60 * S)


def test_rows_of_a_clock_that_was_ahead() -> None:
    """The last row is of 2036, and a time server says that it is 2026: nobody knows how long nothing ran."""
    gap = after(Run(OLD, NOW_NS + 10**18, False), Now(NOW_NS, S))
    assert not cannot_be_told(gap, Now(NOW_NS, S))  # the clock may be behind, and come back
    assert cannot_be_told(gap, Now(NOW_NS, S, vouched=True))
    assert classify_gap(gap, Now(NOW_NS, S, vouched=True)) is None


def test_a_gap_that_waits_outlives_a_restart() -> None:
    """It ends where it ended, whenever it is looked at; the time after the run that could not tell is another one."""
    first = after(Run(OLD, BEFORE_NS, False), Now(BEFORE_NS + 4 * S, S))
    between = UntoldGap(Run(NEW, BEFORE_NS + 64 * S, False, BEFORE_NS + 3 * S))
    later = Now(BEFORE_NS + 94 * S, 91 * S)
    kept, second = resumed((first, between), Start(NEW, ExitRecord(NEW, "signal")), later)
    assert kept == first
    assert classify_gap(second, later) == Gap(GapKind.CRASH, BEFORE_NS + 64 * S, later.wall_ns, "signal")
    assert resumed((kept, second), Start(NEW), Now(later.wall_ns + S, later.boot_ns + S)) == (kept, second)


def test_a_gap_that_waits_takes_in_another_boot() -> None:
    """Its end was by the boot-time clock of a boot that is over: it goes on until now, for the reason it began with."""
    first = after(Run(OLD, BEFORE_NS, False), Now(BEFORE_NS + 4 * S, S))
    between = UntoldGap(Run(NEW, BEFORE_NS + 64 * S, False, BEFORE_NS + 3 * S))
    now = Now(NOW_NS, 7 * S, vouched=True)
    (gap,) = resumed((first, between), Start("c" * 32, ExitRecord(NEW, "signal")), now)
    assert classify_gap(gap, now) == Gap(GapKind.POWER, BEFORE_NS, NOW_NS)


@pytest.mark.parametrize(
    ("kind", "result", "subject", "title"),
    [
        (GapKind.POWER, "", "host", "nas: was down for 2 h 28 min (unclean: power loss or crash)"),
        (GapKind.SHUTDOWN, "", "host", "nas: was down for 2 h 28 min (shut down in good order)"),
        (GapKind.STOPPED, "", "agent", "nas: heartbeatd was stopped for 2 h 28 min"),
        (GapKind.FAILURE, "exit-code 78", "agent", "nas: heartbeatd runs again"),
        (GapKind.CRASH, "watchdog", "agent", "nas: heartbeatd did not run for 2 h 28 min: crash (watchdog)"),
    ],
)
def test_the_alert_says_what_when_and_how_long(kind: GapKind, result: str, subject: str, title: str) -> None:
    """In words, with both ends in Lima's time; and the same for programs."""
    alert = of_gap(AgentInfo("nas", "0", 0), Gap(kind, BEFORE_NS, NOW_NS, result), "id", "https://worker/")
    assert alert.title == title
    assert "from 2026-11-24 09:39:40 (America/Lima) to 2026-11-24 12:07:40 (America/Lima), 2 h 28 min" in alert.message
    details = alert.details
    assert (details["event"], details["subject"], details["cause"]) == ("gap", subject, kind)
    assert (details["since"], details["at"]) == ("2026-11-24T14:39:40.000Z", "2026-11-24T17:07:40.000Z")
    assert details["duration_seconds"] == 8880.0
    assert details["previous"] is details["current"] is details["worker_status"] is None
