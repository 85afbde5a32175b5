"""Roll-ups: the least, mean and greatest value of each metric in each hour and each day, so that a year is read in milliseconds.

Theory of operation. An hour is rolled up from its rows, in one statement, and from its readings, in another, when a row of
another hour is stored after them, and a day from its hours, when a row of another day is. So after each commit everything is
rolled up but the hour and the day of the row that was stored last; `reader` adds these. What the database holds tells what
comes next: a kill, another writer or a restart leaves nothing out. Where a row comes late, because the disk was full or the
clock was stepped, its hour is rolled up once more, from all of its rows. Rows are deleted and roll-ups are not: one gives way
only to another of at least as many values.

An hour or a day is named by its beginning in Lima's time, as `timestamp_lima` is, so its name is that text's head: nothing is
computed but the cut. `count` is the number of values that were known; all else is of these. `worker_ok`, which is 1 or 0, is
known in every cycle, so its count is the number of cycles.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from heartbeatd.core.metrics import ROLLED_UP
from heartbeatd.store.readings import second_of


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time, by its name in the table; `head` characters of `timestamp_lima` and `tail` name its beginning."""

    name: str
    head: int
    tail: str

    def start(self, timestamp_lima: str) -> str:
        """E.g. `2026-11-23T15:20:10.000214-05:00` → `2026-11-23T15:00:00-05:00`."""
        return timestamp_lima[: self.head] + self.tail

    def bounds(self, start: str) -> tuple[str, str]:
        """What is in it sorts from the first on and before the second, e.g. `2026-11-23T15:` and `2026-11-23T15;`."""
        head, mark = start[: self.head], self.tail[0]
        return head + mark, head + chr(ord(mark) + 1)


HOUR = Period("hour", len("2026-11-23T15"), ":00:00-05:00")
DAY = Period("day", len("2026-11-23"), "T00:00:00-05:00")
PERIODS = (HOUR, DAY)

# As core.worker has it; a test holds the two together. It is SQL so that it can be asked of an hour's rows at once.
WORKER_OK = "coalesce(worker_status BETWEEN 200 AND 299 AND worker_status NOT IN (220, 221), 0)"
MEASURES = {**{metric.name: metric.name for metric in ROLLED_UP}, "worker_ok": WORKER_OK}

COLUMNS = "metric, label, min, mean, max, count"
# The hour whose rows are from ?1 to ?2.
OF_ROWS = " UNION ALL ".join(
    f"SELECT '{name}' AS metric, '' AS label, min({value}) AS min, avg({value}) AS mean, max({value}) AS max,"
    f" count({value}) AS count FROM metrics WHERE timestamp_lima >= ?1 AND timestamp_lima < ?2 HAVING count({value}) > 0"
    for name, value in MEASURES.items()
)
# What was read from second ?1 to second ?2 and has no column.
OF_READINGS = (
    "SELECT metric, label, min, mean, max, count FROM (SELECT series, min(value) AS min, avg(value) AS mean,"
    " max(value) AS max, count(value) AS count FROM readings WHERE at >= ?1 AND at < ?2 GROUP BY series)"
    " JOIN series ON number = series"
)
_FOLDED = "SELECT metric, label, min(min), sum(mean * count) / sum(count), max(max), sum(count) FROM ({}) GROUP BY metric, label"
_HOURS = "FROM rollups WHERE period = 'hour' AND start >= {} AND start < {}"
# The day whose hours are from ?1 to ?2; and with the hour ?5, whose rows are from ?1 to ?2, that whose hours are from ?3 to ?4.
OF_HOURS = _FOLDED.format(f"SELECT {COLUMNS} {_HOURS.format('?1', '?2')}")
OF_HOURS_AND_ROWS = _FOLDED.format(
    "SELECT metric, label, min, mean, max, max(count) AS count FROM"
    f" (SELECT start, {COLUMNS} {_HOURS.format('?3', '?4')} AND label = '' UNION ALL SELECT ?5, {COLUMNS} FROM ({OF_ROWS}))"
    " GROUP BY start, metric, label"
)
_STORE = (
    "INSERT INTO rollups SELECT '{}', ?3, * FROM ({}) WHERE true ON CONFLICT (period, start, metric, label)"
    " DO UPDATE SET min = excluded.min, mean = excluded.mean, max = excluded.max, count = excluded.count"
    " WHERE excluded.count >= rollups.count"
)
_STORE_OF = {HOUR: _STORE.format(HOUR.name, OF_ROWS), DAY: _STORE.format(DAY.name, OF_HOURS)}

_STORE_READINGS = _STORE.format(HOUR.name, OF_READINGS)
_HOUR_S = 3600


def seconds_of(hour: str) -> tuple[int, int] | None:
    """The first second of an hour and that of the next; None if the text, which somebody may have written, names none."""
    try:
        first = second_of(hour)
    except (ValueError, TypeError, OverflowError):
        return None
    return first, first + _HOUR_S


def roll_up(connection: sqlite3.Connection, stamps: Sequence[str]) -> None:
    """Roll up what is over. `stamps`: `timestamp_lima` of the row that was the last one before, and of those stored since."""
    hours = {HOUR.start(stamp) for stamp in stamps} - {HOUR.start(stamps[-1])}
    _store(connection, HOUR, hours)
    for hour in sorted(hours):
        if (seconds := seconds_of(hour)) is not None:
            connection.execute(_STORE_READINGS, (*seconds, hour))
    _store(connection, DAY, {DAY.start(hour) for hour in hours} - {DAY.start(stamps[-1])})


def _store(connection: sqlite3.Connection, period: Period, starts: set[str]) -> None:
    for start in sorted(starts):
        connection.execute(_STORE_OF[period], (*period.bounds(start), start))
