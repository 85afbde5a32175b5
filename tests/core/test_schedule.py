"""The grid."""

from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.schedule import NS_PER_S, Past, Tick, first_tick, next_tick, regridded, stepped_ns

TEN_S = 10 * NS_PER_S
NOON = 1_795_521_600 * NS_PER_S
moments = st.integers(min_value=0, max_value=2**62)
intervals = st.sampled_from([s * NS_PER_S for s in (1, 2, 5, 10, 60, 3600)])


@given(moments, intervals)
def test_on_the_grid(now_ns: int, interval_ns: int) -> None:
    """The first slot is the next multiple of the interval, never now, never more than an interval away."""
    tick = next_tick(now_ns, interval_ns)
    assert tick.slot_ns % interval_ns == 0
    assert 0 < tick.slot_ns - now_ns <= interval_ns
    assert tick.missed == 0


@given(moments, intervals, st.integers(min_value=0, max_value=10**13))
def test_never_twice(start_ns: int, interval_ns: int, took_ns: int) -> None:
    """On a clock that nobody touches, the next slot comes after the last, and what lies between is what was missed."""
    last = next_tick(start_ns, interval_ns).slot_ns
    tick = next_tick(last + took_ns, interval_ns, Past(last, took_ns))
    assert tick.slot_ns > last
    assert tick.missed == (tick.slot_ns - last) // interval_ns - 1


def test_a_long_cycle_skips() -> None:
    """A cycle that takes 25.3 s misses two slots and goes on at the next boundary."""
    assert next_tick(NOON + 25_300_000_000, TEN_S, Past(NOON, 25_300_000_000)) == Tick(NOON + 3 * TEN_S, missed=2)


def test_a_small_step_back_repeats_nothing() -> None:
    """A clock set back by a second right after a slot does not run that slot again."""
    now = NOON - NS_PER_S + 100_000_000
    assert next_tick(now, TEN_S, Past(NOON, 100_000_000)) == Tick(NOON + TEN_S, missed=0)


@given(st.integers(min_value=-86400, max_value=86400), st.integers(min_value=0, max_value=9_900_000_000))
def test_no_stall_and_no_burst_after_a_step(step_s: int, elapsed_ns: int) -> None:
    """However the clock is stepped, the next slot is at most two intervals away, lies ahead, and invents no missed ones."""
    now = NOON + elapsed_ns + step_s * NS_PER_S
    tick = next_tick(now, TEN_S, Past(NOON, elapsed_ns))
    assert 0 < tick.slot_ns - now <= 2 * TEN_S
    assert tick.missed <= 1


def test_suspend_counts_as_missed() -> None:
    """An hour of suspend, which boot time counts, is 359 slots missed and one that runs."""
    hour = 3600 * NS_PER_S
    assert next_tick(NOON + hour - NS_PER_S, TEN_S, Past(NOON, hour - NS_PER_S)) == Tick(NOON + hour, missed=359)


def test_another_interval_misses_nothing() -> None:
    """12:00:00 ran; at 12:00:08.5 the interval becomes 2 s: the next slot is 12:00:10, and :02 to :08 were no slots."""
    past = regridded(Past(NOON, 8_500_000_000), NOON + 8_500_000_000, TEN_S, 2 * NS_PER_S)
    assert next_tick(NOON + 8_500_000_000, 2 * NS_PER_S, past) == Tick(NOON + TEN_S, missed=0)


def test_each_interval_counts_its_own() -> None:
    """A cycle of 25 s at 10 s, then 2 s: two were missed of the old one; 29 s later 15 of the new one as well."""
    now_ns = NOON + 25 * NS_PER_S
    past = regridded(Past(NOON, 25 * NS_PER_S), now_ns, TEN_S, 2 * NS_PER_S)
    assert next_tick(now_ns, 2 * NS_PER_S, past) == Tick(NOON + 26 * NS_PER_S, missed=2)
    later = Past(past.slot_ns, past.elapsed_ns + 29 * NS_PER_S, past.missed)
    assert next_tick(now_ns + 29 * NS_PER_S, 2 * NS_PER_S, later) == Tick(NOON + 56 * NS_PER_S, missed=2 + 15)


@given(moments, intervals, intervals, st.integers(0, 10**13), st.integers(-(10**18), 10**18))
def test_a_grid_that_changes_counts_what_was_due(
    start_ns: int, old_ns: int, new_ns: int, took_ns: int, step_ns: int
) -> None:
    """However the interval and the clock change, missed are the slots of the old grid that came and went, and none besides."""
    slot_ns = start_ns // old_ns * old_ns
    now_ns = max(0, slot_ns + took_ns + step_ns)
    tick = next_tick(now_ns, new_ns, regridded(Past(slot_ns, took_ns), now_ns, old_ns, new_ns))
    assert abs(tick.missed - took_ns // old_ns) <= 1
    assert tick.missed <= took_ns // old_ns
    assert tick.slot_ns != slot_ns


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=-249_999_999, max_value=249_999_999))
def test_slewing_is_no_step(passed_ns: int, drift_ns: int) -> None:
    """What NTP slews within a cycle is not reported as a step."""
    assert stepped_ns(passed_ns + drift_ns, passed_ns) == 0


def test_a_step_is_measured() -> None:
    """A clock set back by an hour while ten seconds passed was stepped by minus an hour."""
    assert stepped_ns(-3590 * NS_PER_S, 10 * NS_PER_S) == -3600 * NS_PER_S


@given(moments, intervals, st.integers(min_value=0, max_value=100))
def test_a_restart_across_a_slot_loses_none(now_ns: int, interval_ns: int, ago: int) -> None:
    """The slot under way runs if it began less than a second ago and the one before it was the last to run; no slot twice."""
    under_way = now_ns // interval_ns * interval_ns
    last = under_way - ago * interval_ns
    tick = first_tick(now_ns, interval_ns, last)
    assert tick.slot_ns > last
    assert tick.slot_ns in (under_way, next_tick(now_ns, interval_ns).slot_ns)
    assert (tick.slot_ns == under_way) == (ago == 1 and now_ns - under_way < NS_PER_S)
    assert first_tick(now_ns, interval_ns, None) == next_tick(now_ns, interval_ns)
