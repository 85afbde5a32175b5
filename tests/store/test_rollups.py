"""Roll-ups are what the rows would say, however the rows came, and stay when those are gone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.sample import Row
from heartbeatd.store.database import Database
from heartbeatd.store.migrations import METRICS, PAGE_BYTES
from heartbeatd.store.pruning import SPARE_PAGES
from heartbeatd.store.rollups import MEASURES, PERIODS, Period
from tests.store.conftest import NOW_NS, ids, keep_from, row

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


def kept(connection: sqlite3.Connection, period: Period) -> list[tuple[object, ...]]:
    """What the roll-up of a period says."""
    columns = ", ".join(f"{m}_min, round({m}_mean, 6), {m}_max, {m}_count" for m in MEASURES)
    query = f"SELECT start, cycles, worker_ok, internet_ok, {columns} FROM {period.table} ORDER BY start"
    return connection.execute(query).fetchall()


def counted(connection: sqlite3.Connection, period: Period) -> list[tuple[object, ...]]:
    """What the rows say."""
    columns = ", ".join(f"min({m}), round(avg({m}), 6), max({m}), count({m})" for m in MEASURES)
    query = (
        f"SELECT substr(timestamp_lima, 1, {period.head}) || '{period.tail}' AS start, count(*),"
        " sum(coalesce(worker_status BETWEEN 200 AND 299 AND worker_status NOT IN (220, 221), 0)),"
        f" sum(coalesce(internet_ok, 0)), {columns} FROM metrics GROUP BY start ORDER BY start"
    )
    return connection.execute(query).fetchall()


@given(samples)
def test_roll_ups_are_what_the_rows_say(found: list[Sample]) -> None:
    """Minimum, mean, maximum and count of each value, and the cycles with Worker and internet ok, in whatever order rows come."""
    with closing(Database.open(Path(":memory:"), NOW_NS)) as store:
        store.record([made(n, sample) for n, sample in enumerate(found)], (), (), flush=False)
        for period in PERIODS:
            assert kept(store._connection, period) == counted(store._connection, period)


def test_a_row_that_comes_twice_counts_once(store: Database, path: Path) -> None:
    """As after a write whose end was not seen."""
    for _ in range(2):
        store.record([row(1, cpu_percent=3.0), row(2, cpu_percent=5.0)], (), (), flush=False)
    with closing(sqlite3.connect(path)) as reader:
        query = "SELECT start, cycles, cpu_percent_mean, ping_ms_mean FROM history_hour"
        assert reader.execute(query).fetchall() == [("2026-01-01T00:00:00-05:00", 2, 4.0, None)]


def test_they_stay_when_the_rows_go(store: Database, path: Path) -> None:
    """Deleting what is too old takes nothing from the roll-ups."""
    store.record([row(n, cpu_percent=1.0) for n in range(10)], (), (), flush=False)
    store.record((), (), (), flush=False, keep=keep_from(10))
    assert ids(path) == []
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT cycles FROM history_day").fetchall() == [(10,)]


def test_they_are_made_from_the_rows_of_an_earlier_version(path: Path) -> None:
    """Taken over, or from before there were roll-ups: the history begins with the oldest row."""
    with closing(sqlite3.connect(path)) as earlier:
        earlier.execute(f"CREATE TABLE metrics ({', '.join(' '.join(column) for column in METRICS)}, PRIMARY KEY (id))")
        rows = [made(n, (n * 1800, float(n), None, None, 200 + 20 * (n % 2))) for n in range(99)]
        earlier.executemany(
            "INSERT INTO metrics (id, timestamp_lima, cpu_percent, worker_status) VALUES (?, ?, ?, ?)",
            [(r.id, r.timestamp_lima, r.cpu_percent, r.worker_status) for r in rows],
        )
        earlier.commit()
    with closing(Database.open(path, NOW_NS)), closing(sqlite3.connect(path)) as reader:
        for period in PERIODS:
            assert kept(reader, period) == counted(reader, period)
            assert kept(reader, period)


@pytest.mark.slow
def test_a_file_that_only_forgets_gets_smaller(store: Database, path: Path) -> None:
    """Deleted in small steps, a new file gives its space back, but for what a few thousand rows to come would take."""
    store.record([row(n, cpu_percent=1.0) for n in range(5000)], (), (), flush=False)
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size > 2 * SPARE_PAGES * PAGE_BYTES
    while ids(path):
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
