"""Rows, notifications and alert states as SQLite has them: the statements, and the way of the values in and out."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.gap import GapKind, Resumption, Run, UntoldGap
from heartbeatd.core.subject import Severity, Subject
from heartbeatd.core.timefmt import from_iso
from heartbeatd.store import migrations

INSERT_ROW = (
    f"INSERT INTO metrics ({', '.join(name for name, _ in migrations.METRICS)}) "
    f"VALUES ({', '.join('?' for _ in migrations.METRICS)}) ON CONFLICT (id) DO NOTHING"
)
LAST_STAMP = "SELECT timestamp_lima FROM metrics ORDER BY rowid DESC LIMIT 1"  # of the row that was stored last
STATE = (
    "subject, announced, severity, since_ns, cause, problem_since_ns, streak, streak_state, streak_since_ns,"
    " untold, untold_since_ns, changes_ns, notified_ns"
)
REPLACE_STATE = f"INSERT OR REPLACE INTO alert_state ({STATE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
UNTOLD = "boot_id, last_row_ns, ended, booted_ns, resumed_boot_id, resumed_boot_ns, resumed_booted_ns, cause, result"
INSERT_UNTOLD = f"INSERT INTO untold_gap ({UNTOLD}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
# dataclasses.astuple() copies each value, and costs more than the row's way into SQLite.
values_of_row = attrgetter(*(name for name, _ in migrations.METRICS))


def values_of_state(state: AlertState) -> tuple[object, ...]:
    changes = " ".join(map(str, state.changes_ns)) or None
    return (
        *(str(state.subject), state.announced, state.severity, state.since_ns, state.reason, state.problem_since_ns),
        *(state.streak, state.streak_state, state.streak_since_ns, state.untold, state.untold_since_ns, changes),
        state.notified_ns,
    )


def state_of_values(values: Sequence[Any]) -> AlertState:
    """Raises ValueError for what is no alert state."""
    (
        subject,
        announced,
        severity,
        since_ns,
        reason,
        problem_since_ns,
        streak,
        streak_state,
        streak_since_ns,
        *flapping,
    ) = values
    untold, untold_since_ns, changes, notified_ns = flapping
    return AlertState(
        subject=Subject.parse(subject),
        announced=announced,
        severity=Severity(severity),
        since_ns=since_ns,
        reason=reason,
        problem_since_ns=problem_since_ns,
        streak=streak,
        streak_state=streak_state,
        streak_since_ns=streak_since_ns,
        untold=untold,
        untold_since_ns=untold_since_ns,
        changes_ns=tuple(map(int, changes.split())) if changes else (),
        notified_ns=notified_ns,
    )


def values_of_untold(gap: UntoldGap) -> tuple[object, ...]:
    run, first = gap.run, gap.resumed
    told = (None,) * 5 if first is None else (first.boot_id, first.boot_ns, first.booted_ns, first.kind, first.result)
    return (run.boot_id, run.last_row_ns, run.ended, run.booted_ns, *told)


def untold_of_values(values: Sequence[Any]) -> UntoldGap:
    """Raises ValueError for what is no untold gap."""
    boot_id, last_row_ns, ended, booted_ns, now_boot_id, boot_ns, now_booted_ns, cause, result = values
    run = Run(boot_id, last_row_ns, bool(ended), booted_ns)
    if cause is None:
        return UntoldGap(run)
    return UntoldGap(run, Resumption(now_boot_id, boot_ns, now_booted_ns, GapKind(cause), result))


def moment_of(text: object) -> int | None:
    """The moment a row names; None if it names none."""
    try:
        return from_iso(str(text))
    except (ValueError, TypeError):
        return None
