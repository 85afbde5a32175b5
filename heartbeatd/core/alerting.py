"""When somebody is told: the Worker's state against the one last announced.

Theory of operation. Every answer falls into one of five states (`core/answers.py`). What was last announced is kept in a `Track`
that survives restarts, and each cycle's observation is held against it, so the truth is reconciled every ten seconds and no
change is lost because it happened while nobody looked. The first observation ever is the starting point, in silence.
After that `TRANSITIONS` says what is announced, once enough consecutive cycles agree. Only good or bad matters for what is
consecutive: an outage that shows itself as a timeout, then a 503, then a timeout is one outage, and counts as one. Any
observation that agrees with what was announced wipes the count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from heartbeatd.core.model import Change, Event, Observation, Track
from heartbeatd.core.schedule import NS_PER_S


@dataclass(frozen=True, slots=True)
class Transition:
    """From an announced state that is `good_before` to an observed other one that is `good_now`: announce `event`.

    `patience` names the setting that says how many consecutive cycles it takes.
    """

    good_before: bool
    good_now: bool
    event: Event
    patience: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition(True, False, Event.PROBLEM, "alert_after"),
    Transition(False, False, Event.CHANGE, "alert_after"),
    Transition(False, True, Event.RECOVERY, "recover_after"),
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How many consecutive cycles it takes before a change is announced."""

    alert_after: int = 1
    recover_after: int = 1


def advance(track: Track | None, seen: Observation, patience: Patience) -> tuple[Track, Change | None]:
    """The track after `seen`, and the announcement that is now due, if one is."""
    if track is None:
        return Track(seen.state, seen.at_ns, seen.cause, None if seen.state.good else seen.at_ns), None
    if seen.state is track.announced:
        return replace(track, streak=0, streak_good=False, streak_since_ns=None), None
    transition = _transition(track.announced.good, seen.state.good)
    goes_on = track.streak > 0 and track.streak_good is seen.state.good and track.streak_since_ns is not None
    since_ns = track.streak_since_ns if goes_on and track.streak_since_ns is not None else seen.at_ns
    streak = track.streak + 1 if goes_on else 1
    needed = patience.alert_after if transition.patience == "alert_after" else patience.recover_after
    if streak < needed:
        return replace(track, streak=streak, streak_good=seen.state.good, streak_since_ns=since_ns), None
    began_ns = track.problem_since_ns if track.problem_since_ns is not None else since_ns
    after = Track(seen.state, since_ns, seen.cause, None if seen.state.good else began_ns)
    return after, Change(
        event=transition.event,
        previous=track.announced,
        current=seen.state,
        previous_cause=track.cause,
        since_ns=since_ns,
        at_ns=seen.at_ns,
        status=seen.status,
        cause=seen.cause,
        detail=seen.detail,
        advice=seen.advice,
        duration_s=max(0, since_ns - began_ns) / NS_PER_S if seen.state.good else None,
    )


def replay(
    track: Track | None, history: Sequence[Observation], patience: Patience
) -> tuple[Track | None, tuple[Change, ...]]:
    """`advance` over a whole history: the track at its end and every announcement on the way, in order."""
    changes: list[Change] = []
    for seen in history:
        track, change = advance(track, seen, patience)
        if change is not None:
            changes.append(change)
    return track, tuple(changes)


def shifted(track: Track, by_ns: int) -> Track:
    """The track after the wall clock was stepped by `by_ns`: its moments move along, so that lengths of time stay true."""
    return replace(
        track,
        since_ns=track.since_ns + by_ns,
        problem_since_ns=None if track.problem_since_ns is None else track.problem_since_ns + by_ns,
        streak_since_ns=None if track.streak_since_ns is None else track.streak_since_ns + by_ns,
    )


def _transition(good_before: bool, good_now: bool) -> Transition:
    return next(t for t in TRANSITIONS if (t.good_before, t.good_now) == (good_before, good_now))
