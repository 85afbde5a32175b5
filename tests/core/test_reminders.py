"""A bad state that lasts is told again: the laws of reminders."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.alerting import Announcement, Event, advance
from heartbeatd.core.locale import IN_ENGLISH
from heartbeatd.core.policy import Initial, Policy
from heartbeatd.core.subject import Observation
from heartbeatd.core.text.worker import worker_text
from heartbeatd.core.worker import WorkerState
from heartbeatd.rules.worker import observation
from tests.support.states import announced, replay

S = 1_000_000_000
CYCLE_S = 10
states = st.sampled_from(list(WorkerState))
bad_states = st.sampled_from([state for state in WorkerState if state is not WorkerState.OK])
policies = st.builds(Policy, st.integers(1, 3), st.integers(1, 3), st.sampled_from(Initial), st.integers(1, 900))
runs = st.lists(st.tuples(states, st.integers(1, 12) | st.integers(50, 200)), max_size=20)
histories = runs.map(lambda found: seen(*(state for state, cycles in found for _ in range(cycles))))


def seen(*found: WorkerState) -> list[Observation]:
    """One observation every ten seconds."""
    return [observation(state, i * CYCLE_S * S) for i, state in enumerate(found)]


def reminders(announcements: tuple[Announcement, ...]) -> list[Announcement]:
    return [told for told in announcements if told.event is Event.REMINDER]


@given(histories, policies)
def test_reminders_change_nothing_else(history: list[Observation], policy: Policy) -> None:
    """Without them, the same is announced at the same moments, and the state is the same but for when it was last told."""
    with_end, with_told = replay(None, history, policy)
    end, told = replay(None, history, replace(policy, remind_s=None))
    assert tuple(a for a in with_told if a.event is not Event.REMINDER) == told
    assert reminders(told) == []
    assert with_end is None or end is None or replace(with_end, notified_ns=end.notified_ns) == end


@given(histories, policies)
def test_a_reminder_is_of_what_was_told_and_is_seen_still(history: list[Observation], policy: Policy) -> None:
    """Of a bad state, the announced one, and no sooner than `remind_s` after it was last told."""
    state: AlertState | None = None
    for observed in history:
        before = state
        state, told = advance(before, observed, policy)
        if told is None or told.event is not Event.REMINDER:
            continue
        assert before is not None and policy.remind_s is not None
        assert told.observed.state == told.previous == before.announced != WorkerState.OK
        last_ns = before.since_ns if before.notified_ns is None else before.notified_ns
        assert observed.at_ns - last_ns >= policy.remind_s * S
        assert state.notified_ns == observed.at_ns


@given(bad_states, st.integers(1, 900), st.integers(1, 500))
def test_what_stays_bad_is_told_each_time(state: WorkerState, remind_s: int, cycles: int) -> None:
    """In the first cycle that is `remind_s` or more after the one before; also what was bad from the first cycle on."""
    _, told = replay(None, seen(*[state] * cycles), Policy(remind_s=remind_s))
    every = -(-remind_s // CYCLE_S) * CYCLE_S
    moments = [a.observed.at_ns // S for a in told]
    assert moments == list(range(every, cycles * CYCLE_S, every))
    assert [a.duration_s for a in told] == [float(at_s) for at_s in moments]
    assert {a.event for a in told} <= {Event.REMINDER}


@given(histories, policies)
def test_nobody_is_reminded_in_a_silence(history: list[Observation], policy: Policy) -> None:
    """Of what is silenced nothing is told."""
    state: AlertState | None = announced(WorkerState.ERROR, -3600 * S)
    for observed in history:
        state, told = advance(state, observed, policy, silenced=True)
        assert told is None


@given(histories, policies, st.integers(0, 400))
def test_a_history_with_reminders_may_be_cut_anywhere(history: list[Observation], policy: Policy, cut: int) -> None:
    """A restart neither hurries nor drops one."""
    whole = replay(None, history, policy)
    middle, first = replay(None, history[:cut], policy)
    end, second = replay(middle, history[cut:], policy)
    assert (end, first + second) == whole


def test_what_was_told_by_a_clock_that_was_ahead() -> None:
    """It is told again at once: nobody knows how long ago it was."""
    state = replace(announced(WorkerState.ERROR, 10**18), notified_ns=10**18)
    after, told = advance(state, observation(WorkerState.ERROR, 10**17, 500), Policy(remind_s=3600))
    assert told is not None and told.event is Event.REMINDER
    assert (told.duration_s, after.notified_ns) == (None, 10**17)


@pytest.mark.parametrize(("since_ns", "for_how_long"), [(0, " It has not been ok for 2 h."), (10**18, "")])
def test_the_text_of_a_reminder(since_ns: int, for_how_long: str) -> None:
    """That it is so still, since when, why, and what follows; how long only if that can be true."""
    state = announced(WorkerState.ERROR, since_ns, problem_since_ns=since_ns)
    _, told = advance(state, observation(WorkerState.ERROR, 7200 * S, 503, None, "why"), Policy(remind_s=3600))
    assert told is not None
    text = worker_text("nas", told, IN_ENGLISH, "https://worker/")
    assert text.title == "the Worker is still error (HTTP 503)"
    assert text.message.startswith("The heartbeat Worker at https://worker/ is still error, since ")
    assert f"(America/Lima).{for_how_long} It answers HTTP 503: why. While this lasts heartbeats may" in text.message
