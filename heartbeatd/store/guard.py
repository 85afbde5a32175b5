"""What is looked at before the database is read for people, and what SQLite is held to: see `reader`."""

import sqlite3
import stat
import time
from pathlib import Path

from heartbeatd.files import require_regular
from heartbeatd.store import silences
from heartbeatd.store.disk_files import beside, resolve_link
from heartbeatd.store.migrations import METRICS

TABLES = (
    *("metrics", "notifications", "deliveries", "alert_state", "rollups", "readings", "series", "silences"),
    "service_checks",
)
DEADLINE_S = 10.0  # for all that is read over one connection; ten years of hours take less than one second
LARGEST_VALUE_BYTES = 1 << 20
_STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock: about a millisecond
# The columns that are read, whichever table they are in.
_READ = {
    *(name for name, _ in METRICS),
    *("subject", "announced", "severity", "since_ns"),
    *(
        "number",
        "event_id",
        "channel",
        "attempts",
        "next_try_ns",
        "last_error",
        "delivered_ns",
        "set_aside_ns",
        "rowid",
    ),
    *("period", "start", "metric", "label", "min", "mean", "max", "count", "at", "series", "value"),
    *silences.COLUMNS,
    *("name", "status", "took_ms", "cause"),
}


def require_real_files(path: Path) -> Path:
    """The database itself, if it is a regular file, and so is what belongs to it. Raises OSError if not; see `resolve_link`."""
    real = resolve_link(path)
    require_regular(real)
    for file in (beside(real, suffix) for suffix in ("-wal", "-shm", "-journal")):
        try:
            found = file.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(found.st_mode):
            raise OSError(0, f"{file.name} is a symbolic link, which SQLite never makes: remove it")
        require_regular(file)
    return real


def limit(connection: sqlite3.Connection) -> None:
    """Hold SQLite to the limits of this module, from now on."""
    until_s = time.monotonic() + DEADLINE_S
    connection.set_progress_handler(lambda: time.monotonic() > until_s, _STEPS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE_BYTES)
    connection.text_factory = lambda text: text.decode(errors="replace")
    for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")


def require_real_tables(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.OperationalError if one of our names is not a table, or what is read of it is computed at that moment.

    SQLite's own list of tables would look into each view for it. What the schema says is what SQLite goes by.
    """
    marks = ", ".join("?" for _ in TABLES)
    query = f"SELECT name, type, rootpage, substr(sql, 1, 13) FROM sqlite_master WHERE lower(name) IN ({marks})"
    seen = set()
    for name, kind, page, begin in connection.execute(query, TABLES).fetchall():
        real = kind == "table" and isinstance(page, int) and page > 0 and str(begin).upper() == "CREATE TABLE "
        if not real or name.lower() in seen:
            raise sqlite3.OperationalError(f"{name} is not a table")
        seen.add(name.lower())
        columns = connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
        if any(column[6] and column[1].lower() in _READ for column in columns):
            raise sqlite3.OperationalError(f"{name} has generated columns")
