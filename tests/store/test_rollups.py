"""Roll-ups are what the rows would say, however the rows came, and stay when those are gone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.sample import Row
from heartbeatd.core.worker import rule_for
from heartbeatd.store.database import Database
from heartbeatd.store.migrations import PAGE_BYTES
from heartbeatd.store.pruning import SPARE_PAGES
from heartbeatd.store.reader import Reader
from heartbeatd.store.results import Summary
from heartbeatd.store.rollups import DAY, HOUR, PERIODS, WORKER_OK, Period
from tests.support.rows import NOW_NS, ids, keep_from, row

percents = st.none() | st.integers(0, 100).map(float)
samples = st.lists(
    st.tuples(
        st.integers(0, 3 * 86400),
        percents,
        percents,
        st.none() | st.integers(0, 9),
        st.sampled_from([None, 200, 220, 401, 503]),
    ),
    max_size=40,
)
Sample = tuple[int, float | None, float | None, int | None, int | None]


def made(number: int, sample: Sample) -> Row:
    """A row at so many seconds into 2026, with those values."""
    second, cpu, ping, containers, status = sample
    stamp = f"2026-01-{1 + second // 86400:02}T{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}.000000-05:00"
    values = {"cpu_percent": cpu, "ping_ms": ping, "container_count": containers, "worker_status": status}
    return row(number, timestamp_lima=stamp, internet_ok=None if ping is None else int(ping > 50), **values)


MEASURES = ("cpu_percent", "ram_percent", "disk_percent", "container_count", "ping_ms")
Line = tuple[object, ...]


def counted(connection: sqlite3.Connection, period: Period) -> list[Line]:
    """What the rows say, in the columns that a table of the hours had in 0.1."""
    columns = ", ".join(f"min({m}), round(avg({m}), 6), max({m}), count({m})" for m in MEASURES)
    query = (
        f"SELECT substr(timestamp_lima, 1, {period.head}) || '{period.tail}' AS start, count(*),"
        " sum(coalesce(worker_status BETWEEN 200 AND 299 AND worker_status NOT IN (220, 221), 0)),"
        f" sum(coalesce(internet_ok, 0)), {columns} FROM metrics GROUP BY start ORDER BY start"
    )
    return connection.execute(query).fetchall()


def in_view(connection: sqlite3.Connection, period: Period) -> list[Line]:
    """What the view of the period says, which has the table's columns."""
    columns = ", ".join(f"{m}_min, round({m}_mean, 6), {m}_max, {m}_count" for m in MEASURES)
    query = f"SELECT start, cycles, worker_ok, internet_ok, {columns} FROM history_{period.name} ORDER BY start"
    return connection.execute(query).fetchall()


def history(connection: sqlite3.Connection, period: Period) -> list[Line]:
    """What people are told, in the same columns."""
    return [_line(one) for one in Reader(Path("metrics.db"), connection).history(period, "", "~", 1000)]


def _line(one: Summary) -> Line:
    figures: Iterator[tuple[float | None, float | None, float | None, int | None]] = (
        astuple(one.of(m)) for m in MEASURES
    )
    flat = [
        x
        for least, mean, most, number in figures
        for x in (least, None if mean is None else round(mean, 6), most, number)
    ]
    return (one.start, one.cycles, one.of("worker_ok").sum, one.of("internet_ok").sum, *flat)


def cycles(connection: sqlite3.Connection, period: Period) -> dict[str, int]:
    """The beginnings of what is rolled up, and the cycles in it."""
    query = "SELECT start, count FROM rollups WHERE period = ? AND metric = 'worker_ok' ORDER BY start"
    return dict(connection.execute(query, (period.name,)).fetchall())


def at(hour: int, number: int = 0, day: int = 1, **values: object) -> Row:
    """A row at so many seconds into an hour."""
    stamp = f"2026-01-{day:02}T{hour:02}:{number // 60:02}:{number % 60:02}.000000-05:00"
    return row(((day * 24) + hour) * 3600 + number, **{"timestamp_lima": stamp, "cpu_percent": 1.0, **values})


@given(samples, st.integers(1, 9))
def test_history_is_what_the_rows_say(found: list[Sample], batch: int) -> None:
    """Of each value, and of the cycles with Worker and internet ok, in whatever order and however many at once rows come."""
    rows = [made(n, sample) for n, sample in enumerate(found)]
    with closing(Database.open(Path(":memory:"), NOW_NS)) as store:
        for first in range(0, len(rows), batch):
            store.record(rows[first : first + batch], (), (), flush=False)
            for period in PERIODS:
                assert history(store._connection, period) == counted(store._connection, period)


@given(samples)
def test_all_is_rolled_up_but_the_hour_and_the_day_of_the_last_row(found: list[Sample]) -> None:
    """After each commit, whoever reads the table or the views finds what the rows say of all others."""
    with closing(Database.open(Path(":memory:"), NOW_NS)) as store:
        for number, sample in enumerate(found):
            last = made(number, sample)
            store.record([last], (), (), flush=False)
            for period in PERIODS:
                current = period.start(last.timestamp_lima)
                told, said = (
                    [one for one in ask(store._connection, period) if one[0] != current] for ask in (in_view, counted)
                )
                assert told == said


def test_the_worker_is_ok_as_the_core_has_it() -> None:
    """The roll-ups ask SQLite for what the core's table says."""
    with closing(sqlite3.connect(":memory:")) as connection:
        query = f"SELECT {WORKER_OK} FROM (SELECT ? AS worker_status)"
        assert connection.execute(query, (None,)).fetchone() == (0,)
        for status in range(99, 1000):
            rule = rule_for(status)
            assert connection.execute(query, (status,)).fetchone() == (int(rule is not None and rule.state.good),)


def test_a_cycle_within_an_hour_touches_no_roll_up(store: Database) -> None:
    """So it costs nothing: seven rows are stored when the next hour begins, and as many when the next day does."""
    store.record([at(0, n) for n in range(3)], (), (), flush=False)
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    changes = []
    for new in (at(0, 9), at(1), at(1, 9), at(0, day=2), at(0, 9, day=2)):
        before = store._connection.total_changes
        store.record([new], (), (), flush=False)
        changes.append(store._connection.total_changes - before - 1)
    assert changes == [0, 2, 0, 4, 0]  # cpu_percent and worker_ok: nothing else is known in these rows
    assert sum("rollups" in statement for statement in statements) == 5  # an hour is of rows and of readings


def test_a_restart_or_a_kill_leaves_no_hour_out(path: Path) -> None:
    """What was not rolled up when the agent ended is when the next row comes, days later or in the same hour."""
    for new in (at(22), at(22, 9), at(23), at(5, day=4)):
        with closing(Database.open(path, NOW_NS)) as store:
            store.record([new], (), (), flush=False)
    with closing(sqlite3.connect(path)) as reader:
        assert list(cycles(reader, HOUR).values()) == [2, 1]
        assert list(cycles(reader, DAY).values()) == [3]


def test_a_second_writer_leaves_no_hour_out(store: Database, path: Path) -> None:
    """As `heartbeatctl once --store` beside an agent that stores a row a day."""
    store.record([at(1)], (), (), flush=False)
    with closing(Database.open(path, NOW_NS)) as other:
        other.record([at(5)], (), (), flush=False)
    store.record([at(1, day=2)], (), (), flush=False)
    assert list(cycles(store._connection, HOUR).values()) == [1, 1]
    assert list(cycles(store._connection, DAY).values()) == [2]


def test_rows_that_waited_are_in_the_hours_they_are_of(store: Database) -> None:
    """A day of them at once, as after the disk was full; and those of an hour that was rolled up long ago."""
    store.record([at(0), at(6, day=2)], (), (), flush=False)
    store.record([at(hour, 9) for hour in range(24)], (), (), flush=False)
    store.record([at(6, 9, day=2)], (), (), flush=False)
    hours = cycles(store._connection, HOUR)
    assert list(hours.values()) == [2, *[1] * 23, 1]
    assert cycles(store._connection, DAY) == {
        DAY.start(at(0).timestamp_lima): 25,
        DAY.start(at(0, day=2).timestamp_lima): 1,
    }


def test_a_clock_that_is_set_back_and_on_again_counts_each_row_once(store: Database) -> None:
    """An hour that was over goes on, and one that had begun waits."""
    for new in (at(22), at(23), at(0, day=2), at(23, 9), at(23, 19), at(0, 9, day=2), at(1, day=2)):
        store.record([new], (), (), flush=False)
    assert list(cycles(store._connection, HOUR).values()) == [1, 3, 2]
    assert cycles(store._connection, DAY)[DAY.start(at(0).timestamp_lima)] == 4


def test_a_row_that_comes_twice_counts_once(store: Database) -> None:
    """As after a write whose end was not seen."""
    for _ in range(2):
        store.record([at(0, 1, cpu_percent=3.0), at(0, 2, cpu_percent=5.0)], (), (), flush=False)
    store.record([at(1)], (), (), flush=False)
    found = store._connection.execute("SELECT * FROM rollups WHERE metric = 'cpu_percent'").fetchall()
    assert found == [("hour", "2026-01-01T00:00:00-05:00", "cpu_percent", "", 3.0, 4.0, 5.0, 2)]


def test_they_stay_when_the_rows_go(store: Database, path: Path) -> None:
    """Deleting what is too old takes nothing from the roll-ups, and a row that comes late does not either."""
    store.record([row(n, cpu_percent=float(n)) for n in range(10)], (), (), flush=False)
    store.record([row(3600)], (), (), flush=False)
    store.record((), (), (), flush=False, keep=keep_from(8))
    assert ids(path) == [row(n).id for n in (8, 9, 3600)]
    store.record([row(11, cpu_percent=1.0), row(3601)], (), (), flush=False)
    found = store._connection.execute(
        "SELECT min, mean, max, count FROM rollups WHERE metric = 'cpu_percent'"
    ).fetchall()
    assert found == [(0.0, 4.5, 9.0, 10)]
    assert list(cycles(store._connection, HOUR).values()) == [10]


def test_no_row_goes_before_it_is_rolled_up(store: Database, path: Path) -> None:
    """However old it is: those of the hour of the last row stay until a row of another hour comes."""
    store.record([row(n, cpu_percent=1.0) for n in (0, 1, 3600, 3601)], (), (), flush=False)
    store.record((), (), (), flush=False, keep=keep_from(9999))
    assert ids(path) == [row(n).id for n in (3600, 3601)]
    store.record([row(9999, cpu_percent=1.0)], (), (), flush=False, keep=keep_from(9999))
    assert ids(path) == [row(9999).id]
    assert list(cycles(store._connection, HOUR).values()) == [2, 2]


@pytest.mark.slow
def test_a_file_that_only_forgets_gets_smaller(store: Database, path: Path) -> None:
    """Deleted in small steps, a new file gives its space back, but for what a few thousand rows to come would take."""
    store.record([*(row(n, cpu_percent=1.0) for n in range(5000)), row(9999)], (), (), flush=False)
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size > 2 * SPARE_PAGES * PAGE_BYTES
    while len(ids(path)) > 1:
        store.record((), (), (), flush=False, keep=keep_from(5000))
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < 1.2 * SPARE_PAGES * PAGE_BYTES


def test_the_latest_rows_are_found_by_an_index(store: Database, path: Path) -> None:
    """The query of the README reads no more than it shows, however old the database is."""
    with closing(sqlite3.connect(path)) as reader:
        plan = reader.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM metrics ORDER BY timestamp_lima DESC LIMIT 20"
        ).fetchall()
    assert "metrics_by_time" in plan[0][3]
    assert len(plan) == 1
