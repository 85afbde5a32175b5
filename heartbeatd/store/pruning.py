"""What is too old goes, a bounded number of rows at a time, and gives its space back."""

import sqlite3

from heartbeatd.core.retention import QUEUE_MOST, RetentionCutoff, cutoff
from heartbeatd.store.records import LAST_STAMP, PENDING
from heartbeatd.store.rollups import HOUR

SPARE_PAGES = 256  # of empty ones: where as many rows go as come, they are filled again, and moving others costs writes
VACUUM_PAGES = 512  # likewise; more than PRUNE_ROWS leave empty
PRUNE_ROWS = 500  # per pass: what is deleted at once must not be felt in the cycle


def prune(connection: sqlite3.Connection, keep: RetentionCutoff) -> tuple[int, int]:
    """How many rows went, and how many undelivered alerts."""
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
        connection.execute(
            "DELETE FROM alerts WHERE number IN (SELECT number FROM alerts"
            " WHERE coalesce(delivered_ns, set_aside_ns) < ? ORDER BY number LIMIT ?)",
            (keep.since_ns, PRUNE_ROWS),
        )
        _give_space_back(connection)
    given_up = connection.execute(
        f"DELETE FROM alerts WHERE {PENDING} AND number <= (SELECT number FROM alerts"
        f" WHERE {PENDING} ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (QUEUE_MOST,),
    ).rowcount
    return pruned, given_up


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
