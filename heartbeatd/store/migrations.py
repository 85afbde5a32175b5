"""The database's layout, and how a file gets there: from nothing, from the earlier agent's hands, or from an older version.

Theory of operation. A ladder: `PRAGMA user_version` says how many steps of `MIGRATIONS` a file has behind it, and the others are
done in order, all in one transaction, so a file is of one version or of another, never in between. A new file and the earlier
agent's are at 0. A step is never changed once it was released; whatever comes next is a new step at the end. Each step finds its
own work done without harm: a file that was made anew from a dump has lost its number, not its tables.
"""

import sqlite3
from collections.abc import Callable, Sequence

from heartbeatd.core import metrics
from heartbeatd.store import rollups

# Small pages: a cycle changes one page in each of five trees, and each changed page is written whole. Measured: 7 kB a cycle
# in place of 23 with SQLite's own 4096. Only a new file takes them.
PAGE_BYTES = 1024

# Name and type of each column of `metrics`, in order: a promise (see heartbeatd(8), and the README).
METRICS: tuple[tuple[str, str], ...] = (
    ("id", "TEXT"),
    ("timestamp_lima", "TEXT"),
    *((metric.name, str(metric.kind)) for metric in metrics.METRICS),
    ("worker_status", "INTEGER"),
    ("cycle_duration_ms", "REAL"),
)
_NAMES = tuple(name for name, _ in METRICS)

_QUEUE_AND_STATE = """
CREATE TABLE IF NOT EXISTS alert_state (
    subject TEXT PRIMARY KEY,
    announced TEXT NOT NULL,
    since_ns INTEGER NOT NULL,
    cause TEXT,
    problem_since_ns INTEGER,
    streak INTEGER NOT NULL,
    streak_good INTEGER NOT NULL,
    streak_since_ns INTEGER
);
CREATE TABLE IF NOT EXISTS alerts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    queued_ns INTEGER NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    delivered_ns INTEGER
);
CREATE INDEX IF NOT EXISTS alerts_pending ON alerts (number) WHERE delivered_ns IS NULL;
"""
_TAKEOVER = """
CREATE TABLE takeover (
    last_rowid INTEGER NOT NULL,
    at_ns INTEGER NOT NULL
)
"""
_RUN = """
CREATE TABLE IF NOT EXISTS run (
    latest INTEGER PRIMARY KEY CHECK (latest = 1),
    boot_id TEXT NOT NULL,
    ended_ns INTEGER
)
"""
_SET_ASIDE = """
DROP INDEX IF EXISTS alerts_pending;
CREATE INDEX alerts_pending ON alerts (number) WHERE delivered_ns IS NULL AND set_aside_ns IS NULL;
"""


class IncompatibleDatabase(Exception):
    """The file is a database, but not one this version can use; the text says why."""


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
        ours_before = version > 0 or _has(connection, "takeover")
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


def _to_1(connection: sqlite3.Connection) -> None:
    """The rows, in a table that fits; the queue and the announced state; since when the rows of the earlier agent are ours."""
    _execute_each(connection, _QUEUE_AND_STATE)
    columns = connection.execute("PRAGMA table_info(metrics)").fetchall()
    if not columns:
        connection.execute(_create("metrics", ()))
    elif missing := [name for name in _NAMES if name not in {column[1] for column in columns}]:
        raise IncompatibleDatabase(f"its table metrics has no column {', '.join(missing)}")
    elif not _fits(columns):
        _rebuild(connection, columns)
    if not _has(connection, "takeover"):
        connection.execute(_TAKEOVER)
        if columns:
            # The earlier agent wrote -1 where it could not count.
            connection.execute("UPDATE metrics SET container_count = NULL WHERE container_count < 0")
            connection.execute("INSERT INTO takeover SELECT coalesce(max(rowid), 0), now_ns() FROM metrics")


def _to_2(connection: sqlite3.Connection) -> None:
    """When a run began and ended."""
    connection.execute(_RUN)


def _to_3(connection: sqlite3.Connection) -> None:
    """Roll-ups, and an index on the time."""
    connection.execute("CREATE INDEX IF NOT EXISTS metrics_by_time ON metrics (timestamp_lima)")
    if not _has(connection, rollups.HOUR.table):
        rollups.create(connection)


def _to_4(connection: sqlite3.Connection) -> None:
    """When an alert was set aside: it is not sent any more, for the reason in `last_error`."""
    _add_columns(connection, "alerts", set_aside_ns="INTEGER")
    _execute_each(connection, _SET_ASIDE)


def _to_5(connection: sqlite3.Connection) -> None:
    """What a flapping Worker changed to, and when; by which clock a run and an alert were noted: what it showed at boot."""
    _add_columns(
        connection, "alert_state", streak_state="TEXT", untold="TEXT", untold_since_ns="INTEGER", changes_ns="TEXT"
    )
    if "streak_good" in _columns(connection, "alert_state"):
        connection.execute("ALTER TABLE alert_state DROP COLUMN streak_good")
    _add_columns(connection, "run", booted_ns="INTEGER")
    _add_columns(connection, "alerts", boot_id="TEXT", booted_ns="INTEGER")


def _to_6(connection: sqlite3.Connection) -> None:
    """How bad the announced state is: until here there was one subject, and its states tell."""
    _add_columns(connection, "alert_state", severity="TEXT")
    connection.execute(
        "UPDATE alert_state SET severity = CASE announced WHEN 'ok' THEN 'ok' WHEN 'degraded' THEN 'warning' ELSE 'critical' END"
        " WHERE severity IS NULL"
    )


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_to_1, _to_2, _to_3, _to_4, _to_5, _to_6)


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {column[1] for column in connection.execute(f"PRAGMA table_info({table})")}


def _add_columns(connection: sqlite3.Connection, table: str, **kinds: str) -> None:
    """Those that are not there yet, empty."""
    there = _columns(connection, table)
    for name, kind in kinds.items():
        if name not in there:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def _execute_each(connection: sqlite3.Connection, statements: str) -> None:
    """One by one: executescript() would commit what is under way."""
    for statement in statements.split(";"):
        connection.execute(statement)


def _has(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


def _rows_taken_over(connection: sqlite3.Connection) -> int | None:
    """How many rows of the earlier agent there are; None in a new file."""
    if connection.execute("SELECT 1 FROM takeover").fetchone() is None:
        return None
    (rows,) = connection.execute("SELECT count(*) FROM metrics").fetchone()
    return int(rows)


def _fits(columns: Sequence[tuple[int, str, str, int, object, int]]) -> bool:
    """True if the eleven come first, with our types, NULL allowed wherever we write it, and `id` alone as the key."""
    return all(
        (name, kind.upper()) == ours
        and (key > 0) == (name == "id")
        and (not notnull or name in ("id", "timestamp_lima"))
        for (_, name, kind, notnull, _, key), ours in zip(columns, METRICS, strict=False)
    ) and not any(notnull for _, _, _, notnull, default, _ in columns[len(METRICS) :] if default is None)


def _rebuild(connection: sqlite3.Connection, columns: Sequence[tuple[int, str, str, int, object, int]]) -> None:
    """Copy the rows into a table that fits, further columns behind the eleven; row ids, and so the order, are kept."""
    further = [(column[1], column[2]) for column in columns if column[1] not in _NAMES]
    names = ", ".join(_quoted(name) for name in (*_NAMES, *(name for name, _ in further)))
    connection.execute(_create("metrics_new", further))
    connection.execute(f"INSERT INTO metrics_new (rowid, {names}) SELECT rowid, {names} FROM metrics ORDER BY rowid")
    connection.execute("DROP TABLE metrics")
    connection.execute("ALTER TABLE metrics_new RENAME TO metrics")


def _create(table: str, further: Sequence[tuple[str, str]]) -> str:
    columns = [f"{name} {kind}" + (" PRIMARY KEY" if name == "id" else "") for name, kind in METRICS]
    columns += [f"{_quoted(name)} {kind}" for name, kind in further]
    return f"CREATE TABLE {table} ({', '.join(columns)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
