"""The alert machine, which any subject goes through, and its laws."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.alert_state import AlertState, moments, shifted
from heartbeatd.core.alerting import FLAPPING_CHANGES, STEADY_S, Announcement, Event, advance, evaluate
from heartbeatd.core.locale import IN_ENGLISH
from heartbeatd.core.policy import Initial, Policy
from heartbeatd.core.subject import OK, Observation, Severity, Subject
from heartbeatd.core.text import Text
from heartbeatd.core.text.flapping import with_flapping
from heartbeatd.core.text.worker import worker_text
from heartbeatd.core.worker import WORKER, WorkerState
from heartbeatd.rules.worker import observation
from tests.support.states import announced, replay

S = 1_000_000_000
AT_ONCE = Policy(1, 1)
DEFAULT = Policy(2, 1)
states = st.sampled_from(list(WorkerState))
patiences = st.builds(Policy, st.integers(1, 4), st.integers(1, 4))
# Runs of one state, as they come from outside: of a few cycles, or of many.
runs = st.lists(st.tuples(states, st.integers(1, 12) | st.integers(50, 200)), max_size=60)
histories = runs.map(lambda found: seen(*(state for state, cycles in found for _ in range(cycles))))
short_histories = st.lists(states, max_size=40).map(lambda found: seen(*found))
HOUR = 3600 * S


def seen(*found: WorkerState) -> list[Observation]:
    """One observation every ten seconds."""
    return [observation(state, i * 10 * S) for i, state in enumerate(found)]


@given(states)
def test_the_first_observation_is_silent(state: WorkerState) -> None:
    """Whatever is seen first is the starting point and is announced to nobody."""
    track, change = advance(None, observation(state, 5 * S), AT_ONCE)
    assert change is None
    assert track.announced is state
    assert track.since_ns == 5 * S


@given(histories, patiences, st.integers(0, 400))
def test_a_history_may_be_cut_anywhere(history: list[Observation], patience: Policy, cut: int) -> None:
    """A restart between any two cycles changes nothing: two halves replayed one after the other equal the whole."""
    whole = replay(None, history, patience)
    middle, first = replay(None, history[:cut], patience)
    end, second = replay(middle, history[cut:], patience)
    assert (end, first + second) == whole


@given(st.lists(st.booleans(), max_size=40))
def test_every_change_is_announced_exactly_once(history: list[bool]) -> None:
    """Two changes an hour, and a patience of one: each is announced, once, from where the last one ended."""
    found = [
        observation(WorkerState.OK if good else WorkerState.ERROR, i * HOUR // 2) for i, good in enumerate(history)
    ]
    _, changes = replay(None, found, AT_ONCE)
    assert [(c.previous, c.observed.state) for c in changes] == [
        (a.state, b.state) for a, b in pairwise(found) if a.state is not b.state
    ]


@given(histories, patiences)
def test_an_hour_has_a_handful_of_alerts(history: list[Observation], patience: Policy) -> None:
    """Whatever the Worker does: at most eight that are told at once, and those that had to be steady for ten minutes."""
    _, changes = replay(None, history, patience)
    for first in changes:
        within = [c for c in changes if 0 <= c.observed.at_ns - first.observed.at_ns < HOUR]
        assert len(within) <= FLAPPING_CHANGES + 2 + 3600 // STEADY_S
        assert sum(c.observed.at_ns - c.since_ns < STEADY_S * S for c in within) <= FLAPPING_CHANGES + 2


@given(histories, patiences)
def test_no_alert_that_says_nothing_new(history: list[Observation], patience: Policy) -> None:
    """Each announcement is of another state than the one announced before it, and of what is seen at that moment."""
    told = history[0].state if history else None
    found = {seen.at_ns: seen.state for seen in history}
    for change in replay(None, history, patience)[1]:
        assert change.previous is told
        assert change.observed.state is not told
        assert found[change.observed.at_ns] is change.observed.state
        told = change.observed.state


@given(states, st.integers(1, 500), patiences)
def test_a_steady_worker_is_nobodys_news(state: WorkerState, cycles: int, patience: Policy) -> None:
    """A history that equals the announced state announces nothing, and leaves nothing behind."""
    track, changes = replay(None, seen(*[state] * cycles), patience)
    assert changes == ()
    assert track is not None
    assert (track.streak, track.untold, track.changes_ns) == (0, None, ())


@given(histories, patiences)
def test_problems_and_recoveries_alternate(history: list[Observation], patience: Policy) -> None:
    """No recovery without a problem before it, no two problems in a row: only changes may lie between."""
    track, changes = replay(None, history, patience)
    good = history[0].ok if history else True
    for change in changes:
        assert (change.event is Event.RECOVERY) == change.observed.ok
        assert (change.event is Event.PROBLEM) == good
        good = change.observed.ok
    assert track is None or (track.announced == OK) == good


@given(histories, patiences, states)
def test_what_it_comes_to_rest_in_is_told(history: list[Observation], patience: Policy, state: WorkerState) -> None:
    """Once a state has lasted, it is the announced one, whatever was before; and then nothing more is said."""
    start = history[-1].at_ns if history else 0
    steady = [observation(state, start + (i + 1) * 10 * S) for i in range(STEADY_S // 10 + patience.change_cycles)]
    track, _ = replay(None, [*history, *steady], patience)
    assert track is not None and track.announced is track.current is state
    again, changes = replay(track, [observation(state, steady[-1].at_ns + i * 10 * S) for i in range(1, 400)], patience)
    assert changes == ()
    assert again is not None and again.announced is state


def test_a_length_that_cannot_be_true_is_unknown() -> None:
    """The problem was announced by a clock that was years ahead, in an earlier boot: nothing is made up."""
    track = announced(WorkerState.ERROR, 10**18, None, 10**18)
    _, recovery = advance(track, observation(WorkerState.OK, 10**17, 200), AT_ONCE)
    assert recovery is not None and recovery.duration_s is None
    text = worker_text("nas", recovery, IN_ENGLISH, "https://worker/")
    assert text.title == "the Worker records heartbeats again"
    assert "How long the problem lasted is not known" in text.message


@pytest.mark.parametrize("patience", [DEFAULT, AT_ONCE, Policy(3, 2)])
def test_two_ways_of_failing_in_turn_are_one_problem(patience: Policy) -> None:
    """503, timeout, 503 and so on for ten minutes: one problem, one recovery, nothing between."""
    bad = [WorkerState.ERROR, WorkerState.UNREACHABLE] * 30
    _, changes = replay(None, seen(WorkerState.OK, *bad, *[WorkerState.OK] * 5), patience)
    assert [c.event for c in changes] == [Event.PROBLEM, Event.RECOVERY]


def test_another_way_of_failing_is_told_once_it_lasts() -> None:
    """A minute of the same other state: told in the sixth cycle, since the first; five cycles of it tell nobody."""
    five = seen(WorkerState.OK, *[WorkerState.ERROR] * 3, *[WorkerState.REJECTED] * 5, *[WorkerState.ERROR] * 9)
    assert [c.event for c in replay(None, five, DEFAULT)[1]] == [Event.PROBLEM]
    six = seen(WorkerState.OK, *[WorkerState.ERROR] * 3, *[WorkerState.REJECTED] * 6)
    (_, change) = replay(None, six, DEFAULT)[1]
    assert (change.event, change.previous, change.observed.state) == (
        Event.CHANGE,
        WorkerState.ERROR,
        WorkerState.REJECTED,
    )
    assert (change.since_ns, change.observed.at_ns) == (40 * S, 90 * S)


@pytest.mark.parametrize("patience", [AT_ONCE, DEFAULT])
def test_a_flapping_worker(patience: Policy) -> None:
    """Bad and good in turn, half a minute each, for eight hours: seven alerts, the last of which says so; then silence, until it
    has been well for ten minutes."""
    flapping = [WorkerState.OK, *([*[WorkerState.ERROR] * 3, *[WorkerState.OK] * 3] * 480)]
    track, changes = replay(None, seen(*flapping), patience)
    assert [c.flapping for c in changes] == [0] * FLAPPING_CHANGES + [7]
    assert changes[-1].event is Event.PROBLEM
    end = len(flapping) * 10 * S
    steady = [observation(WorkerState.OK, end + i * 10 * S) for i in range(70)]
    _, (recovery,) = replay(track, steady, patience)
    assert recovery.event is Event.RECOVERY
    assert recovery.observed.at_ns - recovery.since_ns == STEADY_S * S
    assert recovery.flapping > 90
    text = with_flapping(Text("title", "message"), recovery, IN_ENGLISH)
    assert text.title == "flapping: title"
    assert f"flapping: {recovery.flapping} changes or more in an hour" in text.message
    assert "once it has lasted for 10 min" in text.message


def test_an_outage_of_many_faces_is_one_outage() -> None:
    """Timeout, 503, timeout: three bad cycles in a row are announced with a patience of three, since the first of them."""
    _, changes = replay(
        None,
        seen(WorkerState.OK, WorkerState.UNREACHABLE, WorkerState.ERROR, WorkerState.UNREACHABLE),
        Policy(for_cycles=3),
    )
    assert [(c.event, c.observed.state, c.since_ns) for c in changes] == [
        (Event.PROBLEM, WorkerState.UNREACHABLE, 10 * S)
    ]


def test_a_blip_is_not_announced() -> None:
    """With a patience of two, one bad cycle between good ones tells nobody anything."""
    assert replay(None, seen(WorkerState.OK, WorkerState.ERROR, WorkerState.OK), Policy(2, 2))[1] == ()


def test_a_recovery_knows_how_long_it_took() -> None:
    """The length of a problem runs from its first bad cycle to its first good one, over every change in between."""
    _, changes = replay(
        None,
        seen(WorkerState.OK, WorkerState.ERROR, *[WorkerState.UNREACHABLE] * 6, WorkerState.OK, WorkerState.OK),
        Policy(1, 2),
    )
    assert [c.event for c in changes] == [Event.PROBLEM, Event.CHANGE, Event.RECOVERY]
    assert changes[-1].duration_s == 70.0
    assert changes[-1].since_ns == 80 * S


@given(histories, patiences, st.integers(-(10**15), 10**15))
def test_a_stepped_clock_keeps_lengths_true(history: list[Observation], patience: Policy, step_ns: int) -> None:
    """If the wall clock is stepped and the track is shifted with it, a recovery's length is what it would have been."""

    def ends(track: AlertState | None, offset_ns: int) -> list[float | None]:
        end = observation(WorkerState.OK, 10**12 + offset_ns)
        return [c.duration_s for c in replay(track, [end], AT_ONCE)[1]]

    track, _ = replay(None, history, patience)
    assert track is None or ends(track, 0) == ends(shifted(track, step_ns), step_ns)


@given(histories, patiences, st.integers(-(10**15), 10**15))
def test_moments_of_another_clock_stay(history: list[Observation], patience: Policy, step_ns: int) -> None:
    """What was noted in an earlier boot was noted by a clock that nobody has stepped since."""
    track, _ = replay(None, history, patience)
    assert track is None or shifted(track, step_ns, moments(track)) == track


DISK = Subject("disk", "/srv")
ASSUME_OK = Policy(3, 2, Initial.ASSUME_OK)


def disk(state: str, cycle: int) -> Observation:
    """Another subject than the Worker, every ten seconds."""
    severity = Severity.OK if state == OK else Severity.WARNING
    return Observation(DISK, state, severity, cycle * 10 * S)


@given(st.lists(st.sampled_from(["ok", "warning"]), min_size=1, max_size=40))
def test_what_is_assumed_ok_is_told_from_the_start(history: list[str]) -> None:
    """Whoever watches a full disk from now on is told: the history is as if a cycle that was ok had come before it."""
    found = [disk(state, n) for n, state in enumerate(history)]
    assumed = replay(None, found, ASSUME_OK)[1]
    assert assumed == replay(None, [disk(OK, -1), *found], ASSUME_OK)[1]


def test_a_full_disk_at_the_first_cycle() -> None:
    """Told after as many cycles as any other change, where the first state of a Worker is told to nobody."""
    found = [disk("warning", n) for n in range(3)]
    (announcement,) = replay(None, found, ASSUME_OK)[1]
    assert (announcement.event, announcement.previous, announcement.since_ns) == (Event.PROBLEM, OK, 0)
    assert replay(None, found, replace(ASSUME_OK, initial=Initial.SILENT))[1] == ()


@given(short_histories, patiences, states)
def test_what_is_still_true_when_a_silence_ends_is_told_then(
    silenced: list[Observation], policy: Policy, state: WorkerState
) -> None:
    """Nothing during the silence; after it, what lasts is told once, unless it is what was announced before."""
    kept, _ = advance(None, observation(WorkerState.OK, -10 * S), policy)
    for observed in silenced:
        kept, announcement = advance(kept, observed, policy, silenced=True)
        assert announcement is None
        assert kept.announced == OK
    start = len(silenced) * 10 * S
    steady = [observation(state, start + i * 10 * S) for i in range(STEADY_S // 10 + policy.change_cycles)]
    after, announcements = replay(kept, steady, policy)
    assert after is not None and after.announced == state
    assert [a.observed.state for a in announcements] == ([] if state is WorkerState.OK else [state])


@given(histories, histories, patiences)
def test_one_subject_is_no_business_of_another(
    worker: list[Observation], other: list[Observation], policy: Policy
) -> None:
    """`evaluate` over many subjects is `advance` for each."""
    disks = [replace(observed, subject=DISK) for observed in other]
    kept: dict[Subject, AlertState] = {}
    told: list[Announcement] = []
    for number in range(max(len(worker), len(disks))):
        observations = [*worker[number : number + 1], *disks[number : number + 1]]
        before = kept
        verdict = evaluate(kept, observations, lambda _: policy)
        kept = {**kept, **{state.subject: state for state in verdict.changed}}
        told += verdict.announcements
        assert {state.subject for state in verdict.changed} == {s for s in kept if kept[s] != before.get(s)}
    for subject, history in ((WORKER, worker), (DISK, disks)):
        alone, announcements = replay(None, history, policy)
        assert kept.get(subject) == alone
        assert tuple(a for a in told if a.observed.subject == subject) == announcements


def test_a_silenced_subject_among_others() -> None:
    """`silenced` names subjects; the others are told of."""
    found = [observation(WorkerState.ERROR, 0), disk("warning", 0)]
    verdict = evaluate({}, found, lambda _: Policy(1, 1, Initial.ASSUME_OK), silenced={WORKER})
    assert [a.observed.subject for a in verdict.announcements] == [DISK]
    assert {state.subject: state.announced for state in verdict.changed} == {WORKER: OK, DISK: "warning"}
