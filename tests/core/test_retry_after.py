"""How long heartbeats are held back because the Worker asked for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.heartbeat import Cause, HeartbeatResult
from heartbeatd.core.retry_after import FIRST_S, LONGEST_S, Hold, held_after

S = 1_000_000_000
NOW = 1_795_465_210 * S  # 2026-11-23T20:20:10Z
BOOT = 5_000 * S


def hold_s(value: str, *, status: int = 429, before: Hold | None = None) -> float:
    """The seconds that such an answer holds heartbeats back."""
    hold = held_after(before, HeartbeatResult(status, headers={"retry-after": value}), NOW, BOOT)
    return 0 if hold is None else (hold.until_ns - BOOT) / S


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("1", 1),
        (" 20 ", 20),
        ("3600", FIRST_S),
        ("9" * 100, FIRST_S),
        ("Mon, 23 Nov 2026 20:20:22 GMT", 12),
        ("Monday, 23-Nov-26 20:20:22 GMT", 12),
        ("Mon Nov 23 20:20:22 2026", 12),
        ("Fri, 31 Dec 9999 23:59:59 GMT", FIRST_S),
        ("Mon, 23 Nov 2026 20:20:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("", 0),
        ("-5", 0),
        ("1.5", 0),
        ("1e9", 0),
        ("inf", 0),
        ("\u0663", 0),
        ("tomorrow", 0),
        ("Mon, 23 Nov 2026 20:20:22 CET", 0),
        ("Mon, 99 Nov 2026 20:20:22 GMT", 0),
    ],
)
def test_seconds_or_a_date(value: str, seconds: float) -> None:
    """What is neither asks for nothing; what is silly is held back for the bound and no longer."""
    assert hold_s(value) == seconds


@pytest.mark.parametrize(("status", "counts"), [(429, True), (503, True), (200, False), (403, False), (500, False)])
def test_only_429_and_503_may_ask(status: int, *, counts: bool) -> None:
    """RFC 9110 and RFC 6585 give the header a meaning there."""
    assert (hold_s("20", status=status) > 0) == counts


def test_who_goes_on_asking_is_waited_for_longer() -> None:
    """30 s, 60 s, 120 s and so on, up to 15 minutes; never longer than asked for."""
    hold, found = None, []
    for _ in range(8):
        hold = held_after(hold, HeartbeatResult(429, headers={"retry-after": "86400"}), NOW, BOOT)
        assert hold is not None
        found.append((hold.until_ns - BOOT) / S)
    assert found == [30, 60, 120, 240, 480, 900, 900, 900]
    assert hold_s("7", before=hold) == 7


@pytest.mark.parametrize(
    "beat",
    [HeartbeatResult(200), HeartbeatResult(429), HeartbeatResult(503), HeartbeatResult(None, Cause.TIMEOUT)],
)
def test_any_other_outcome_ends_it(beat: HeartbeatResult) -> None:
    """The next to ask begins at 30 s again."""
    assert held_after(Hold(BOOT, 6), beat, NOW, BOOT) is None


@given(st.text(max_size=40), st.integers(0, 10**6))
def test_no_value_starves_the_switch(value: str, answers: int) -> None:
    """Whatever the header holds, a try comes within 15 minutes."""
    assert 0 <= hold_s(value, before=Hold(BOOT, answers)) <= LONGEST_S
