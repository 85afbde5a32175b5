"""The first step of the ladder, see `steps`: the earlier agent's file, or a new one, becomes ours."""

import sqlite3
from collections.abc import Sequence

from heartbeatd.store.tables import IncompatibleDatabase, execute_each, has_table

# The columns of `metrics` in the first version.
_METRICS: tuple[tuple[str, str], ...] = (
    ("id", "TEXT"),
    ("timestamp_lima", "TEXT"),
    ("cpu_percent", "REAL"),
    ("ram_percent", "REAL"),
    ("ram_used_mb", "REAL"),
    ("disk_percent", "REAL"),
    ("container_count", "INTEGER"),
    ("internet_ok", "INTEGER"),
    ("ping_ms", "REAL"),
    ("worker_status", "INTEGER"),
    ("cycle_duration_ms", "REAL"),
)
_NAMES = tuple(name for name, _ in _METRICS)
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


def to_1(connection: sqlite3.Connection) -> None:
    """The rows, in a table that fits; the queue and the announced state; since when the rows of the earlier agent are ours."""
    execute_each(connection, _QUEUE_AND_STATE)
    columns = connection.execute("PRAGMA table_info(metrics)").fetchall()
    if not columns:
        connection.execute(_create("metrics", ()))
    elif missing := [name for name in _NAMES if name not in {column[1] for column in columns}]:
        raise IncompatibleDatabase(f"its table metrics has no column {', '.join(missing)}")
    elif not _fits(columns):
        _rebuild(connection, columns)
    if not has_table(connection, "takeover"):
        connection.execute(_TAKEOVER)
        if columns:
            # The earlier agent wrote -1 where it could not count.
            connection.execute("UPDATE metrics SET container_count = NULL WHERE container_count < 0")
            connection.execute("INSERT INTO takeover SELECT coalesce(max(rowid), 0), now_ns() FROM metrics")


def _fits(columns: Sequence[tuple[int, str, str, int, object, int]]) -> bool:
    """True if the eleven come first, with our types, NULL allowed wherever we write it, and `id` alone as the key."""
    return all(
        (name, kind.upper()) == ours
        and (key > 0) == (name == "id")
        and (not notnull or name in ("id", "timestamp_lima"))
        for (_, name, kind, notnull, _, key), ours in zip(columns, _METRICS, strict=False)
    ) and not any(notnull for _, _, _, notnull, default, _ in columns[len(_METRICS) :] if default is None)


def _rebuild(connection: sqlite3.Connection, columns: Sequence[tuple[int, str, str, int, object, int]]) -> None:
    """Copy the rows into a table that fits, further columns behind the eleven; row ids, and so the order, are kept."""
    further = [(column[1], column[2]) for column in columns if column[1] not in _NAMES]
    names = ", ".join(_quoted(name) for name in (*_NAMES, *(name for name, _ in further)))
    connection.execute(_create("metrics_new", further))
    connection.execute(f"INSERT INTO metrics_new (rowid, {names}) SELECT rowid, {names} FROM metrics ORDER BY rowid")
    connection.execute("DROP TABLE metrics")
    connection.execute("ALTER TABLE metrics_new RENAME TO metrics")


def _create(table: str, further: Sequence[tuple[str, str]]) -> str:
    columns = [f"{name} {kind}" + (" PRIMARY KEY" if name == "id" else "") for name, kind in _METRICS]
    columns += [f"{_quoted(name)} {kind}" for name, kind in further]
    return f"CREATE TABLE {table} ({', '.join(columns)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
