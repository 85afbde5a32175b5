"""The alert state of a subject, as the database keeps it, and its moments when the wall clock is stepped."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from heartbeatd.core.subject import OK, Severity, Subject


@dataclass(frozen=True, slots=True)
class AlertState:
    """What has been announced of a subject, and what is building up against it. Kept in the database.

    `untold` is the state that enough cycles agreed on, since `untold_since_ns`, where it is another than the announced one: while
    the subject is flapping or silenced. `changes_ns` are the moments of the last hour at which its state changed, announced or
    not. `streak` counts the latest consecutive cycles at odds with it, `streak_since_ns` is the first of them, `streak_state`
    what the latest saw. `problem_since_ns` is when it was last seen to leave `ok`, or None while `ok` is announced.
    `notified_ns` is when it was last told, as a change or again; None if it never was, or by version 0.1.
    """

    subject: Subject
    announced: str
    severity: Severity
    since_ns: int
    reason: str | None = None
    problem_since_ns: int | None = None
    streak: int = 0
    streak_state: str | None = None
    streak_since_ns: int | None = None
    untold: str | None = None
    untold_since_ns: int | None = None
    changes_ns: tuple[int, ...] = ()
    notified_ns: int | None = None

    @property
    def current(self) -> str:
        """The state that enough cycles agreed on last."""
        return self.announced if self.untold is None else self.untold

    @property
    def at_rest(self) -> bool:
        """True if it is ok, and nothing is building up against that."""
        return self.current == OK and not self.streak


AlertStates = Mapping[Subject, AlertState]


def moments(state: AlertState) -> frozenset[int]:
    """Every moment (ns) that the state has noted."""
    once = (state.since_ns, state.problem_since_ns, state.streak_since_ns, state.untold_since_ns, state.notified_ns)
    found = (*once, *state.changes_ns)
    return frozenset(at_ns for at_ns in found if at_ns is not None)


def shifted(state: AlertState, by_ns: int, fixed: frozenset[int] = frozenset()) -> AlertState:
    """The state after the wall clock was stepped by `by_ns`: its moments move along, so that lengths of time stay true.

    `fixed` are those that were noted by another clock than the one stepped, in an earlier boot: they stay.
    """

    def move(at_ns: int) -> int:
        return at_ns if at_ns in fixed else at_ns + by_ns

    return replace(
        state,
        since_ns=move(state.since_ns),
        problem_since_ns=None if state.problem_since_ns is None else move(state.problem_since_ns),
        streak_since_ns=None if state.streak_since_ns is None else move(state.streak_since_ns),
        untold_since_ns=None if state.untold_since_ns is None else move(state.untold_since_ns),
        notified_ns=None if state.notified_ns is None else move(state.notified_ns),
        changes_ns=tuple(map(move, state.changes_ns)),
    )
