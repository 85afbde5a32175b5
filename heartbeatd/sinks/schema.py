"""The database's layout, and how a file gets there: from nothing, or from the earlier agent's hands."""

import sqlite3
from collections.abc import Sequence

from heartbeatd.sinks import history

# PRAGMA user_version. The earlier agent left it at 0; 1 had no table run; 2 had no roll-ups, and no index on the time.
VERSION = 3
# Small pages: a cycle changes one page in each of five trees, and each changed page is written whole. Measured: 7 kB a cycle
# in place of 23 with SQLite's own 4096. Only a new file takes them.
PAGE_BYTES = 1024

# Name and type of each column of `metrics`, in order: a promise (see heartbeatd(8), and the README).
METRICS: tuple[tuple[str, str], ...] = (
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
_NAMES = tuple(name for name, _ in METRICS)

_BESIDE = """
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
CREATE TABLE IF NOT EXISTS takeover (
    last_rowid INTEGER NOT NULL,
    at_ns INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS run (
    latest INTEGER PRIMARY KEY CHECK (latest = 1),
    boot_id TEXT NOT NULL,
    ended_ns INTEGER
);
"""


class NotOurs(Exception):
    """The file is a database, but not one this version can use; the text says why."""


def found(connection: sqlite3.Connection) -> None:
    """Say how a database that has nothing in it yet is to be laid out; has to come before all else."""
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that deleted rows give their space back


def prepare(connection: sqlite3.Connection, now_ns: int) -> int | None:
    """Bring an open database up to date, in one transaction. The number of rows taken over, or None if it was ours already.

    Raises NotOurs if a newer version wrote it, or if its table `metrics` lacks a column; sqlite3.Error as SQLite does.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return None
    if version > VERSION:
        raise NotOurs(f"it was written by a newer heartbeatd (schema {version}, this one knows {VERSION})")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == VERSION:  # somebody else was faster
            connection.execute("ROLLBACK")
            return None
        for statement in _BESIDE.split(";"):
            connection.execute(statement)
        taken_over = _metrics(connection, now_ns) if version == 0 else None
        connection.execute("CREATE INDEX IF NOT EXISTS metrics_by_time ON metrics (timestamp_lima)")
        history.create(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # broken off, SQLite has rolled back itself
            connection.execute("ROLLBACK")
        raise
    return taken_over


def _metrics(connection: sqlite3.Connection, now_ns: int) -> int | None:
    columns = connection.execute("PRAGMA table_info(metrics)").fetchall()
    if not columns:
        connection.execute(_create("metrics", ()))
        return None
    missing = [name for name in _NAMES if name not in {column[1] for column in columns}]
    if missing:
        raise NotOurs(f"its table metrics has no column {', '.join(missing)}")
    if not _fits(columns):
        _rebuild(connection, columns)
    # The earlier agent wrote -1 where it could not count.
    connection.execute("UPDATE metrics SET container_count = NULL WHERE container_count < 0")
    rows, last = connection.execute("SELECT count(*), coalesce(max(rowid), 0) FROM metrics").fetchone()
    connection.execute("INSERT INTO takeover VALUES (?, ?)", (last, now_ns))
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
