"""Roll-ups: each hour's and each day's cycles in one row, kept as rows arrive, so that a year is read in a millisecond.

An hour or a day is named by its beginning in Lima's time, as `timestamp_lima` is, so its name is that text's head: nothing is
computed but the cut. They stay when the rows they were made from are deleted. What is unknown is not counted: each value has a
count of its own beside the number of cycles.
"""

import sqlite3
from dataclasses import dataclass

from heartbeatd.core.metrics import ROLLED_UP
from heartbeatd.core.sample import Row
from heartbeatd.core.worker import rule_for

MEASURES = tuple(metric.name for metric in ROLLED_UP)


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time with a table of its own; `head` characters of `timestamp_lima` and `tail` name its beginning."""

    table: str
    head: int
    tail: str

    def start(self, timestamp_lima: str) -> str:
        """E.g. `2026-11-23T15:20:10.000214-05:00` → `2026-11-23T15:00:00-05:00`."""
        return timestamp_lima[: self.head] + self.tail


HOUR = Period("history_hour", len("2026-11-23T15"), ":00:00-05:00")
DAY = Period("history_day", len("2026-11-23"), "T00:00:00-05:00")
PERIODS = (HOUR, DAY)


def add(connection: sqlite3.Connection, row: Row) -> None:
    """Count one more cycle in its hour and its day."""
    values = [(getattr(row, m), int(getattr(row, m) is not None)) for m in MEASURES]
    counted = (1, _worker_ok(row.worker_status), row.internet_ok or 0)
    flat = [x for value, known in values for x in (value, value, value, known)]
    for period in PERIODS:
        connection.execute(_ADD[period.table], (period.start(row.timestamp_lima), *counted, *flat))


def _worker_ok(status: int | None) -> int:
    rule = rule_for(status) if status is not None else None
    return int(rule is not None and rule.state.good)


def _upsert(table: str) -> str:
    """Insert the first cycle of a period, or add one to it; an unknown value leaves the period's own as they are."""
    names = ["start", "cycles", "worker_ok", "internet_ok"]
    sets = [f"{name} = {name} + excluded.{name}" for name in names[1:]]
    for m in MEASURES:
        names += [f"{m}_min", f"{m}_mean", f"{m}_max", f"{m}_count"]
        sets += [
            f"{m}_min = min(coalesce({m}_min, excluded.{m}_min), coalesce(excluded.{m}_min, {m}_min))",
            f"{m}_max = max(coalesce({m}_max, excluded.{m}_max), coalesce(excluded.{m}_max, {m}_max))",
            f"{m}_mean = coalesce((coalesce({m}_mean * {m}_count, 0) + excluded.{m}_mean) / ({m}_count + 1), {m}_mean)",
            f"{m}_count = {m}_count + excluded.{m}_count",
        ]
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})"
        f" ON CONFLICT (start) DO UPDATE SET {', '.join(sets)}"
    )


_ADD = {period.table: _upsert(period.table) for period in PERIODS}
