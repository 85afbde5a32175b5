"""When a delivery is tried, and what follows from a try that failed."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.delivery import (
    CAP_S,
    ERRORS_IN_ORDER,
    LATE_MOST,
    LATE_PAUSE_S,
    LATE_SOON,
    REFUSED_MOST,
    Delivery,
    Failure,
    arrived,
    backoff_s,
    believable,
    failed,
    is_news,
    next_due,
)
from heartbeatd.core.queued import QueuedNotification
from heartbeatd.core.schedule import NS_PER_S

NOW_NS = 1_764_000_000 * NS_PER_S
FAILURES = st.sampled_from([Failure.DOWN, Failure.ERROR, Failure.REFUSED, Failure.LATE])


def delivery(number: int = 1) -> Delivery:
    return Delivery(QueuedNotification(f"event-{number}", NOW_NS, "{}"), "mail")


def after(*failures: Failure) -> Delivery:
    """A delivery after these, each tried when it was due, without jitter."""
    now = delivery()
    for failure in failures:
        now = failed(now, failure, f"{failure}!", max(now.next_try_ns, NOW_NS), jitter=0)
    return now


def pauses_s(failure: Failure, number: int) -> list[float]:
    """Seconds between so many tries that fail in the same way."""
    now, moments = delivery(), [NOW_NS]
    for _ in range(number):
        now = failed(now, failure, "", moments[-1], jitter=0)
        moments.append(now.next_try_ns)
    return [(later - earlier) / NS_PER_S for earlier, later in pairwise(moments)]


@pytest.mark.parametrize("failure", [Failure.DOWN, Failure.ERROR])
def test_what_may_pass_is_tried_for_as_long_as_it_takes(failure: Failure) -> None:
    assert pauses_s(failure, 10) == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert not after(*[failure] * 1000).ended


def test_what_is_refused_is_set_aside() -> None:
    assert pauses_s(Failure.REFUSED, REFUSED_MOST - 1) == [2, 4, 8, 16]
    over = after(*[Failure.REFUSED] * REFUSED_MOST)
    assert (over.set_aside_ns, over.attempts, over.last_error) == (NOW_NS + 30 * NS_PER_S, 5, "refused!")


def test_what_was_taken_and_not_answered_is_tried_hourly_and_then_set_aside() -> None:
    assert pauses_s(Failure.LATE, 6) == [2, 4, 8, LATE_PAUSE_S, LATE_PAUSE_S, LATE_PAUSE_S]
    assert not after(*[Failure.LATE] * (LATE_MOST - 1)).ended
    assert after(*[Failure.LATE] * LATE_MOST).set_aside_ns is not None


def test_what_cannot_be_read_is_set_aside_at_once() -> None:
    assert after(Failure.UNREADABLE).set_aside_ns == NOW_NS


def test_arrived() -> None:
    over = arrived(after(Failure.DOWN), NOW_NS + 9)
    assert (over.delivered_ns, over.attempts, over.last_error, over.ended) == (NOW_NS + 9, 2, None, True)


@pytest.mark.parametrize(
    ("first", "held_up"),
    [
        (delivery(), False),
        (after(Failure.DOWN), True),
        (after(*[Failure.ERROR] * (ERRORS_IN_ORDER - 1)), True),
        (after(*[Failure.ERROR] * ERRORS_IN_ORDER), False),
        (after(Failure.REFUSED), False),
        (after(Failure.LATE), False),
    ],
)
def test_who_holds_up_those_behind(first: Delivery, held_up: bool) -> None:
    """A first one that waits for its next try holds up the second while it is in order, and not when it is alone."""
    second = delivery(2)
    due = next_due((first, second), NOW_NS)
    if first.next_try_ns == 0:
        assert due is first
    else:
        assert due == (first.next_try_ns if held_up else second)
        assert next_due((first, second), first.next_try_ns) is first


def test_nothing_to_do() -> None:
    assert next_due((), NOW_NS) is None


def test_of_two_that_wait_the_sooner_is_named() -> None:
    first, second = after(*[Failure.LATE] * LATE_SOON), replace(after(Failure.DOWN), channel="mail")
    assert next_due((first, second), NOW_NS) == second.next_try_ns


@given(st.integers(1, 100), st.floats(0, 1), st.floats(0, 1))
def test_pauses_grow_and_are_bounded(failures: int, jitter: float, other: float) -> None:
    assert 0.8 * 2 <= backoff_s(failures, jitter) <= CAP_S
    assert backoff_s(failures + 1, jitter) >= 0.8 * backoff_s(failures, other)


@given(st.lists(FAILURES, max_size=60), st.floats(0, 1))
def test_every_failure_is_counted_and_none_puts_off_for_longer_than_an_hour(
    failures: list[Failure], jitter: float
) -> None:
    now = delivery()
    for failure in failures:
        before = now
        now = failed(before, failure, "no", NOW_NS, jitter)
        assert now.attempts == before.attempts + 1
        if now.ended:
            return
        assert NOW_NS < now.next_try_ns <= NOW_NS + int(LATE_PAUSE_S) * NS_PER_S
        assert now.alone >= before.alone
    assert now.refused < REFUSED_MOST


@given(st.lists(FAILURES, max_size=12), st.integers(-(10**18), 10**18))
def test_a_stored_moment_of_another_clock_puts_off_no_further_than_a_pause(
    failures: list[Failure], step_ns: int
) -> None:
    stored = after(*failures)
    taken = believable(stored, NOW_NS + step_ns)
    assert taken.next_try_ns <= NOW_NS + step_ns + int(LATE_PAUSE_S) * NS_PER_S
    assert taken.next_try_ns <= stored.next_try_ns


def test_news() -> None:
    """A warning for the first failure of a kind, and where the pace changes: not for each try."""

    def warned(failure: Failure, number: int) -> list[int]:
        return [n for n in range(1, number + 1) if is_news(after(*[failure] * n), failure)]

    assert warned(Failure.DOWN, 20) == [1]
    assert warned(Failure.ERROR, 20) == [1, ERRORS_IN_ORDER]
    assert warned(Failure.LATE, 20) == [1, LATE_SOON]
    assert warned(Failure.REFUSED, REFUSED_MOST - 1) == [1]
