"""The database's layout, and how a file gets there: from nothing, from the earlier agent's hands, or from an older version.

Theory of operation. A ladder: `PRAGMA user_version` says how many steps of `MIGRATIONS` a file has behind it, and the others are
done in order, all in one transaction, so a file is of one version or of another, never in between. A new file and the earlier
agent's are at 0. A file that was made anew from a dump has lost its number, not its tables: each step finds its own work done
without harm.
"""

import sqlite3

from heartbeatd.core import metrics
from heartbeatd.store.steps import MIGRATIONS
from heartbeatd.store.tables import IncompatibleDatabase, has_table

# Small pages: a cycle changes one page in each of three trees, and each changed page is written whole. Measured: 5 kB a cycle
# in place of 15 with SQLite's own 4096. Only a new file takes them.
PAGE_BYTES = 1024

# Name and type of each column of `metrics`, in order: a promise (see heartbeatd(8), and the README).
METRICS: tuple[tuple[str, str], ...] = (
    ("id", "TEXT"),
    ("timestamp_lima", "TEXT"),
    *((metric.name, str(metric.kind)) for metric in metrics.METRICS),
    ("worker_status", "INTEGER"),
    ("cycle_duration_ms", "REAL"),
)


def configure_new_file(connection: sqlite3.Connection) -> None:
    """Say how a database that has nothing in it yet is to be laid out; has to come before all else."""
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that deleted rows give their space back


def migrate(connection: sqlite3.Connection, now_ns: int) -> int | None:
    """Bring an open database up to date, in one transaction. The number of rows taken over, or None if it was ours already.

    Raises IncompatibleDatabase if a newer version wrote it, or if its table `metrics` lacks a column; sqlite3.Error as
    SQLite does. Whatever it raises, the file is as it was.
    """
    if _version(connection) == len(MIGRATIONS):
        return None
    connection.create_function("now_ns", 0, lambda: now_ns)
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # somebody else may have been faster
        ours_before = version > 0 or has_table(connection, "takeover")
        for step in MIGRATIONS[version:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        rows = None if ours_before else _rows_taken_over(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # broken off, SQLite has rolled back itself
            connection.execute("ROLLBACK")
        raise
    return rows


def _version(connection: sqlite3.Connection) -> int:
    """How many steps are done. Raises IncompatibleDatabase if that is more than this version knows."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= len(MIGRATIONS):
        raise IncompatibleDatabase(
            f"it was written by a newer heartbeatd (schema {version}, this one knows {len(MIGRATIONS)})"
        )
    return int(version)


def _rows_taken_over(connection: sqlite3.Connection) -> int | None:
    """How many rows of the earlier agent there are; None in a new file."""
    if connection.execute("SELECT 1 FROM takeover").fetchone() is None:
        return None
    (rows,) = connection.execute("SELECT count(*) FROM metrics").fetchone()
    return int(rows)
