"""The earlier agent's databases: taken over in place, every row kept."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbeatd.core.retention import NS_PER_DAY
from heartbeatd.errors import StoreError
from heartbeatd.store import database as store_module
from heartbeatd.store import migrations
from heartbeatd.store.database import Database
from heartbeatd.store.migrations import METRICS
from heartbeatd.store.steps import MIGRATIONS
from tests.support.rows import NOW_NS, row

# As its monitor.py made it, and as hand-made variations of it stand on users' disks.
PLAIN = (
    "id TEXT PRIMARY KEY, timestamp_lima TEXT, cpu_percent REAL, ram_percent REAL, ram_used_mb REAL, disk_percent REAL, "
    "container_count INTEGER, internet_ok INTEGER, ping_ms REAL, worker_status INTEGER, cycle_duration_ms REAL"
)
WITH_HEALTH = f"{PLAIN}, services_health TEXT"
NOT_NULL = PLAIN.replace("INTEGER,", "INTEGER NOT NULL,").replace("REAL,", "REAL NOT NULL,")
SHUFFLED = ", ".join(["services_health TEXT DEFAULT '{}'", *reversed(PLAIN.split(", "))])
BARE = PLAIN.replace("TEXT PRIMARY KEY", "TEXT")
LAYOUTS = {"plain": PLAIN, "health": WITH_HEALTH, "not null": NOT_NULL, "shuffled": SHUFFLED, "bare": BARE}


def earlier_database(path: Path, layout: str, rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """Make the earlier agent's database; its rows, in the order of our columns."""
    with closing(sqlite3.connect(path)) as made, made:
        made.execute(f"CREATE TABLE metrics ({layout})")
        for values in rows:
            marks = ", ".join("?" for _ in values)
            made.execute(f"INSERT INTO metrics ({', '.join(values)}) VALUES ({marks})", list(values.values()))
    return [tuple(values[name] for name, _ in METRICS) for values in rows]


def old_row(number: int, count: int = 3) -> dict[str, object]:
    """A row as the earlier agent wrote it."""
    values: dict[str, object] = {name: 1 if kind == "INTEGER" else 0.5 for name, kind in METRICS}
    return {**values, "id": str(uuid.uuid4()), "timestamp_lima": row(number).timestamp_lima, "container_count": count}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_row_is_kept(path: Path, layout: str) -> None:
    """Whatever the layout: the same rows in the same order, -1 as NULL, the eleven columns first; and new rows go in."""
    counts = [3, -1, 0, -1, 7]
    before = earlier_database(path, layout, [old_row(n, count) for n, count in enumerate(counts)])
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.taken_over == len(counts)
        store.record([row(100)], (), (), flush=True)
    with closing(sqlite3.connect(path)) as reader:
        names = [name for _, name, *_ in reader.execute("PRAGMA table_info(metrics)")]
        assert names[: len(METRICS)] == [name for name, _ in METRICS]
        assert ("services_health" in names) == ("services_health" in layout)
        found = reader.execute(f"SELECT {', '.join(names[: len(METRICS)])} FROM metrics ORDER BY rowid").fetchall()
    assert found[:-1] == [tuple(None if value == -1 else value for value in values) for values in before]
    assert found[-1][0] == row(100).id


def test_a_taken_over_database_is_not_taken_over_again(path: Path) -> None:
    """Only the first start says so."""
    earlier_database(path, WITH_HEALTH, [old_row(1)])
    for rows in (1, None, None):
        with closing(Database.open(path, NOW_NS)) as store:
            assert store.taken_over == rows
        with closing(sqlite3.connect(path)) as reader:
            assert reader.execute("SELECT last_rowid, at_ns FROM takeover").fetchall() == [(1, NOW_NS)]


def test_a_long_takeover_says_that_it_goes_on_and_can_be_broken_off(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd hears of it again and again; a stop leaves the file as it was, and the next start takes it over."""
    earlier_database(path, WITH_HEALTH, [old_row(n) for n in range(1000)])
    monkeypatch.setattr(store_module, "WORKING_STEPS", 1000)
    with pytest.raises(StoreError, match="interrupted"):
        Database.open(path, NOW_NS, working=lambda: True)
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA user_version").fetchone() == (0,)
        assert reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("metrics",)]
    calls = itertools.count()
    with closing(Database.open(path, NOW_NS, working=lambda: next(calls) < 0)) as store:
        assert store.taken_over == 1000
    assert next(calls) > 10


def test_further_columns_keep_what_they_hold(path: Path) -> None:
    """services_health stays as it was, and is NULL in new rows."""
    earlier_database(path, SHUFFLED, [{**old_row(1), "services_health": '{"n8n": "healthy"}'}])
    with closing(Database.open(path, NOW_NS)) as store:
        store.record([row(2)], (), (), flush=True)
    with closing(sqlite3.connect(path)) as reader:
        found = reader.execute("SELECT services_health FROM metrics ORDER BY rowid").fetchall()
    assert found == [('{"n8n": "healthy"}',), (None,)]


def test_what_stands_in_the_wal_is_kept(path: Path, tmp_path: Path) -> None:
    """A database copied with its -wal file, as a container that was killed leaves it."""
    source = tmp_path / "source.db"
    earlier_database(source, PLAIN, [old_row(1)])
    with closing(sqlite3.connect(source)) as running:
        running.execute("PRAGMA journal_mode = WAL")
        running.execute("UPDATE metrics SET cpu_percent = 99.5")
        running.commit()
        for suffix in ("", "-wal"):
            Path(f"{path}{suffix}").write_bytes(Path(f"{source}{suffix}").read_bytes())
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.taken_over == 1
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT cpu_percent FROM metrics").fetchone() == (99.5,)


@settings(max_examples=50)
@given(st.sampled_from(list(LAYOUTS.values())), st.integers(0, 20), st.integers(0, 250))
def test_taking_over_is_all_or_nothing(layout: str, rows: int, allowed: int) -> None:
    """A takeover that fails anywhere leaves the earlier agent's database as it was, and the next one succeeds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.db"
        before = earlier_database(path, layout, [old_row(n) for n in range(rows)])
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            left = iter(range(allowed))

            def authorize(action: int, *_: object) -> int:
                """SQLite itself refuses what comes after so many actions; rolling back is always allowed."""
                fine = action == sqlite3.SQLITE_TRANSACTION or next(left, None) is not None
                return sqlite3.SQLITE_OK if fine else sqlite3.SQLITE_DENY

            connection.set_authorizer(authorize)
            with suppress(sqlite3.DatabaseError):
                migrations.migrate(connection, NOW_NS)
            connection.set_authorizer(None)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            assert version == len(MIGRATIONS) or tables == [("metrics",)]
        with closing(Database.open(path, NOW_NS)), closing(sqlite3.connect(path)) as reader:
            names = ", ".join(name for name, _ in METRICS)
            assert reader.execute(f"SELECT {names} FROM metrics ORDER BY rowid").fetchall() == before


def test_a_kill_in_the_middle_of_it(path: Path) -> None:
    """SIGKILL while tens of thousands of rows are being moved: the next start takes every one of them over."""
    rows = 60_000
    earlier_database(path, SHUFFLED, [old_row(n) for n in range(rows)])
    code = (
        "import sys; from pathlib import Path; from heartbeatd.store.database import Database; print(flush=True); "
        "Database.open(Path(sys.argv[1]), 1)"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        while child.poll() is None and not (
            Path(f"{path}-wal").exists() and Path(f"{path}-wal").stat().st_size > 1_000_000
        ):
            pass
        os.kill(child.pid, signal.SIGKILL)
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.taken_over in (rows, None)  # None: it was quicker than the kill
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*), count(DISTINCT id) FROM metrics").fetchone() == (rows, rows)


def test_a_clock_that_was_behind_shortens_no_grace(path: Path) -> None:
    """Taken over by a machine without a battery clock that believes it is 2020, and is told better: the takeover was today."""
    earlier_database(path, PLAIN, [old_row(1)])
    believed_ns = NOW_NS - 6 * 365 * NS_PER_DAY
    with closing(Database.open(path, believed_ns)) as store:
        store.begin_run("boot", believed_ns - 1000)
        store.note_clock(NOW_NS - 1000)
        store.note_clock(NOW_NS - 1000)
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT at_ns FROM takeover").fetchone() == (NOW_NS,)


def test_a_takeover_in_an_earlier_boot_stays_when_it_was(path: Path) -> None:
    """It was noted by another clock."""
    earlier_database(path, PLAIN, [old_row(1)])
    with closing(Database.open(path, NOW_NS)) as store:
        store.begin_run("boot", NOW_NS + 1000)
        store.note_clock(NOW_NS + NS_PER_DAY)
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT at_ns FROM takeover").fetchone() == (NOW_NS,)
