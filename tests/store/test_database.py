"""The database file: what goes in comes out, whoever else reads or writes it."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.delivery import Failure, arrived, failed
from heartbeatd.core.gap import GapKind, Resumption, Run, UntoldGap
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.retention import NS_PER_DAY, QUEUE_MOST, RetentionCutoff
from heartbeatd.core.sample import Row
from heartbeatd.core.subject import Severity, Subject
from heartbeatd.core.timefmt import from_iso
from heartbeatd.core.worker import WorkerState
from heartbeatd.errors import CorruptStoreError, StoreError
from heartbeatd.probes.filesystems import usage
from heartbeatd.rules.threshold import subject_of
from heartbeatd.store.database import Database, WriteResult
from heartbeatd.store.migrations import METRICS
from heartbeatd.store.pruning import PRUNE_ROWS
from heartbeatd.store.read_only import open_to_read
from heartbeatd.store.steps import MIGRATIONS
from tests.support.rows import NOW_NS, alert, ids, keep_from, row
from tests.support.states import announced

moments = st.integers(min_value=0, max_value=2**62)
maybe = st.none() | moments
tracks = st.builds(
    AlertState,
    subject=st.builds(Subject, st.sampled_from(["worker", "disk"]), st.sampled_from(["", "/srv", "a:b"])),
    announced=st.sampled_from(WorkerState),
    severity=st.sampled_from(Severity),
    since_ns=moments,
    reason=st.none() | st.sampled_from(Cause),
    problem_since_ns=maybe,
    streak=st.integers(0, 1000),
    streak_state=st.sampled_from(list(WorkerState)) | st.none(),
    untold=st.sampled_from(list(WorkerState)) | st.none(),
    changes_ns=st.lists(st.integers(0, 2**62), max_size=5).map(tuple),
    streak_since_ns=maybe,
    untold_since_ns=maybe,
    notified_ns=maybe,
)
fractions = st.none() | st.floats(min_value=0, max_value=100)
rows = st.builds(
    Row,
    id=st.uuids().map(str),
    timestamp_lima=st.datetimes().map(lambda t: f"{t.isoformat()}-05:00"),
    cpu_percent=fractions,
    ram_percent=fractions,
    ram_used_mb=fractions,
    disk_percent=fractions,
    container_count=st.none() | st.integers(0, 10_000),
    internet_ok=st.none() | st.integers(0, 1),
    ping_ms=fractions,
    worker_status=st.none() | st.integers(200, 599),
    cycle_duration_ms=st.floats(min_value=0, max_value=1e6),
)


@given(st.lists(rows, max_size=5, unique_by=lambda r: r.id), tracks)
def test_what_goes_in_comes_out(given_rows: list[Row], track: AlertState) -> None:
    """Rows, in order, and the track, after closing and opening again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.db"
        with closing(Database.open(path, NOW_NS)) as store:
            assert store.states() == {}
            store.record(given_rows, (track,), (), flush=False)
        with closing(Database.open(path, NOW_NS)) as store:
            assert store.states() == {track.subject: track}
        with closing(sqlite3.connect(path)) as reader:
            assert reader.execute("SELECT * FROM metrics ORDER BY rowid").fetchall() == [astuple(r) for r in given_rows]


def test_what_has_a_name_that_is_no_unicode(store: Database, tmp_path: Path) -> None:
    """A filesystem's, and of whatever else: it is stored, and is the same subject when it is seen again."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (disk, *_) = {subject_of(series) for series in usage(str(folder), inodes=False)}
    service = Subject("service", folder.name)
    assert (disk, service.name) == (Subject("disk", f"{tmp_path}/caf?"), "caf?")
    states = [AlertState(one, "warning", Severity.WARNING, NOW_NS) for one in (disk, service)]
    store.record([row(1)], states, (), flush=False)
    assert store.states() == {one.subject: one for one in states}


def test_the_promised_table(store: Database, path: Path) -> None:
    """Eleven columns, these names and types, in this order; `id` is the key; the file is in WAL mode."""
    with closing(sqlite3.connect(path)) as reader:
        columns = reader.execute("PRAGMA table_info(metrics)").fetchall()
        assert [(name, kind) for _, name, kind, *_ in columns] == list(METRICS)
        assert [name for _, name, _, _, _, key in columns if key] == ["id"]
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_row_is_stored_once(store: Database, path: Path) -> None:
    """A row that is already there, stored by a try whose end was not seen, does not hold the others up."""
    store.record([row(1)], (), (), flush=False)
    store.record([row(1), row(2)], (), (), flush=True)
    assert ids(path) == ["row-000001", "row-000002"]


def test_a_transaction_is_whole(store: Database, path: Path) -> None:
    """If the alert cannot be written, neither are the row and the track."""
    broken = alert(1)
    object.__setattr__(broken.notification, "body", None)
    with pytest.raises(StoreError):
        store.record([row(1)], (announced(WorkerState.OK, 1),), (broken,), flush=True)
    assert ids(path) == []
    assert store.states() == {}
    store.record([row(2)], (), (), flush=False)  # and the connection is fit for use
    assert ids(path) == ["row-000002"]


def test_readers_and_the_agent_never_block_each_other(store: Database, path: Path) -> None:
    """A reader in the middle of a long query sees its own moment; rows go in meanwhile."""
    store.record([row(1)], (), (), flush=False)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM metrics").fetchone() == (1,)
        began_s = time.monotonic()
        for number in range(2, 50):
            store.record([row(number)], (), (), flush=False)
        assert time.monotonic() - began_s < 30
        assert reader.execute("SELECT count(*) FROM metrics").fetchone() == (1,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM metrics").fetchone() == (49,)


def test_another_writer_is_waited_for_but_not_for_long(store: Database, path: Path) -> None:
    """A lock that stays is an error that says what to do, after a second or so."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        with pytest.raises(StoreError, match="locked") as caught:
            store.record([row(1)], (), (), flush=False)
        assert 0.5 < time.monotonic() - began_s < 30
        assert "fuser" in str(caught.value)
        other.execute("COMMIT")
    store.record([row(1)], (), (), flush=False)
    assert ids(path) == ["row-000001"]


def test_the_queue(store: Database) -> None:
    """Deliveries wait in the order in which their notifications were made, count their tries, and are gone once arrived."""
    store.record((), (), [alert(n) for n in (2, 1, 3)], flush=True)
    assert [found.event_id for found in store.undelivered()] == ["event-002", "event-001", "event-003"]
    store.record((), (), [failed(alert(2), Failure.DOWN, "HTTP 404", NOW_NS, 0)], flush=True)
    assert [found.attempts for found in store.undelivered()] == [1, 0, 0]
    store.record((), (), [arrived(alert(2), NOW_NS)], flush=True)
    assert [found.event_id for found in store.undelivered()] == ["event-001", "event-003"]
    store.record((), (), [arrived(alert(9), NOW_NS)], flush=True)  # arrived before it could be written
    store.record((), (), [alert(9)], flush=True)
    assert [found.event_id for found in store.undelivered()] == ["event-001", "event-003"]


def test_what_others_change_is_noticed(store: Database, path: Path) -> None:
    """With the next write; what we write ourselves is nothing new."""
    assert not store.record([row(1)], (), (alert(1),), flush=True).by_others
    with closing(Database.open(path, NOW_NS)) as other:
        other.record((), (), (arrived(alert(1), NOW_NS),), flush=True)
    assert store.record([row(2)], (), (), flush=True).by_others
    assert not store.record([row(3)], (), (), flush=True).by_others


def test_pruning_takes_the_old_and_only_those(store: Database, path: Path) -> None:
    """A bounded number at a time, from the oldest, until none is left that is too old."""
    store.record([row(n) for n in (*range(PRUNE_ROWS + 100), 3600)], (), (), flush=False)
    left = []
    for _ in range(3):
        store.record((), (), (), flush=False, keep=keep_from(PRUNE_ROWS + 10))
        left.append(len(ids(path)))
    assert left == [101, 91, 91]
    assert ids(path)[0] == row(PRUNE_ROWS + 10).id


def test_rows_of_a_clock_that_ran_ahead_hold_up_no_pruning(store: Database, path: Path) -> None:
    """They come first in the file, and are not too old; those behind them are, and go."""
    store.record([row(n + 1000) for n in range(PRUNE_ROWS)], (), (), flush=False)
    store.record([row(n) for n in (*range(10), 3600)], (), (), flush=False)
    store.record((), (), (), flush=False, keep=keep_from(10))
    assert ids(path) == [row(n).id for n in (*range(1000, 1000 + PRUNE_ROWS), 3600)]


def test_pruning_spares_what_was_taken_over(store: Database, path: Path) -> None:
    """Until that is too long ago, too."""
    store.record([row(n) for n in (*range(10), 3600)], (), (), flush=False)
    keep = keep_from(8)
    for taken_over_ns, left in ((keep.now_ns, 11), (keep.now_ns - NS_PER_DAY, 3)):
        store._connection.execute(
            "INSERT OR REPLACE INTO takeover (rowid, last_rowid, at_ns) VALUES (1, 5, ?)", (taken_over_ns,)
        )
        store.record((), (), (), flush=False, keep=keep)
        assert len(ids(path)) == left


def test_alerts_are_not_kept_for_ever(store: Database, path: Path) -> None:
    """Delivered ones go with the rows of their time; of undelivered ones a thousand are kept, the newest."""
    store.record((), (), [alert(number) for number in range(QUEUE_MOST + 3)], flush=False)
    store.record((), (), (arrived(alert(0), NOW_NS),), flush=False)
    assert store.record((), (), (), flush=False, keep=RetentionCutoff(NOW_NS, days=0)) == WriteResult(given_up=2)
    assert [a.event_id for a in store.undelivered(QUEUE_MOST + 9)] == [
        alert(n).event_id for n in range(3, QUEUE_MOST + 3)
    ]
    with closing(sqlite3.connect(path)) as reader:
        for days, kept in ((0, 1), (1, 0)):
            store.record((), (), (), flush=False, keep=RetentionCutoff(NOW_NS + 2 * NS_PER_DAY, days))
            query = "SELECT count(*) FROM deliveries WHERE delivered_ns IS NOT NULL"
            assert reader.execute(query).fetchone() == (kept,)


def test_all_of_a_cycle_is_one_commit(store: Database, path: Path) -> None:
    """Row, roll-up, track, alert and what is too old: a reader sees all of it or nothing, and the disk one write."""
    store.record([row(n) for n in range(PRUNE_ROWS)], (), (), flush=False)
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    store.record([row(3600)], (announced(WorkerState.ERROR, NOW_NS),), [alert(1)], flush=False, keep=keep_from(3600))
    assert [s for s in statements if s.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert ids(path) == [row(3600).id]


def test_a_newer_database_is_left_alone(path: Path) -> None:
    """A file of a later version is refused with words, and not touched."""
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer heartbeatd"):
        Database.open(path, NOW_NS)
    assert path.read_bytes()[100:] == before[100:]  # all but the header, where the switch to WAL is noted


def test_another_programs_database_is_left_alone(path: Path) -> None:
    """A table `metrics` that lacks our columns is somebody else's."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE metrics (id TEXT, value REAL)")
    with pytest.raises(StoreError, match="has no column timestamp_lima"):
        Database.open(path, NOW_NS)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("metrics",)]


@pytest.mark.parametrize(
    "content", [b"no database\n" * 1000, b"SQLite format 3\0" + b"\xff" * 4096], ids=["text", "damaged"]
)
def test_what_is_no_database(path: Path, content: bytes) -> None:
    """It is called damaged, which is what has it set aside."""
    path.write_bytes(content)
    with pytest.raises(CorruptStoreError, match="damaged"):
        Database.open(path, NOW_NS)


def test_a_folder_that_is_not_there(path: Path) -> None:
    """The error names the folder and what it should be."""
    with pytest.raises(StoreError, match=f"{path.parent}/no"):
        Database.open(path.parent / "no/metrics.db", NOW_NS)
    with pytest.raises(StoreError, match="no database yet"):
        open_to_read(path)


def test_a_file_that_was_taken_away_is_noticed(store: Database, path: Path) -> None:
    """A deleted or replaced file would swallow rows unseen."""
    assert store.is_current_file()
    path.rename(path.with_name("elsewhere"))
    assert not store.is_current_file()
    path.write_bytes(b"")
    assert not store.is_current_file()


def test_a_database_for_reading_cannot_be_written(store: Database, path: Path) -> None:
    """heartbeatctl status opens it read-only, running agent or not."""
    store.record([row(1)], (), (), flush=False)
    with (
        closing(open_to_read(path)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("DELETE FROM metrics")
    store.close()
    with closing(open_to_read(path)) as reader:
        assert reader.execute("SELECT count(*) FROM metrics").fetchone() == (1,)


def test_every_commit_survives_a_kill(path: Path) -> None:
    """A process killed with SIGKILL in the middle of writing loses at most the row that was under way."""
    writer = (
        "import sys; from pathlib import Path; from heartbeatd.store.database import Database; "
        "from tests.support.rows import row, NOW_NS\n"
        "store = Database.open(Path(sys.argv[1]), NOW_NS)\n"
        "for n in range(100000):\n    store.record([row(n)], (), (), flush=False); print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", writer, path], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(200)]
        os.kill(child.pid, signal.SIGKILL)
        said += child.stdout.readlines()
    told = int([line for line in said if line.endswith("\n")][-1])
    with closing(Database.open(path, NOW_NS)):
        kept = ids(path)
    assert kept[: told + 1] == [row(n).id for n in range(told + 1)]
    assert len(kept) <= told + 2


def test_runs_follow_each_other(store: Database) -> None:
    """The first run has none before it; a later one is told of boot, last row and end of the one before, and of untold gaps."""
    assert store.begin_run("boot-1") == (None, ())
    store.record([row(1), row(2)], (), (), flush=False, untold=())
    first = Run("boot-1", from_iso(row(2).timestamp_lima), ended=False)
    assert store.begin_run("boot-2") == (first, (UntoldGap(first),))
    store.end_run(NOW_NS)
    second = Run("boot-2", from_iso(row(2).timestamp_lima), ended=True)
    assert store.begin_run("boot-3") == (second, (UntoldGap(first),))  # it had no cycle, and the gap before it goes on
    ended = UntoldGap(first, Resumption("boot-3", 1, 2, GapKind.CRASH, "watchdog"))
    store.record([row(3)], (), (), flush=False, untold=(ended,))
    third = Run("boot-3", from_iso(row(3).timestamp_lima), ended=False)
    assert store.begin_run("boot-4") == (third, (ended, UntoldGap(third)))


def test_a_new_database_opened_by_many_at_once(path: Path) -> None:
    """All of them get it, and it is made once."""

    def open_one(_: int) -> int | None:
        with closing(Database.open(path, NOW_NS, 10)) as store:
            return store.taken_over

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(open_one, range(8))) == [None] * 8
    assert ids(path) == []
