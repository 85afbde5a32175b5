"""The steps of the ladder, see `migrations`: each makes of a file what the version that brought the step made of it.

A step that was released is frozen: it is written out in full, and depends on nothing that may change later, such as the table of
metrics. What comes next is a new step at the end.
"""

import sqlite3
from collections.abc import Callable

from heartbeatd.store import wide_rollups
from heartbeatd.store.first_step import to_1
from heartbeatd.store.tables import add_columns, columns, execute_each, has_table

_RUN = """
CREATE TABLE IF NOT EXISTS run (
    latest INTEGER PRIMARY KEY CHECK (latest = 1),
    boot_id TEXT NOT NULL,
    ended_ns INTEGER
)
"""
_UNTOLD_GAP = """
CREATE TABLE IF NOT EXISTS untold_gap (
    number INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL,
    last_row_ns INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    booted_ns INTEGER,
    resumed_boot_id TEXT,
    resumed_boot_ns INTEGER,
    resumed_booted_ns INTEGER,
    cause TEXT,
    result TEXT
)
"""
_SET_ASIDE = """
DROP INDEX IF EXISTS alerts_pending;
CREATE INDEX alerts_pending ON alerts (number) WHERE delivered_ns IS NULL AND set_aside_ns IS NULL;
"""
_ROLLUPS = """
CREATE TABLE IF NOT EXISTS rollups (
    period TEXT NOT NULL,
    start TEXT NOT NULL,
    metric TEXT NOT NULL,
    label TEXT NOT NULL,
    min REAL,
    mean REAL,
    max REAL,
    count INTEGER NOT NULL,
    PRIMARY KEY (period, start, metric, label)
) WITHOUT ROWID
"""

_DELIVERIES = """
CREATE TABLE IF NOT EXISTS notifications (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    queued_ns INTEGER NOT NULL,
    body TEXT NOT NULL,
    boot_id TEXT,
    booted_ns INTEGER
);
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER NOT NULL,
    channel TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    late INTEGER NOT NULL DEFAULT 0,
    next_try_ns INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    delivered_ns INTEGER,
    set_aside_ns INTEGER,
    PRIMARY KEY (number, channel)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (number) WHERE delivered_ns IS NULL AND set_aside_ns IS NULL;
INSERT INTO notifications SELECT number, event_id, queued_ns, body, boot_id, booted_ns FROM alerts ORDER BY number;
INSERT INTO deliveries (number, channel, attempts, last_error, delivered_ns, set_aside_ns)
    SELECT number, 'webhook', attempts, last_error, delivered_ns, set_aside_ns FROM alerts;
DROP TABLE alerts
"""
_READINGS = """
CREATE TABLE IF NOT EXISTS series (
    number INTEGER PRIMARY KEY,
    metric TEXT NOT NULL,
    label TEXT NOT NULL,
    UNIQUE (metric, label)
);
CREATE TABLE IF NOT EXISTS readings (
    at INTEGER NOT NULL,
    series INTEGER NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (at, series)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS named_readings AS
    SELECT strftime('%Y-%m-%dT%H:%M:%S', at - 18000, 'unixepoch') || '-05:00' AS timestamp_lima, metric, label, value
    FROM readings JOIN series ON number = series
"""
_SERVICE_CHECKS = """
CREATE TABLE IF NOT EXISTS service_checks (
    at INTEGER NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    took_ms REAL,
    cause TEXT,
    PRIMARY KEY (at, name)
) WITHOUT ROWID
"""

_SILENCES = """
CREATE TABLE IF NOT EXISTS silences (
    id TEXT PRIMARY KEY,
    pattern TEXT NOT NULL,
    until_ns INTEGER NOT NULL,
    comment TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    who TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    booted_ns INTEGER
) WITHOUT ROWID
"""


def to_2(connection: sqlite3.Connection) -> None:
    """When a run began and ended."""
    connection.execute(_RUN)


def to_3(connection: sqlite3.Connection) -> None:
    """Roll-ups, and an index on the time."""
    connection.execute("CREATE INDEX IF NOT EXISTS metrics_by_time ON metrics (timestamp_lima)")
    if not has_table(connection, "history_hour") and not has_table(connection, "rollups"):
        wide_rollups.create_tables(connection)


def to_4(connection: sqlite3.Connection) -> None:
    """When an alert was set aside: it is not sent any more, for the reason in `last_error`."""
    add_columns(connection, "alerts", set_aside_ns="INTEGER")
    execute_each(connection, _SET_ASIDE)


def to_5(connection: sqlite3.Connection) -> None:
    """What a flapping Worker changed to, and when; by which clock a run and an alert were noted: what it showed at boot."""
    add_columns(
        connection, "alert_state", streak_state="TEXT", untold="TEXT", untold_since_ns="INTEGER", changes_ns="TEXT"
    )
    if "streak_good" in columns(connection, "alert_state"):
        connection.execute("ALTER TABLE alert_state DROP COLUMN streak_good")
    add_columns(connection, "run", booted_ns="INTEGER")
    add_columns(connection, "alerts", boot_id="TEXT", booted_ns="INTEGER")


def to_6(connection: sqlite3.Connection) -> None:
    """How bad the announced state is: until here there was one subject, and its states tell."""
    add_columns(connection, "alert_state", severity="TEXT")
    connection.execute(
        "UPDATE alert_state SET severity = CASE announced WHEN 'ok' THEN 'ok' WHEN 'degraded' THEN 'warning' ELSE 'critical' END"
        " WHERE severity IS NULL"
    )


def to_7(connection: sqlite3.Connection) -> None:
    """When the announced state was last told."""
    add_columns(connection, "alert_state", notified_ns="INTEGER")


def to_8(connection: sqlite3.Connection) -> None:
    """The gaps that nobody was told of yet: the run before each, and the first cycle after it."""
    connection.execute(_UNTOLD_GAP)


def to_9(connection: sqlite3.Connection) -> None:
    """Roll-ups in one table, a row for each metric; the two tables before it live on as views, for users' queries."""
    connection.execute(_ROLLUPS)
    for table, period in (("history_hour", "hour"), ("history_day", "day")):
        if has_table(connection, table):
            wide_rollups.move(connection, table, period)
        wide_rollups.create_view(connection, table, period)


def to_10(connection: sqlite3.Connection) -> None:
    """What is told in one table, how far it is on its way to each channel in another; until here the webhook was the only one."""
    execute_each(connection, _DELIVERIES)


def to_11(connection: sqlite3.Connection) -> None:
    """What has no column of `metrics`, see `readings`: each series by a number, and a view that names them for users' queries."""
    execute_each(connection, _READINGS)


def to_12(connection: sqlite3.Connection) -> None:
    """Of what nobody is told for a time, and by which clock that is meant: what it showed at boot."""
    connection.execute(_SILENCES)


def to_13(connection: sqlite3.Connection) -> None:
    """Checks of services, see `service_checks`."""
    execute_each(connection, _SERVICE_CHECKS)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    to_1,
    to_2,
    to_3,
    to_4,
    to_5,
    to_6,
    to_7,
    to_8,
    to_9,
    to_10,
    to_11,
    to_12,
    to_13,
)
