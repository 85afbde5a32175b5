"""What is too old goes, a bounded number of rows at a time, and gives its space back."""

import sqlite3

from heartbeatd.clock import Clock
from heartbeatd.core.retention import NS_PER_DAY, RetentionCutoff, cutoff
from heartbeatd.store import deliveries, readings, service_checks
from heartbeatd.store.records import LAST_STAMP
from heartbeatd.store.rollups import HOUR, seconds_of

SPARE_PAGES = 256  # of empty ones: where as many rows go as come, they are filled again, and moving others costs writes
VACUUM_PAGES = 512  # likewise; more than PRUNE_ROWS leave empty
FORGET_EVERY = 60  # writes between two looks at what is too old to keep
LEAP_NS = 30 * NS_PER_DAY
PRUNE_ROWS = 500  # per pass: what is deleted at once must not be felt in the cycle


class PruningSchedule:
    """When it is time to look for what is too old."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._writes = 0
        self._from_boot_ns = 0
        self.more_to_prune = False

    def hold_after_a_leap(self, day_ago_ns: int | None) -> None:
        """For a day: rows are not too old because somebody set the clock years ahead, and will set it back.

        It has leapt if the row of a day ago was sampled, as `day_ago_ns` says, more than a month back.
        """
        if day_ago_ns is not None and self._clock.now_ns() - day_ago_ns > LEAP_NS:
            self._from_boot_ns = self._clock.boottime_ns() + NS_PER_DAY

    def next_cutoff(self, days: int) -> RetentionCutoff | None:
        """For the next write: what is to be kept, if it is time to look for what is not."""
        self._writes += 1
        due = self.more_to_prune or self._writes % FORGET_EVERY == 0
        due = due and self._clock.boottime_ns() >= self._from_boot_ns
        return RetentionCutoff(self._clock.now_ns(), days) if due else None


def prune(connection: sqlite3.Connection, keep: RetentionCutoff) -> tuple[int, int]:
    """How many rows went, or how many of a table beside it if those were more, and how many deliveries were given up."""
    found = connection.execute("SELECT at_ns FROM takeover").fetchone()
    before = cutoff(keep, found[0] if found else None)
    pruned = 0
    if before is not None:
        before = min(before, _not_rolled_up(connection) or before)
        # By the index on the time: rows of a clock that ran ahead must not stand in the way of those behind them.
        pruned = connection.execute(
            "DELETE FROM metrics WHERE rowid IN"
            " (SELECT rowid FROM metrics WHERE timestamp_lima < ? ORDER BY timestamp_lima LIMIT ?)",
            (before, PRUNE_ROWS),
        ).rowcount
        pruned = max(pruned, _prune_readings(connection, before))
        if keep.since_ns is not None:
            deliveries.prune(connection, keep.since_ns, PRUNE_ROWS)
        _give_space_back(connection)
    return pruned, deliveries.give_up_oldest(connection)


def _prune_readings(connection: sqlite3.Connection, before: str) -> int:
    """Those of the hours before that one; none if the last row's moment, which somebody may have written, is no moment."""
    hour = seconds_of(HOUR.start(before))
    if hour is None:
        return 0
    return max(readings.prune(connection, hour[0], PRUNE_ROWS), service_checks.prune(connection, hour[0], PRUNE_ROWS))


def _not_rolled_up(connection: sqlite3.Connection) -> str | None:
    """Where the hour begins that is not rolled up yet, see `rollups`; None without one."""
    last = connection.execute(LAST_STAMP).fetchone()
    return HOUR.bounds(last[0])[0] if last and isinstance(last[0], str) else None


def _give_space_back(connection: sqlite3.Connection) -> None:
    """Cut some of the empty pages off the file, but those that the next rows will fill."""
    (empty,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(min(empty - SPARE_PAGES, VACUUM_PAGES)):
        # One page a call: execute() frees no more, and executescript() would commit what is under way.
        connection.execute("PRAGMA incremental_vacuum(1)")
