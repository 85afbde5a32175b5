"""When somebody is told: the Worker's state against the one last announced.

Theory of operation. Every answer falls into one of five states (`answers`). What was last announced is kept in an `AlertState`
that survives restarts, and each cycle's observation is held against it, so the truth is reconciled in every cycle and no
change is lost because it happened while nobody looked. The first observation ever is the starting point, in silence.

After that there are two questions. *Has it changed?* `TRANSITIONS` says how many consecutive cycles have to agree that it has;
any observation of the present state starts the count again. From ok to bad it matters only that they are bad: an outage that
shows itself as a timeout, then a 503, then a timeout is one outage. From one bad state to another they have to show the same
one, and more of them: a Worker that fails in two ways in turn has not changed.

*Is it told?* At once, as long as it has changed `FLAPPING_CHANGES` times in the last hour or less. The next change is told as
flapping. Those after it are told only once they have lasted for `STEADY_S`, so whatever the Worker does, an hour has a handful
of alerts, and the state it comes to rest in is always the last one told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from heartbeatd.core.model import AlertState, Announcement, Event, Observation
from heartbeatd.core.schedule import NS_PER_S


@dataclass(frozen=True, slots=True)
class Transition:
    """From an announced state that is `good_before` to an observed other one that is `good_now`: announce `event`.

    `patience` names how many consecutive cycles it takes (see `Thresholds`), and `says` says it in words.
    """

    good_before: bool
    good_now: bool
    event: Event
    patience: str
    says: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition(True, False, Event.PROBLEM, "alert_after", "alert_after consecutive cycles"),
    Transition(False, False, Event.CHANGE, "change_after", "6 or 3 × alert_after consecutive cycles in the same state"),
    Transition(False, True, Event.RECOVERY, "recover_after", "recover_after consecutive cycles"),
)
CHANGE_AFTER = 6  # a minute, with the default interval
FLAPPING_CHANGES = 6  # in an hour: three outages
STEADY_S = 600
_HOUR_NS = 3600 * NS_PER_S
MOST_CHANGES = 100  # more of an hour's changes are not remembered: nobody needs to know how many there were


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many consecutive cycles it takes until a state counts as changed."""

    alert_after: int = 1
    recover_after: int = 1

    @property
    def change_after(self) -> int:
        """From one bad state to another: whoever is told of an outage is in no hurry to hear that it has another face."""
        return max(CHANGE_AFTER, 3 * self.alert_after)


def advance(
    track: AlertState | None, seen: Observation, patience: Thresholds
) -> tuple[AlertState, Announcement | None]:
    """The track after `seen`, and the announcement that is now due, if one is."""
    if track is None:
        return AlertState(seen.state, seen.at_ns, seen.cause, None if seen.state.good else seen.at_ns), None
    track = _observed(track, seen, patience)
    if track.untold_since_ns is None or seen.state is not track.untold:
        return track, None
    flapping = changes_in_an_hour(track, seen.at_ns) > FLAPPING_CHANGES + 1
    if flapping and seen.at_ns - track.untold_since_ns < STEADY_S * NS_PER_S:
        return track, None
    return _announced(track, seen, track.untold_since_ns)


def _observed(track: AlertState, seen: Observation, patience: Thresholds) -> AlertState:
    """Has it changed? The track with `seen` counted, and with another current state if enough cycles agree on one."""
    if seen.state is track.current:
        return replace(track, streak=0, streak_state=None, streak_since_ns=None)
    transition = _transition(track.current.good, seen.state.good)
    before = track.streak_state
    goes_on = before is seen.state or (before is not None and track.current.good and not before.good)
    since_ns = track.streak_since_ns if goes_on and track.streak_since_ns is not None else seen.at_ns
    streak = track.streak + 1 if goes_on else 1
    if streak < int(getattr(patience, transition.patience)):
        return replace(track, streak=streak, streak_state=seen.state, streak_since_ns=since_ns)
    lately = tuple(at_ns for at_ns in track.changes_ns if 0 <= seen.at_ns - at_ns < _HOUR_NS)
    return replace(
        track,
        streak=0,
        streak_state=None,
        streak_since_ns=None,
        untold=None if seen.state is track.announced else seen.state,
        untold_since_ns=None if seen.state is track.announced else since_ns,
        changes_ns=(*lately, seen.at_ns)[-MOST_CHANGES:],
    )


def changes_in_an_hour(track: AlertState, now_ns: int) -> int:
    """How often the state changed in the hour before `now_ns`, told or not; `MOST_CHANGES` may be more."""
    return sum(0 <= now_ns - at_ns < _HOUR_NS for at_ns in track.changes_ns)


def _announced(track: AlertState, seen: Observation, since_ns: int) -> tuple[AlertState, Announcement]:
    began_ns = track.problem_since_ns if track.problem_since_ns is not None else since_ns
    changes = changes_in_an_hour(track, seen.at_ns)
    after = replace(
        track,
        announced=seen.state,
        since_ns=since_ns,
        cause=seen.cause,
        problem_since_ns=None if seen.state.good else began_ns,
        untold=None,
        untold_since_ns=None,
    )
    return after, Announcement(
        event=_transition(track.announced.good, seen.state.good).event,
        previous=track.announced,
        current=seen.state,
        previous_cause=track.cause,
        since_ns=since_ns,
        at_ns=seen.at_ns,
        status=seen.status,
        cause=seen.cause,
        detail=seen.detail,
        advice=seen.advice,
        # Unknown where the outage would have begun later: an earlier boot noted that, by a clock that was ahead of this one.
        duration_s=(since_ns - began_ns) / NS_PER_S if seen.state.good and since_ns >= began_ns else None,
        flapping=changes if changes > FLAPPING_CHANGES else 0,
    )


def replay(
    track: AlertState | None, history: Sequence[Observation], patience: Thresholds
) -> tuple[AlertState | None, tuple[Announcement, ...]]:
    """`advance` over a whole history: the track at its end and every announcement on the way, in order."""
    changes: list[Announcement] = []
    for seen in history:
        track, change = advance(track, seen, patience)
        if change is not None:
            changes.append(change)
    return track, tuple(changes)


def moments(track: AlertState) -> frozenset[int]:
    """Every moment (ns) that the track has noted."""
    found = (track.since_ns, track.problem_since_ns, track.streak_since_ns, track.untold_since_ns, *track.changes_ns)
    return frozenset(at_ns for at_ns in found if at_ns is not None)


def shifted(track: AlertState, by_ns: int, fixed: frozenset[int] = frozenset()) -> AlertState:
    """The track after the wall clock was stepped by `by_ns`: its moments move along, so that lengths of time stay true.

    `fixed` are those that were noted by another clock than the one stepped, in an earlier boot: they stay.
    """

    def move(at_ns: int) -> int:
        return at_ns if at_ns in fixed else at_ns + by_ns

    return replace(
        track,
        since_ns=move(track.since_ns),
        problem_since_ns=None if track.problem_since_ns is None else move(track.problem_since_ns),
        streak_since_ns=None if track.streak_since_ns is None else move(track.streak_since_ns),
        untold_since_ns=None if track.untold_since_ns is None else move(track.untold_since_ns),
        changes_ns=tuple(map(move, track.changes_ns)),
    )


def _transition(good_before: bool, good_now: bool) -> Transition:
    return next(t for t in TRANSITIONS if (t.good_before, t.good_now) == (good_before, good_now))
