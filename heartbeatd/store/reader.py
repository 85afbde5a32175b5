"""The database as people's commands read it: whatever is in the file, it takes bounded time and memory, and ends in an answer.

The file belongs to the agent's user, so whoever takes over the agent can put anything there: a FIFO, a link to somebody
else's file, a view named `metrics` that never ends, a value of a gigabyte. Therefore only a regular file is opened, only real
tables without generated columns are read, SQLite is held to limits and to a deadline, and each value that is not what its
column should hold is unknown (None). Texts come as they are: see `core.plain`.
"""

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.core.subject import Severity, Subject
from heartbeatd.errors import Problem, StoreError
from heartbeatd.store.cells import Cell, cells, severity_of, text_of, whole, word
from heartbeatd.store.guard import HISTORY, TABLES, limit, require_real_files, require_real_tables
from heartbeatd.store.migrations import METRICS
from heartbeatd.store.read_errors import NoDatabaseError, reported
from heartbeatd.store.rollups import Period

BUSY_S = 1.0


MOST_SUBJECTS = 1000
_WAITING = "delivered_ns IS NULL AND set_aside_ns IS NULL"
_ROW = tuple((name, "TIME" if name == "timestamp_lima" else kind) for name, kind in METRICS)


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
        return cells(_ROW, found[0]) if found else None

    def announced(self) -> tuple[Announced, ...]:
        """What was last announced of each subject, `MOST_SUBJECTS` of them."""
        query = "SELECT subject, announced, severity, since_ns FROM alert_state ORDER BY subject LIMIT ?"
        return tuple(
            Announced(
                Subject.parse(subject),
                word(state),
                severity_of(severity),
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
        return Queue(whole(waiting) or 0, text_of(errors[0][0]) or "unknown" if errors else None)

    def fate(self, event_id: str) -> Fate | None:
        """None if there is no such alert."""
        found = self._all("SELECT delivered_ns, last_error FROM alerts WHERE event_id = ? LIMIT 1", event_id)
        return Fate(found[0][0] is not None, text_of(found[0][1])) if found else None

    def history(self, period: Period, since: str, until: str, most: int) -> list[dict[str, Cell]]:
        """The hours or days from the one named `since` to the one named `until`, the oldest first, `most` of them.

        Each has all its columns by name.
        """
        names = ", ".join(name for name, _ in HISTORY)
        query = f"SELECT {names} FROM {period.table} WHERE start >= ? AND start <= ? ORDER BY start LIMIT ?"
        with reported(self.path):  # cell by cell, for all rows as they are may be gigabytes
            rows = self._connection.execute(query, (since, until, most))
            return [cells(HISTORY, values) for values in rows]

    def _all(self, query: str, *values: str | int) -> list[tuple[object, ...]]:
        with reported(self.path):
            return self._connection.execute(query, values).fetchall()


def open_to_read(path: Path) -> sqlite3.Connection:
    """A guarded read-only connection, which can neither change the database nor hold the agent up. Raises as `Reader.open`."""
    with reported(path):
        require_real_files(path)
        # A database that was closed cleanly has no WAL, and without write access SQLite could not make one to look.
        mode = "mode=ro" if Path(f"{path}-wal").exists() or os.access(path.parent, os.W_OK) else "mode=ro&immutable=1"
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=BUSY_S)
        try:
            limit(connection)
            require_real_tables(connection)
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
