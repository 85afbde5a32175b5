"""The database as people's commands read it: whatever is in the file, it takes bounded time and memory, and ends in an answer.

The file belongs to the agent's user, so whoever takes over the agent can put anything there: a FIFO, a link to somebody
else's file, a view named `metrics` that never ends, a value of a gigabyte. Therefore only a regular file is opened, only real
tables without generated columns are read, SQLite is held to limits and to a deadline, and each value that is not what its
column should hold is unknown (None). Texts come as they are: see `core.plain`.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from heartbeatd.core.metrics import OF_NAME, Series
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.silence import Silence
from heartbeatd.core.subject import Subject
from heartbeatd.errors import Problem, StoreError
from heartbeatd.store import rollups, service_checks, silences
from heartbeatd.store.cells import moment_ns, real, severity_of, text_of, time_of, whole, word
from heartbeatd.store.deliveries import WAITING
from heartbeatd.store.guard import TABLES
from heartbeatd.store.migrations import METRICS
from heartbeatd.store.read_errors import NoDatabaseError, reported
from heartbeatd.store.read_only import open_to_read
from heartbeatd.store.readings import second_of
from heartbeatd.store.records import LAST_STAMP
from heartbeatd.store.results import (
    Announced,
    Queue,
    RollUp,
    StoredCheck,
    StoredDelivery,
    StoredReading,
    StoredRow,
    Summary,
)
from heartbeatd.store.rollups import DAY, HOUR, Period

MOST_SUBJECTS = 1000
_DELIVERIES = (
    "SELECT number, event_id, CASE WHEN json_valid(body) THEN body ->> '$.title' END, channel, attempts, queued_ns, next_try_ns,"
    " delivered_ns, set_aside_ns, last_error FROM deliveries JOIN notifications USING (number)"
)
_ROW = f"SELECT {', '.join(name for name, _ in METRICS)} FROM metrics ORDER BY rowid DESC LIMIT 1"
# The latest of each series from second ?1 to second ?2: SQLite takes `value` from the row that has the max().
_LAST_READINGS = (
    "SELECT metric, label, at, value FROM (SELECT series, max(at) AS at, value FROM readings WHERE at > ? AND at <= ?"
    " GROUP BY series LIMIT ?) JOIN series ON number = series ORDER BY metric, label"
)
_SERIES_ROLL_UPS = (
    "SELECT start, min, mean, max, count FROM rollups WHERE period = ? AND start >= ? AND start <= ? AND metric = ? AND label = ?"
    " ORDER BY start LIMIT ?"
)
_SERIES_NOW = (
    "SELECT min(value), avg(value), max(value), count(value) FROM readings WHERE at >= ? AND at < ?"
    " AND series = (SELECT number FROM series WHERE metric = ? AND label = ?)"
)
LENGTHS_S = {HOUR: 3600, DAY: 86400}
LONGEST_EVERY_S = 2 * 3600  # between two looks at a service, and some
LATEST_S = 3600  # before the last row: what was read last is that young, or it is not read any more
_KNOWN = {"INTEGER": whole, "REAL": real, "TEXT": text_of}
_ROLL_UPS = (
    "SELECT start, metric, min, mean, max, count FROM rollups WHERE period = ? AND start >= ? AND start <= ? AND label = ''"
    " ORDER BY start"
)


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

    def last_row(self) -> StoredRow | None:
        """The row that was stored last; None if there is none."""
        found = self._all(_ROW)
        if not found:
            return None
        known = {name: _KNOWN[kind](value) for (name, kind), value in zip(METRICS, found[0], strict=True)}
        return StoredRow(**{**known, "timestamp_lima": time_of(known["timestamp_lima"])})  # type: ignore[arg-type]  # a test holds its fields to METRICS

    def last_readings(self) -> tuple[StoredReading, ...]:
        """The latest value of each series of a known metric within `LATEST_S` of the last row, `MOST_SUBJECTS` of them."""
        last = self._last_stamp()
        if last is None:
            return ()
        second = second_of(last if time_of(last) else HOUR.start(last))
        return tuple(
            StoredReading(Series(str(metric), text_of(label) or ""), at * NS_PER_S, number)
            for metric, label, at, value in self._all(_LAST_READINGS, second - LATEST_S, second, MOST_SUBJECTS)
            if metric in OF_NAME and isinstance(at, int) and (number := real(value)) is not None
        )

    def last_checks(self) -> tuple[StoredCheck, ...]:
        """The last look at each service within `LONGEST_EVERY_S` of the last row, `MOST_SUBJECTS` of them."""
        last = self._last_stamp()
        if last is None:
            return ()
        second = second_of(last if time_of(last) else HOUR.start(last))
        return tuple(
            StoredCheck(name, at * NS_PER_S, word(status), real(took_ms), word(cause))
            for name, at, status, took_ms, cause in self._all(
                service_checks.LATEST, second - LONGEST_EVERY_S, second + LATEST_S, MOST_SUBJECTS
            )
            if isinstance(name, str) and isinstance(at, int)
        )

    def announced(self) -> tuple[Announced, ...]:
        """What was last announced of each subject, `MOST_SUBJECTS` of them."""
        query = "SELECT subject, announced, severity, since_ns FROM alert_state ORDER BY subject LIMIT ?"
        return tuple(
            Announced(Subject.parse(subject), word(state), severity_of(severity), moment_ns(since_ns))
            for subject, state, severity, since_ns in self._all(query, MOST_SUBJECTS)
            if isinstance(subject, str)
        )

    def last_answer(self, rows: int) -> int | None:
        """The latest status of the Worker in the last so many rows; None if it has answered in none of them."""
        found = self._all(
            "SELECT worker_status FROM metrics WHERE rowid > (SELECT max(rowid) FROM metrics) - ?"
            " AND worker_status IS NOT NULL ORDER BY rowid DESC LIMIT 1",
            rows,
        )
        return whole(found[0][0]) if found else None

    def silences(self) -> tuple[Silence, ...]:
        """Those there are, by the clock of then, and whether they have ended or not."""
        return silences.of_rows(self._all(silences.SELECT))

    def queue(self) -> Queue:
        """Of several deliveries with an error, the youngest was tried last: they leave in order."""
        ((waiting,),) = self._all(f"SELECT count(*) FROM deliveries WHERE {WAITING}")
        errors = self._all(
            f"SELECT last_error FROM deliveries WHERE {WAITING} AND last_error IS NOT NULL ORDER BY number DESC LIMIT 1"
        )
        return Queue(whole(waiting) or 0, text_of(errors[0][0]) or "unknown" if errors else None)

    def deliveries(self, most: int) -> tuple[StoredDelivery, ...]:
        """Those that wait, and those that ended last, `most` of each; the oldest notification first."""
        found = [*self._all(f"{_DELIVERIES} WHERE {WAITING} ORDER BY number LIMIT ?", most)]
        found += self._all(f"{_DELIVERIES} WHERE NOT ({WAITING}) ORDER BY number DESC LIMIT ?", most)
        return tuple(map(_delivery, sorted(found, key=lambda row: str(row[0]).zfill(20))))

    def history(self, period: Period, since: str, until: str, most: int) -> tuple[Summary, ...]:
        """The hours or days from the one named `since` to the one named `until`, the oldest first, `most` of them."""
        found: dict[object, dict[str, RollUp]] = {}
        with reported(self.path):  # row by row, for all of them as they are may be gigabytes
            for start, metric, *figures in self._connection.execute(_ROLL_UPS, (period.name, since, until)):
                if start not in found and len(found) == most:
                    break
                if metric in rollups.MEASURES:
                    found.setdefault(start, {})[metric] = _roll_up(figures)
        last = self._last_stamp()
        if last is not None and since <= period.start(last) <= until:
            kept = found.setdefault(period.start(last), {})
            for metric, roll_up in self._current(period, last).items():
                if (roll_up.count or 0) >= (kept.get(metric, RollUp()).count or 0):
                    kept[metric] = roll_up
        in_order = sorted(found.items(), key=lambda one: str(one[0]))
        return tuple(Summary(time_of(start), roll_ups) for start, roll_ups in in_order[:most])

    def history_of(self, series: Series, period: Period, since: str, until: str, most: int) -> tuple[Summary, ...]:
        """The same of one series that has no column."""
        found = {
            start: _roll_up(figures)
            for start, *figures in self._all(_SERIES_ROLL_UPS, period.name, since, until, *series, most)
        }
        last = self._last_stamp()
        if last is not None and since <= (current := period.start(last)) <= until:
            second = second_of(current)
            figures = self._all(_SERIES_NOW, second, second + LENGTHS_S[period], *series)
            roll_up = _roll_up(figures[0])
            if (roll_up.count or 0) > (found.get(current, RollUp()).count or 0):
                found[current] = roll_up
        in_order = sorted(found.items(), key=lambda one: str(one[0]))
        return tuple(Summary(time_of(start), {series.metric: roll_up}) for start, roll_up in in_order[:most])

    def _last_stamp(self) -> str | None:
        """When the row was sampled that was stored last; None if it names no moment of Lima's time."""
        found = self._all(LAST_STAMP)
        stamp = found[0][0] if found else None
        return stamp if isinstance(stamp, str) and time_of(HOUR.start(stamp)) and time_of(DAY.start(stamp)) else None

    def _current(self, period: Period, last: str) -> dict[str, RollUp]:
        """The hour or day of the row that was stored last, which is not rolled up yet, by the names of the metrics."""
        hour = HOUR.start(last)
        values = (*HOUR.bounds(hour), *DAY.bounds(last), hour)
        with reported(self.path):
            if period == HOUR:
                found = self._connection.execute(rollups.OF_ROWS, values[:2])
            else:
                found = self._connection.execute(rollups.OF_HOURS_AND_ROWS, values)
            return {metric: _roll_up(figures) for metric, _, *figures in found if metric in rollups.MEASURES}

    def _all(self, query: str, *values: str | int) -> list[tuple[object, ...]]:
        with reported(self.path):
            return self._connection.execute(query, values).fetchall()


def _delivery(row: Sequence[object]) -> StoredDelivery:
    _, event_id, title, channel, attempts, *moments, last_error = row
    queued_ns, next_try_ns, delivered_ns, set_aside_ns = map(moment_ns, moments)
    return StoredDelivery(
        text_of(event_id),
        text_of(title),
        text_of(channel),
        whole(attempts),
        queued_ns,
        next_try_ns,
        delivered_ns,
        set_aside_ns,
        text_of(last_error),
    )


def _roll_up(figures: Sequence[object]) -> RollUp:
    least, mean, most, count = figures
    return RollUp(real(least), real(mean), real(most), whole(count))


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
