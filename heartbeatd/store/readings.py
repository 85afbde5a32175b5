"""Table `readings`: the values of what has no column, each by the second it was read in and the number of its series.

Theory of operation. Some twenty values are read once a minute, so the table is made to be small, and to be added to at its end:
`at` is a number of 4 bytes (seconds since the epoch), a metric and its label are written once, in `series`, and the key begins
with the time, so that what is read together lies on one page or two. Measured with 20 series: 690 kB a day, and five pages of 1
KiB more in the one commit a minute that has any, where a row alone changes three or four. A series that ends keeps its number:
there are few, and the roll-ups name them for ever. Of two values of a series in one second the first stays, so what is written
twice counts once.
"""

import sqlite3
from collections.abc import Iterable

from heartbeatd.core.metrics import Series
from heartbeatd.core.sample import Readings
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.timefmt import from_iso

_NEW = "INSERT INTO series (metric, label) VALUES (?, ?) ON CONFLICT DO NOTHING"
_NUMBER = "SELECT number FROM series WHERE metric = ? AND label = ?"
_ADD = "INSERT OR IGNORE INTO readings VALUES (?, ?, ?)"  # what is no number is NULL to SQLite, and left out
_PRUNE = (
    "DELETE FROM readings WHERE (at, series) IN"
    " (SELECT at, series FROM readings WHERE at < ? ORDER BY at, series LIMIT ?)"
)


def second_of(timestamp_lima: str) -> int:
    """`at` of what was read then. Raises ValueError for what is no moment."""
    return from_iso(timestamp_lima) // NS_PER_S


class ReadingsTable:
    """The table as the writer has it: it knows the numbers it has used."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[Series, int] = {}

    def forget(self) -> None:
        """A transaction was rolled back, and perhaps numbers with it."""
        self._numbers.clear()

    def add(self, readings: Iterable[Readings]) -> None:
        """In the transaction that is under way."""
        for one in readings:
            at = second_of(one.timestamp_lima)
            values = [(at, self._number(series), value) for series, value in one.values.items()]
            self._connection.executemany(_ADD, sorted(values))

    def _number(self, series: Series) -> int:
        number = self._numbers.get(series)
        if number is None:
            # A name on the disk may be no UTF-8, and then its text cannot be stored as it is.
            names = (series.metric, series.label.encode(errors="replace").decode())
            self._connection.execute(_NEW, names)
            (number,) = self._connection.execute(_NUMBER, names).fetchone()
            self._numbers[series] = number
        return number


def prune(connection: sqlite3.Connection, before: int, most: int) -> int:
    """How many of those before that second went: the oldest, `most` at a time."""
    return connection.execute(_PRUNE, (before, most)).rowcount
