"""Silences as SQLite has them, see `core.silence`: one row each. Those that have ended go when the next one comes."""

import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter

from heartbeatd.core.silence import Silence
from heartbeatd.store.cells import moment_ns, text_of

MOST = 1000
COLUMNS = ("id", "pattern", "until_ns", "comment", "created_ns", "who", "boot_id", "booted_ns")
SELECT = f"SELECT {', '.join(COLUMNS)} FROM silences ORDER BY id LIMIT {MOST}"
_INSERT = f"INSERT INTO silences ({', '.join(COLUMNS)}) VALUES ({', '.join('?' for _ in COLUMNS)}) ON CONFLICT (id) DO NOTHING"
_values_of = attrgetter(*COLUMNS)


def put(connection: sqlite3.Connection, silences: Iterable[Silence]) -> None:
    """Those that are not there yet."""
    connection.executemany(_INSERT, map(_values_of, silences))


def remove(connection: sqlite3.Connection, silences: Iterable[Silence]) -> None:
    """Whichever of these are there."""
    connection.executemany("DELETE FROM silences WHERE id = ?", [(silence.id,) for silence in silences])


def read(connection: sqlite3.Connection) -> tuple[Silence, ...]:
    """The oldest first, `MOST` of them."""
    return of_rows(connection.execute(SELECT).fetchall())


def of_rows(rows: Iterable[Sequence[object]]) -> tuple[Silence, ...]:
    """What `SELECT` found; a row that somebody damaged is none."""
    found = map(_of_row, rows)
    return tuple(silence for silence in found if silence is not None)


def _of_row(row: Sequence[object]) -> Silence | None:
    identity, pattern, until, comment, created, who, boot_id, booted = row
    name, until_ns, created_ns = text_of(pattern), moment_ns(until), moment_ns(created)
    if name is None or until_ns is None or created_ns is None:
        return None
    return Silence(
        name,
        until_ns,
        text_of(comment) or "",
        created_ns,
        text_of(who) or "",
        text_of(identity) or "",
        text_of(boot_id) or "",
        moment_ns(booted),
    )
