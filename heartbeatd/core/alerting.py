"""When somebody is told: the state of a subject against the one last announced.

Theory of operation. What was last announced of each subject is kept in an `AlertState` that survives restarts, and each cycle's
observation is held against it, so the truth is reconciled in every cycle and no change is lost because it happened while nobody
looked. What the first observation ever means is the policy's to say.

After that there are two questions. *Has it changed?* `TRANSITIONS` says how many consecutive cycles have to agree that it has;
any observation of the present state starts the count again. From ok to bad it matters only that they are bad: an outage that
shows itself as a timeout, then a 503, then a timeout is one outage. From one bad state to another they have to show the same
one, and more of them: what fails in two ways in turn has not changed.

*Is it told?* At once, as long as it has changed `FLAPPING_CHANGES` times in the last hour or less. The next change is told as
flapping. Those after it are told only once they have lasted for `STEADY_S`, so whatever the subject does, an hour has a handful
of alerts, and the state it comes to rest in is always the last one told. A silenced subject goes on being observed while
`announced` stands still: what is still true when the silence ends is told then.

*Is it told again?* A bad state that lasts, `remind_s` after it was last told, if the policy says so.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from heartbeatd.core.alert_state import AlertState, AlertStates
from heartbeatd.core.policy import Initial, Policy
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.subject import OK, Observation, Severity, Subject


class Event(StrEnum):
    """The kinds of notification."""

    PROBLEM = "problem"
    CHANGE = "change"
    RECOVERY = "recovery"
    REMINDER = "reminder"
    GAP = "gap"
    FAILURE = "failure"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Transition:
    """From an announced state that is `ok_before` to an observed other one that is `ok_now`: announce `event`.

    `cycles` names how many consecutive cycles it takes (see `Policy`), and `says` says it in words.
    """

    ok_before: bool
    ok_now: bool
    event: Event
    cycles: str
    says: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition(True, False, Event.PROBLEM, "for_cycles", "alert_after consecutive cycles"),
    Transition(
        False, False, Event.CHANGE, "change_cycles", "6 or 3 × alert_after consecutive cycles in the same state"
    ),
    Transition(False, True, Event.RECOVERY, "recover_cycles", "recover_after consecutive cycles"),
)
FLAPPING_CHANGES = 6  # in an hour: three outages
STEADY_S = 600
_HOUR_NS = 3600 * NS_PER_S
MOST_CHANGES = 100  # more of an hour's changes are not remembered: nobody needs to know how many there were


@dataclass(frozen=True, slots=True)
class Announcement:
    """A change that is due to be told: the subject went from `previous` to what was `observed`, since `since_ns`.

    Of a reminder both are the same state.
    """

    event: Event
    observed: Observation
    previous: str
    previous_severity: Severity
    previous_reason: str | None
    since_ns: int
    duration_s: float | None  # on recovery, and in a reminder: how long the subject was not ok
    flapping: int = 0  # how often it changed within an hour, if that is too often to tell each time


@dataclass(frozen=True, slots=True)
class Verdict:
    """The alert states that are others than before, and what is due to be told."""

    changed: tuple[AlertState, ...] = ()
    announcements: tuple[Announcement, ...] = ()


def evaluate(
    states: AlertStates,
    observations: Iterable[Observation],
    policy: Callable[[Observation], Policy],
    silenced: Container[Subject] = (),
) -> Verdict:
    """Hold what a cycle observed, each subject once at the most, against what was announced.

    `policy` says of an observation when it counts.
    """
    changed: list[AlertState] = []
    announcements: list[Announcement] = []
    for observed in observations:
        before, when = states.get(observed.subject), policy(observed)
        if before is None and observed.ok and when.initial is Initial.ASSUME_OK:
            continue  # as assumed: nothing to keep of it
        after, announcement = advance(before, observed, when, silenced=observed.subject in silenced)
        if after is not before:
            changed.append(after)
        if announcement is not None:
            announcements.append(announcement)
    return Verdict(tuple(changed), tuple(announcements))


def advance(
    state: AlertState | None, observed: Observation, policy: Policy, *, silenced: bool = False
) -> tuple[AlertState, Announcement | None]:
    """The alert state after `observed`, and the announcement that is now due, if one is."""
    if state is None:
        if policy.initial is Initial.SILENT:
            return _first(observed), None
        state = AlertState(observed.subject, OK, Severity.OK, observed.at_ns)
    state = _count(state, observed, policy)
    if silenced:
        return state, None
    if state.untold_since_ns is None:
        return _remind(state, observed) if _is_reminder_due(state, observed, policy) else (state, None)
    if observed.state != state.untold:
        return state, None
    if is_held_back(state, observed.at_ns) and observed.at_ns - state.untold_since_ns < STEADY_S * NS_PER_S:
        return state, None
    return _announce(state, observed, state.untold_since_ns)


def _first(observed: Observation) -> AlertState:
    problem_since_ns = None if observed.ok else observed.at_ns
    return AlertState(
        observed.subject, observed.state, observed.severity, observed.at_ns, observed.reason, problem_since_ns
    )


def _count(state: AlertState, observed: Observation, policy: Policy) -> AlertState:
    """Has it changed? The state with `observed` counted, and with another current one if enough cycles agree on it."""
    if observed.state == state.current:
        return replace(state, streak=0, streak_state=None, streak_since_ns=None) if state.streak else state
    transition = _transition(state.current == OK, observed.ok)
    before = state.streak_state
    goes_on = before == observed.state or (before not in (None, OK) and state.current == OK)
    since_ns = state.streak_since_ns if goes_on and state.streak_since_ns is not None else observed.at_ns
    streak = state.streak + 1 if goes_on else 1
    if streak < int(getattr(policy, transition.cycles)):
        return replace(state, streak=streak, streak_state=observed.state, streak_since_ns=since_ns)
    lately = tuple(at_ns for at_ns in state.changes_ns if 0 <= observed.at_ns - at_ns < _HOUR_NS)
    back = observed.state == state.announced
    return replace(
        state,
        streak=0,
        streak_state=None,
        streak_since_ns=None,
        untold=None if back else observed.state,
        untold_since_ns=None if back else since_ns,
        changes_ns=(*lately, observed.at_ns)[-MOST_CHANGES:],
    )


def changes_in_an_hour(state: AlertState, now_ns: int) -> int:
    """How often the state changed in the hour before `now_ns`, told or not; `MOST_CHANGES` may be more."""
    return sum(0 <= now_ns - at_ns < _HOUR_NS for at_ns in state.changes_ns)


def is_held_back(state: AlertState, now_ns: int) -> bool:
    """Whether a change has to last before it is told, as the subject is flapping and that has been told."""
    return changes_in_an_hour(state, now_ns) > FLAPPING_CHANGES + 1


def _announce(state: AlertState, observed: Observation, since_ns: int) -> tuple[AlertState, Announcement]:
    began_ns = state.problem_since_ns if state.problem_since_ns is not None else since_ns
    changes = changes_in_an_hour(state, observed.at_ns)
    after = replace(
        state,
        announced=observed.state,
        severity=observed.severity,
        since_ns=since_ns,
        reason=observed.reason,
        problem_since_ns=None if observed.ok else began_ns,
        untold=None,
        untold_since_ns=None,
        notified_ns=observed.at_ns,
    )
    return after, Announcement(
        event=_transition(state.announced == OK, observed.ok).event,
        observed=observed,
        previous=state.announced,
        previous_severity=state.severity,
        previous_reason=state.reason,
        since_ns=since_ns,
        duration_s=_length_s(began_ns, since_ns) if observed.ok else None,
        flapping=changes if changes > FLAPPING_CHANGES else 0,
    )


def _is_reminder_due(state: AlertState, observed: Observation, policy: Policy) -> bool:
    if policy.remind_s is None or observed.ok or observed.state != state.announced:
        return False
    told_ns = state.since_ns if state.notified_ns is None else state.notified_ns
    # A moment that is still to come was noted by a clock that was ahead of this one.
    return not 0 <= observed.at_ns - told_ns < policy.remind_s * NS_PER_S


def _remind(state: AlertState, observed: Observation) -> tuple[AlertState, Announcement]:
    began_ns = state.since_ns if state.problem_since_ns is None else state.problem_since_ns
    return replace(state, notified_ns=observed.at_ns), Announcement(
        event=Event.REMINDER,
        observed=observed,
        previous=state.announced,
        previous_severity=state.severity,
        previous_reason=state.reason,
        since_ns=state.since_ns,
        duration_s=_length_s(began_ns, observed.at_ns),
    )


def _length_s(began_ns: int, ended_ns: int) -> float | None:
    """Unknown where it would have begun later: an earlier boot noted that, by a clock that was ahead of this one."""
    return (ended_ns - began_ns) / NS_PER_S if ended_ns >= began_ns else None


def _transition(ok_before: bool, ok_now: bool) -> Transition:
    return next(t for t in TRANSITIONS if (t.ok_before, t.ok_now) == (ok_before, ok_now))
