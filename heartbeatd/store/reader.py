"""The database as people's commands read it: whatever is in the file, it takes bounded time and memory, and ends in an answer.

The file belongs to the agent's user, so whoever takes over the agent can put anything there: a FIFO, a link to somebody
else's file, a view named `metrics` that never ends, a value of a gigabyte. Therefore only a regular file is opened, only real
tables without generated columns are read, SQLite is held to limits and to a deadline, and each value that is not what its
column should hold is unknown (None). Texts come as they are: see `core.plain`.
"""

import contextlib
import os
import pwd
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.core.subject import Severity, Subject
from heartbeatd.core.timefmt import from_iso
from heartbeatd.errors import CorruptStoreError, Problem, StoreError, StoreNotAllowedError
from heartbeatd.files import require_regular
from heartbeatd.store.migrations import METRICS
from heartbeatd.store.rollups import MEASURES, PERIODS, Period

Cell = str | int | float | None

TABLES = ("metrics", "alerts", "alert_state", *(period.table for period in PERIODS))
BUSY_S = 1.0
DEADLINE_S = 10.0  # for all that is read over one connection; ten years of hours take less than one second
LARGEST_VALUE_BYTES = 1 << 20
LONGEST_TEXT = 1000
LARGEST_NUMBER = 1e15
MOST_SUBJECTS = 1000
_WAITING = "delivered_ns IS NULL AND set_aside_ns IS NULL"
_STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock: about a millisecond
_FURTHER = ("min", "mean", "max")
_HISTORY: tuple[tuple[str, str], ...] = (
    ("start", "TIME"),
    *((name, "INTEGER") for name in ("cycles", "worker_ok", "internet_ok")),
    *((f"{m}_{part}", "INTEGER" if part == "count" else "REAL") for m in MEASURES for part in (*_FURTHER, "count")),
)
# The columns that are read, whichever table they are in.
_READ = {
    *(name for name, _ in (*METRICS, *_HISTORY)),
    *(
        "subject",
        "announced",
        "severity",
        "since_ns",
        "number",
        "event_id",
        "last_error",
        "delivered_ns",
        "set_aside_ns",
        "rowid",
    ),
}
_ROW = tuple((name, "TIME" if name == "timestamp_lima" else kind) for name, kind in METRICS)


class NoDatabaseError(StoreError):
    """There is no file yet."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What was last announced of a subject; None where the database holds something else than it should."""

    subject: Subject
    state: str | None
    severity: Severity | None
    since_ns: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """How many alerts have not been delivered, and what the last try to deliver one of them came to."""

    waiting: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Fate:
    """What has become of one alert."""

    delivered: bool
    last_error: str | None


class Reader:
    """An open database. Every method raises StoreError (CorruptStoreError) in place of what SQLite throws."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection

    @classmethod
    def open(cls, path: Path) -> "Reader":
        """Raises NoDatabaseError if there is none yet, StoreNotAllowedError if it is not for this user, else StoreError."""
        return cls(path, open_to_read(path))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def tables(self) -> frozenset[str]:
        """The names of all tables, which tell whose database it is."""
        return frozenset(str(name) for (name,) in self._all("SELECT name FROM sqlite_master WHERE type = 'table'"))

    def last_row(self) -> dict[str, Cell] | None:
        """The row that was stored last, its values by the columns' names; None if there is none."""
        names = ", ".join(name for name, _ in METRICS)
        found = self._all(f"SELECT {names} FROM metrics ORDER BY rowid DESC LIMIT 1")
        return _cells(_ROW, found[0]) if found else None

    def announced(self) -> tuple[Announced, ...]:
        """What was last announced of each subject, `MOST_SUBJECTS` of them."""
        query = "SELECT subject, announced, severity, since_ns FROM alert_state ORDER BY subject LIMIT ?"
        return tuple(
            Announced(
                Subject.parse(subject),
                _word(state),
                _severity(severity),
                since_ns if isinstance(since_ns, int) else None,
            )
            for subject, state, severity, since_ns in self._all(query, MOST_SUBJECTS)
            if isinstance(subject, str)
        )

    def queue(self) -> Queue:
        """Of several alerts with an error, the youngest was tried last: they leave in order."""
        ((waiting,),) = self._all(f"SELECT count(*) FROM alerts WHERE {_WAITING}")
        errors = self._all(
            f"SELECT last_error FROM alerts WHERE {_WAITING} AND last_error IS NOT NULL ORDER BY number DESC LIMIT 1"
        )
        return Queue(_whole(waiting) or 0, _text(errors[0][0]) or "unknown" if errors else None)

    def fate(self, event_id: str) -> Fate | None:
        """None if there is no such alert."""
        found = self._all("SELECT delivered_ns, last_error FROM alerts WHERE event_id = ? LIMIT 1", event_id)
        return Fate(found[0][0] is not None, _text(found[0][1])) if found else None

    def history(self, period: Period, since: str, until: str, most: int) -> list[dict[str, Cell]]:
        """The hours or days from the one named `since` to the one named `until`, the oldest first, `most` of them.

        Each has all its columns by name.
        """
        names = ", ".join(name for name, _ in _HISTORY)
        query = f"SELECT {names} FROM {period.table} WHERE start >= ? AND start <= ? ORDER BY start LIMIT ?"
        with reported(self.path):  # cell by cell, for all rows as they are may be gigabytes
            rows = self._connection.execute(query, (since, until, most))
            return [_cells(_HISTORY, values) for values in rows]

    def _all(self, query: str, *values: str | int) -> list[tuple[object, ...]]:
        with reported(self.path):
            return self._connection.execute(query, values).fetchall()


def open_to_read(path: Path) -> sqlite3.Connection:
    """A guarded read-only connection, which can neither change the database nor hold the agent up. Raises as `Reader.open`."""
    with reported(path):
        _require_real_files(path)
        # A database that was closed cleanly has no WAL, and without write access SQLite could not make one to look.
        mode = "mode=ro" if Path(f"{path}-wal").exists() or os.access(path.parent, os.W_OK) else "mode=ro&immutable=1"
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_S)
        try:
            _limit(connection)
            _require_real_tables(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def limit_memory(most_bytes: int) -> None:
    """Bound what SQLite takes in this process, all connections together, from now on: it can only be lowered after that."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"PRAGMA hard_heap_limit = {most_bytes}")


def require_safe_to_write(path: Path) -> None:
    """For heartbeatctl, before it opens a database to write: it must be what `open_to_read` takes, without a trigger.

    Raises as `Reader.open`, but for a file that does not exist yet.
    """
    with contextlib.suppress(NoDatabaseError), contextlib.closing(Reader.open(path)) as reader:
        marks = ", ".join("?" for _ in TABLES)
        found = reader._all(
            f"SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) IN ({marks})", *TABLES
        )
        if found:
            raise StoreError(Problem(str(path), "its tables have triggers", "what they would do here is not known"))


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system throw while reading into an error of ours that says what is the matter."""
    try:
        yield
    except FileNotFoundError:
        raise NoDatabaseError(
            Problem(str(path), "there is no database yet", "the agent makes it at its first start")
        ) from None
    except PermissionError:
        raise _not_allowed(path) from None
    except OSError as error:
        raise StoreError(Problem(str(path), error.strerror or str(error))) from None
    except (MemoryError, sqlite3.DataError, OverflowError):
        raise StoreError(Problem(str(path), "it holds more than heartbeatd ever writes", _FOREIGN)) from None
    except sqlite3.Error as error:
        raise _explained(path, error) from None


def _not_allowed(path: Path) -> StoreError:
    user = str(os.geteuid())
    with contextlib.suppress(KeyError):
        user = pwd.getpwuid(os.geteuid()).pw_name
    return StoreNotAllowedError(Problem(str(path), f"the user {user} may not read it"))


_FOREIGN = "it was changed by hand, or is not heartbeatd's"


def _explained(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CorruptStoreError(Problem(str(path), f"database: {error}", "the file is damaged, or something else"))
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH) and not os.access(path, os.R_OK):
        return _not_allowed(path)
    what, hint = f"database: {error}", "see sqlite.org/rescode.html"
    match code:
        case sqlite3.SQLITE_INTERRUPT:
            what, hint = (
                f"it could not be read within {DEADLINE_S:g} s",
                "it is very large, damaged or not heartbeatd's",
            )
        case sqlite3.SQLITE_NOMEM | sqlite3.SQLITE_TOOBIG:
            what, hint = "it holds more than heartbeatd ever writes", _FOREIGN
        case sqlite3.SQLITE_BUSY:
            hint = "another process holds it locked: find it with `fuser`"
        case sqlite3.SQLITE_ERROR:
            what = f"it is not a database of this version of heartbeatd: {error}"
            hint = "the agent brings an earlier one up to date at its first start"
    return StoreError(Problem(str(path), what, hint))


def _require_real_files(path: Path) -> None:
    """Raises OSError unless the database is a regular file, reached by no link of its own, and so is what belongs to it."""
    for file in (path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
        try:
            found = file.lstat()
        except FileNotFoundError:
            if file == path:
                raise
            continue
        if stat.S_ISLNK(found.st_mode):
            raise OSError(0, f"{file.name} is a symbolic link: name the file itself in storage.path")
        require_regular(file)


def _limit(connection: sqlite3.Connection) -> None:
    """Hold SQLite to the limits of this module, from now on."""
    until_s = time.monotonic() + DEADLINE_S
    connection.set_progress_handler(lambda: time.monotonic() > until_s, _STEPS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE_BYTES)
    connection.text_factory = lambda text: text.decode(errors="replace")
    for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")


def _require_real_tables(connection: sqlite3.Connection) -> None:
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


def _cells(columns: Sequence[tuple[str, str]], values: Sequence[object]) -> dict[str, Cell]:
    return {name: _CELL[kind](value) for (name, kind), value in zip(columns, values, strict=True)}


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch("[a-z][a-z -]{0,31}", value) else None


def _severity(value: object) -> Severity | None:
    return next((one for one in Severity if one == value), None)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and abs(value) < LARGEST_NUMBER else None


def _real(value: object) -> float | None:
    known = isinstance(value, int | float) and abs(value) < LARGEST_NUMBER
    return float(value) if known else None  # type: ignore[arg-type]  # a number, as has been seen


def _text(value: object) -> str | None:
    return value[:LONGEST_TEXT] if isinstance(value, str) else None


def _time(value: object) -> str | None:
    try:
        from_iso(str(value))
    except (ValueError, TypeError, OverflowError):
        return None
    return str(value)


# The value as a column of that kind should hold it, or None.
_CELL: dict[str, Callable[[object], Cell]] = {"INTEGER": _whole, "REAL": _real, "TIME": _time, "TEXT": _text}
