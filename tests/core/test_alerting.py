"""The state machine of the Worker, and its laws."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.alerting import Patience, advance, replay, shifted
from heartbeatd.core.answers import judge
from heartbeatd.core.model import Beat, Cause, Event, Observation, Track, WorkerState

S = 1_000_000_000
AT_ONCE = Patience(1, 1)
states = st.sampled_from(list(WorkerState))
patiences = st.builds(Patience, st.integers(1, 4), st.integers(1, 4))
histories = st.lists(states, max_size=40).map(
    lambda found: [Observation(state, i * 10 * S) for i, state in enumerate(found)]
)


def seen(*found: WorkerState) -> list[Observation]:
    """One observation every ten seconds."""
    return [Observation(state, i * 10 * S) for i, state in enumerate(found)]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, "ok"),
        (201, "ok"),
        (204, "ok"),
        (299, "ok"),
        (220, "degraded"),
        (221, "degraded"),
        (222, "ok"),
        (301, "rejected"),
        (308, "rejected"),
        (400, "rejected"),
        (401, "rejected"),
        (403, "rejected"),
        (404, "rejected"),
        (429, "rejected"),
        (500, "error"),
        (503, "error"),
        (599, "error"),
        (103, "unreachable"),
        (999, "unreachable"),
    ],
)
def test_every_answer_has_its_state(status: int, state: str) -> None:
    """Each status falls into the state that the table of answers gives it; a number that is no HTTP answer is none."""
    found = judge(0, Beat(status), internet_ok=True)
    assert found is not None
    assert found.state == state
    assert found.cause == (Cause.PROTOCOL if state == "unreachable" else None)


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("internet_ok", [True, False, None])
def test_the_internet_check_only_explains(cause: Cause, internet_ok: bool | None) -> None:
    """Silence is `unreachable` whatever the internet check says; that only turns what looks like a dead uplink into its cause."""
    found = judge(0, Beat(None, cause), internet_ok)
    assert found is not None
    assert found.state is WorkerState.UNREACHABLE
    uplink = internet_ok is False and cause in (Cause.DNS, Cause.TIMEOUT, Cause.REFUSED)
    assert found.cause is (Cause.NO_INTERNET if uplink else cause)


def test_a_beat_that_was_not_sent_says_nothing() -> None:
    """Without a heartbeat there is no observation."""
    assert judge(0, None, internet_ok=False) is None


@given(states)
def test_the_first_observation_is_silent(state: WorkerState) -> None:
    """Whatever is seen first is the starting point and is announced to nobody."""
    track, change = advance(None, Observation(state, 5 * S), AT_ONCE)
    assert change is None
    assert track.announced is state
    assert track.since_ns == 5 * S


@given(histories, patiences, st.integers(0, 40))
def test_a_history_may_be_cut_anywhere(history: list[Observation], patience: Patience, cut: int) -> None:
    """A restart between any two cycles changes nothing: two halves replayed one after the other equal the whole."""
    whole = replay(None, history, patience)
    middle, first = replay(None, history[:cut], patience)
    end, second = replay(middle, history[cut:], patience)
    assert (end, first + second) == whole


@given(histories)
def test_every_change_is_announced_exactly_once(history: list[Observation]) -> None:
    """With a patience of one, announcements are the changes of state, each once, each from where the last one ended."""
    _, changes = replay(None, history, AT_ONCE)
    pairs = [(a.state, b.state) for a, b in pairwise(history) if a.state is not b.state]
    assert [(c.previous, c.current) for c in changes] == pairs


@given(histories, patiences)
def test_problems_and_recoveries_alternate(history: list[Observation], patience: Patience) -> None:
    """No recovery without a problem before it, no two problems in a row: only changes may lie between."""
    track, changes = replay(None, history, patience)
    good = history[0].state.good if history else True
    for change in changes:
        assert (change.event is Event.RECOVERY) == change.current.good
        assert (change.event is Event.PROBLEM) == good
        good = change.current.good
    assert track is None or track.announced.good == good


@given(histories, patiences)
def test_steady_is_silent(history: list[Observation], patience: Patience) -> None:
    """Once the latest state has been seen as often as patience asks, it is the announced one, and repeating it says nothing."""
    if not history:
        return
    last = history[-1]
    steady = [Observation(last.state, last.at_ns + (i + 1) * 10 * S) for i in range(4)]
    track, _ = replay(None, [*history, *steady], patience)
    again, changes = replay(track, steady, patience)
    assert track is not None and again is not None
    assert again.announced is last.state
    assert changes == ()


def test_an_outage_of_many_faces_is_one_outage() -> None:
    """Timeout, 503, timeout: three bad cycles in a row are announced with a patience of three, since the first of them."""
    _, changes = replay(
        None,
        seen(WorkerState.OK, WorkerState.UNREACHABLE, WorkerState.ERROR, WorkerState.UNREACHABLE),
        Patience(alert_after=3),
    )
    assert [(c.event, c.current, c.since_ns) for c in changes] == [(Event.PROBLEM, WorkerState.UNREACHABLE, 10 * S)]


def test_a_blip_is_not_announced() -> None:
    """With a patience of two, one bad cycle between good ones tells nobody anything."""
    assert replay(None, seen(WorkerState.OK, WorkerState.ERROR, WorkerState.OK), Patience(2, 2))[1] == ()


def test_a_recovery_knows_how_long_it_took() -> None:
    """The length of a problem runs from its first bad cycle to its first good one, over every change in between."""
    _, changes = replay(
        None,
        seen(
            WorkerState.OK,
            WorkerState.ERROR,
            WorkerState.UNREACHABLE,
            WorkerState.REJECTED,
            WorkerState.OK,
            WorkerState.OK,
        ),
        Patience(1, 2),
    )
    assert [c.event for c in changes] == [Event.PROBLEM, Event.CHANGE, Event.CHANGE, Event.RECOVERY]
    assert changes[-1].duration_s == 30.0
    assert changes[-1].since_ns == 40 * S


@given(histories, patiences, st.integers(-(10**15), 10**15))
def test_a_stepped_clock_keeps_lengths_true(history: list[Observation], patience: Patience, step_ns: int) -> None:
    """If the wall clock is stepped and the track is shifted with it, a recovery's length is what it would have been."""

    def ends(track: Track | None, offset_ns: int) -> list[float | None]:
        end = Observation(WorkerState.OK, 10**12 + offset_ns)
        return [c.duration_s for c in replay(track, [end], AT_ONCE)[1]]

    track, _ = replay(None, history, patience)
    assert track is None or ends(track, 0) == ends(shifted(track, step_ns), step_ns)


@pytest.mark.parametrize("cause", [Cause.DNS, Cause.TIMEOUT, Cause.REFUSED])
def test_a_check_that_always_fails_explains_nothing(cause: Cause) -> None:
    """Where the internet check failed while the Worker answered, an outage of the Worker is not called `no internet`."""
    seen = judge(0, Beat(None, cause), False)
    assert seen is not None
    assert seen.cause is Cause.NO_INTERNET
    seen = judge(0, Beat(None, cause), False, check_explains=False)
    assert seen is not None
    assert seen.cause is cause
