"""What has no column is kept and rolled up as the rows are, however it came."""

import math
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.metrics import Series
from heartbeatd.core.sample import Readings, Row
from heartbeatd.errors import StoreError
from heartbeatd.store.buffer import READINGS_MOST, Buffer, Handover, StoreOptions
from heartbeatd.store.database import Database
from heartbeatd.store.pruning import PRUNE_ROWS
from heartbeatd.store.reader import Reader
from heartbeatd.store.rollups import PERIODS
from tests.support.rows import NOW_NS, keep_from, row

ROOT, SRV, SWAP = Series("disk_used_percent", "/"), Series("disk_used_percent", "/srv"), Series("swap_percent")
sampled = st.lists(
    st.tuples(
        st.integers(0, 3 * 86400), st.dictionaries(st.sampled_from([ROOT, SRV, SWAP]), st.integers(0, 100).map(float))
    ),
    max_size=30,
)
Cycle = tuple[Row, Readings]


def cycle(second: int, values: dict[Series, float], number: int | None = None) -> Cycle:
    """A row at so many seconds into 2026, and what was read with it."""
    stamp = f"2026-01-{1 + second // 86400:02}T{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}.500000-05:00"
    made = row(second if number is None else number, timestamp_lima=stamp)
    return made, Readings(stamp, values)


def record(store: Database, cycles: Sequence[Cycle]) -> None:
    """As the buffer hands them over: all rows, and those readings that there are."""
    rows, readings = zip(*cycles, strict=True) if cycles else ((), ())
    store.record(rows, (), (), flush=False, readings=[one for one in readings if one.values])


def kept(connection: sqlite3.Connection) -> list[tuple[str, str, str, float]]:
    return connection.execute("SELECT * FROM named_readings ORDER BY timestamp_lima, metric, label").fetchall()


def rolled_up(connection: sqlite3.Connection, period: str) -> set[tuple[object, ...]]:
    query = "SELECT start, metric, label, min, round(mean, 6), max, count FROM rollups WHERE period = ? AND metric != 'worker_ok'"
    return set(connection.execute(query, (period,)).fetchall())


@given(sampled, st.integers(1, 9))
def test_all_is_rolled_up_but_the_hour_and_the_day_of_the_last_row(
    found: list[tuple[int, dict[Series, float]]], batch: int
) -> None:
    """In whatever order they come and however many at once: after each commit the roll-ups are what the readings say."""
    cycles = [cycle(second, values, number) for number, (second, values) in enumerate(found)]
    with closing(Database.open(Path(":memory:"), NOW_NS)) as store:
        for first in range(0, len(cycles), batch):
            some = cycles[first : first + batch]
            record(store, some)
            for period in PERIODS:
                current = period.start(some[-1][0].timestamp_lima)
                said = store._connection.execute(
                    f"SELECT substr(timestamp_lima, 1, {period.head}) || '{period.tail}' AS start, metric, label,"
                    " min(value), round(avg(value), 6), max(value), count(value) FROM named_readings"
                    " GROUP BY start, metric, label HAVING start != ?",
                    (current,),
                ).fetchall()
                assert {one for one in rolled_up(store._connection, period.name) if one[0] != current} == set(said)


@given(sampled, st.integers(1, 9))
def test_history_is_what_the_readings_say(found: list[tuple[int, dict[Series, float]]], batch: int) -> None:
    """The current hour and day with it."""
    cycles = [cycle(second, values, number) for number, (second, values) in enumerate(found)]
    with closing(Database.open(Path(":memory:"), NOW_NS)) as store:
        for first in range(0, len(cycles), batch):
            record(store, cycles[first : first + batch])
        for period in PERIODS:
            said = store._connection.execute(
                f"SELECT substr(timestamp_lima, 1, {period.head}) || '{period.tail}' AS start, min(value),"
                " round(avg(value), 6), max(value), count(value) FROM named_readings WHERE metric = ? AND label = ?"
                " GROUP BY start ORDER BY start",
                SRV,
            ).fetchall()
            told = Reader(Path("metrics.db"), store._connection).history_of(SRV, period, "", "~", 1000)
            figures = [(one.start, one.of(SRV.metric)) for one in told]
            assert [(start, of.min, round(of.mean or 0, 6), of.max, of.count) for start, of in figures] == said


def test_they_are_named_for_queries_and_what_comes_twice_counts_once(store: Database) -> None:
    """As after a write whose end was not seen."""
    for _ in range(2):
        record(store, [cycle(60, {ROOT: 63.5, SWAP: 0.0})])
    stamp = "2026-01-01T00:01:00-05:00"
    assert kept(store._connection) == [(stamp, *ROOT, 63.5), (stamp, *SWAP, 0.0)]


def test_what_is_no_number_or_no_utf_8_holds_nothing_up(store: Database) -> None:
    """A mount point may have any name, and one bad value must not keep the rows out for ever."""
    record(store, [cycle(0, {ROOT: math.nan, Series("disk_used_percent", os.fsdecode(b"/\xff")): 5.0})])
    assert [(label, value) for _, _, label, value in kept(store._connection)] == [("/?", 5.0)]


def test_a_thousand_series_are_kept_and_go_in_bounded_steps_but_their_roll_ups_stay(store: Database) -> None:
    """They go with the rows; not before their hour is rolled up, and no more at once than is felt in a cycle."""
    many = {Series("disk_used_percent", f"/{number}"): 1.0 for number in range(1000)}
    record(store, [cycle(0, many)])
    store.record((), (), (), flush=False, keep=keep_from(7200))
    assert len(kept(store._connection)) == 1000
    record(store, [cycle(7200, {ROOT: 1.0})])
    left = []
    while store.record((), (), (), flush=False, keep=keep_from(7200)).more_to_prune:
        left.append(len(kept(store._connection)))
    assert left == [1001 - PRUNE_ROWS, 1001 - 2 * PRUNE_ROWS]
    assert len(rolled_up(store._connection, "hour")) == 1000


def test_a_write_that_fails_leaves_nothing_and_the_next_names_all(store: Database) -> None:
    """Numbers that were given in it are given again."""
    bad = Readings("no moment", {SRV: 1.0})
    with pytest.raises((StoreError, ValueError)):
        store.record([row(1)], (), (), flush=False, readings=[cycle(1, {ROOT: 1.0})[1], bad])
    record(store, [cycle(1, {SRV: 2.0, ROOT: 1.0})])
    assert [(label, value) for _, _, label, value in kept(store._connection)] == [("/", 1.0), ("/srv", 2.0)]


def test_a_kill_leaves_a_row_and_its_readings_or_neither(path: Path) -> None:
    """The two are in one transaction."""
    program = (
        "import sys; from pathlib import Path\n"
        "from heartbeatd.store.database import Database\n"
        "from tests.store.test_readings import ROOT, SWAP, cycle, record\n"
        "store = Database.open(Path(sys.argv[1]), 1)\n"
        "for n in range(80000):\n    record(store, [cycle(n, {ROOT: 1.0, SWAP: 2.0})]); print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 50:
            pass
        writer.send_signal(signal.SIGKILL)
    with closing(sqlite3.connect(path)) as reader:
        ((rows,),) = reader.execute("SELECT count(*) FROM metrics")
        assert rows > 50
        assert len(kept(reader)) == 2 * rows


def test_those_that_wait_are_bounded_by_their_number_of_values() -> None:
    """The newest win, also where another store's come before them."""
    many = {Series("disk_used_percent", str(number)): 1.0 for number in range(READINGS_MOST // 4)}
    buffer = Buffer(StoreOptions(10))
    for second in range(6):
        made, readings = cycle(second, many)
        buffer.note(made, (), (), readings, states_known=True)
    newest = [cycle(second, many)[1] for second in range(2, 6)]
    assert list(buffer.readings) == newest
    buffer.adopt(Handover((), (), {}, True, readings=(cycle(1, many)[1],)))
    assert list(buffer.readings) == newest
    buffer.saved()
    assert not buffer.readings
