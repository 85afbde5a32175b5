"""A planned stop, a shutdown, a crash and a power cut are told apart."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.gap import Ending, Gap, GapKind, Run, judge
from heartbeatd.core.payload import Agent, gap_alert
from heartbeatd.core.schedule import NS_PER_S

NOW_NS = 1_795_540_060 * NS_PER_S
BEFORE_NS = NOW_NS - 8880 * NS_PER_S
OLD, NEW = "a" * 32, "b" * 32


@pytest.mark.parametrize(
    ("boot", "ended", "ending", "kind", "result"),
    [
        (OLD, True, Ending(OLD, "success"), GapKind.STOPPED, ""),
        (NEW, True, Ending(OLD, "success"), GapKind.STOPPED, ""),
        (NEW, True, Ending(OLD, "success", system_stopping=True), GapKind.SHUTDOWN, ""),
        (OLD, False, Ending(OLD, "watchdog", "ABRT"), GapKind.CRASH, "watchdog"),
        (OLD, False, Ending(OLD, "oom-kill", "KILL"), GapKind.CRASH, "oom-kill"),
        (NEW, False, Ending(OLD, "exit-code", "78"), GapKind.CRASH, "exit-code 78"),
        (NEW, False, None, GapKind.POWER, ""),
        (OLD, False, None, GapKind.CRASH, ""),
        (OLD, True, None, GapKind.STOPPED, ""),
        # What was left by a run before that one says nothing about it.
        (NEW, False, Ending("c" * 32, "success"), GapKind.POWER, ""),
    ],
)
def test_how_a_run_ended(boot: str, ended: bool, ending: Ending | None, kind: GapKind, result: str) -> None:
    """By systemd's verdict if there is one for that boot; else by the boot id and the database's own note."""
    assert judge(Run(OLD, BEFORE_NS, ended), ending, boot, NOW_NS) == Gap(kind, BEFORE_NS, NOW_NS, result)


def test_a_run_without_rows_leaves_no_gap() -> None:
    """Nothing is known of when it ended."""
    assert judge(Run(OLD, None, False), None, NEW, NOW_NS) is None


@given(st.integers(1, 10**19))
def test_a_clock_that_is_behind_is_waited_for(behind_ns: int) -> None:
    """A machine without RTC starts years ago: no gap is told, least of all one that ends before it began."""
    assert judge(Run(OLD, BEFORE_NS, False), None, NEW, BEFORE_NS - behind_ns) is None


@pytest.mark.parametrize(
    ("kind", "result", "subject", "title"),
    [
        (GapKind.POWER, "", "host", "nas: was down for 2 h 28 min (unclean: power loss or crash)"),
        (GapKind.SHUTDOWN, "", "host", "nas: was down for 2 h 28 min (shut down in good order)"),
        (GapKind.STOPPED, "", "agent", "nas: heartbeatd was stopped for 2 h 28 min"),
        (GapKind.CRASH, "watchdog", "agent", "nas: heartbeatd did not run for 2 h 28 min (crash (watchdog))"),
    ],
)
def test_the_alert_says_what_when_and_how_long(kind: GapKind, result: str, subject: str, title: str) -> None:
    """In words, with both ends in Lima's time; and the same for programs."""
    alert = gap_alert(Agent("nas", "0", 0), Gap(kind, BEFORE_NS, NOW_NS, result), "id", "https://worker/")
    body = json.loads(alert.body)
    assert body["title"] == title
    assert (
        "from 2026-11-24 09:39:40 (America/Lima) to 2026-11-24 12:07:40 (America/Lima), 2 h 28 min" in body["message"]
    )
    details = body["details"]
    assert (details["event"], details["subject"], details["cause"]) == ("gap", subject, kind)
    assert (details["since"], details["at"]) == ("2026-11-24T14:39:40.000Z", "2026-11-24T17:07:40.000Z")
    assert details["duration_seconds"] == 8880.0
    assert details["previous"] is details["current"] is details["worker_status"] is None
