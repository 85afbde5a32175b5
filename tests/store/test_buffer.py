"""Nothing is lost while the database cannot be used, and trouble is said once."""

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.clock import SystemClock
from heartbeatd.core.delivery import Failure, arrived, failed
from heartbeatd.core.gap import Run, UntoldGap
from heartbeatd.core.retention import NS_PER_DAY, QUEUE_MOST
from heartbeatd.core.schedule import STEP_NS
from heartbeatd.core.timefmt import from_iso
from heartbeatd.core.worker import WORKER, WorkerState
from heartbeatd.journal import MessageId
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.buffered_store import BufferedStore
from heartbeatd.store.database import Database
from heartbeatd.store.pruning import FORGET_EVERY, PRUNE_ROWS
from tests.support.clocks import FakeClock
from tests.support.rows import NOW_NS, alert, ids, row
from tests.support.states import announced

TRACK = announced(WorkerState.ERROR, NOW_NS)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The names of the messages logged so far."""
    return [MessageId(r.fields["MESSAGE_ID"]).name for r in caplog.records if hasattr(r, "fields")]


@pytest.fixture(autouse=True)
def listen(caplog: pytest.LogCaptureFixture) -> None:
    """Hear notices, too."""
    caplog.set_level(logging.INFO, "heartbeatd")


@pytest.fixture
def buffered(path: Path) -> Iterator[BufferedStore]:
    """A store that is open."""
    made = BufferedStore(path, SystemClock(), StoreOptions(10))
    made.open()
    yield made
    made.close()


def pending(path: Path) -> list[str]:
    """The event ids in the queue."""
    with closing(Database.open(path, NOW_NS)) as store:
        return [found.event_id for found in store.undelivered()]


def test_a_folder_that_comes_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows, the track and alerts wait in memory, in order, and go in when the folder is there."""
    path = tmp_path / "later/metrics.db"
    buffered = BufferedStore(path, SystemClock(), StoreOptions(10))
    buffered.open()
    for number in range(5):
        buffered.record(row(number), (TRACK,) if number == 2 else (), (alert(2),) if number == 2 else ())
    assert buffered.unsaved_rows == 5
    assert "later" in buffered.error
    path.parent.mkdir()
    buffered.record(row(5), (), ())
    assert ids(path) == [row(n).id for n in range(6)]
    assert pending(path) == ["event-002"]
    assert (buffered.unsaved_rows, buffered.error) == (0, "")
    buffered.close()
    assert said(caplog) == ["STORE_FAILED", "STORE_RECOVERED"]
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.states() == {WORKER: TRACK}


def test_a_locked_database(buffered: BufferedStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody's long transaction costs no row."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        buffered.record(row(1), (), ())
        buffered.record(row(2), (TRACK,), (alert(1),))
        assert buffered.unsaved_rows == 2
        other.execute("COMMIT")
    buffered.record(row(3), (), ())
    assert ids(path) == [row(n).id for n in (1, 2, 3)]
    assert pending(path) == ["event-001"]
    assert said(caplog) == ["STORE_FAILED", "STORE_RECOVERED"]


def test_a_database_that_becomes_garbage(buffered: BufferedStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is set aside, and a new one begins with the announced state and the row at hand."""
    buffered.record(row(1), (TRACK,), ())
    buffered.close()
    path.write_bytes(b"garbage\n" * 4096)
    buffered.record(row(2), (), (alert(1),))
    assert ids(path) == [row(2).id]
    assert pending(path) == ["event-001"]
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.states() == {WORKER: TRACK}
    (aside,) = path.parent.glob("metrics.db.corrupt-*")
    assert aside.read_bytes().startswith(b"garbage")
    assert said(caplog) == ["STORE_REPLACED"]


def test_garbage_under_an_open_database(buffered: BufferedStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite goes on from memory without noticing; the next write that is flushed to the disk looks, and sets it aside."""
    buffered.record(row(1), (TRACK,), ())
    # By another process: one that opened and closed the file in this one would take our locks on it away.
    overwrite = 'for f in "$1" "$1-wal"; do yes garbage | head -c 65536 | dd of="$f" conv=notrunc status=none; done'
    subprocess.run(["sh", "-c", overwrite, "sh", path], check=True)
    buffered.record(row(2), (), (alert(1),))
    assert ids(path) == [row(2).id]
    assert pending(path) == ["event-001"]
    assert said(caplog) == ["STORE_REPLACED"]
    assert len(list(path.parent.glob("metrics.db.corrupt-*"))) >= 1


def test_garbage_at_start(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same, found when the agent starts: the first cycle sets it aside."""
    path.write_bytes(b"garbage\n" * 4096)
    buffered = BufferedStore(path, SystemClock(), StoreOptions(10))
    buffered.open()
    buffered.record(row(1), (), ())
    buffered.close()
    assert ids(path) == [row(1).id]
    assert "STORE_REPLACED" in said(caplog)


def test_a_database_that_is_deleted(buffered: BufferedStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows do not go on into a file without a name; what was announced is written anew."""
    buffered.record(row(1), (TRACK,), ())
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    buffered.record(row(2), (), ())
    assert ids(path) == [row(2).id]
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.states() == {WORKER: TRACK}
    assert said(caplog) == ["STORE_REPLACED"]


def test_what_was_announced_is_taken_up(path: Path) -> None:
    """After a restart the store knows it."""
    first = BufferedStore(path, SystemClock(), StoreOptions(10))
    first.open()
    first.record(row(1), (TRACK,), ())
    first.close()
    second = BufferedStore(path, SystemClock(), StoreOptions(10))
    second.open()
    assert second.states == {WORKER: TRACK}
    second.close()


def test_a_starting_point_never_wins_over_what_is_stored(tmp_path: Path) -> None:
    """A file that could not be read at the start is read later: what it says was announced holds."""
    path = tmp_path / "mount/metrics.db"
    with_track = tmp_path / "metrics.db"
    with closing(Database.open(with_track, NOW_NS)) as store:
        store.record((), (TRACK,), (), flush=True)
    buffered = BufferedStore(path, SystemClock(), StoreOptions(10))
    buffered.open()
    buffered.record(row(1), (announced(WorkerState.OK, NOW_NS),), ())
    path.parent.mkdir()
    with_track.rename(path)
    buffered.record(row(2), (), ())
    assert buffered.states == {WORKER: TRACK}
    buffered.close()
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.states() == {WORKER: TRACK}


def interrupted_reading(path: Path) -> sqlite3.Connection:
    """Somebody who has the database to himself: nobody else can even read."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN IMMEDIATE")
    return other


def test_what_could_not_be_read_at_the_start_is_read_later(path: Path) -> None:
    """State, run and queue: a read that failed once swallows nothing. What came in meanwhile is a guess, and loses."""
    with closing(Database.open(path, NOW_NS)) as store:
        store.begin_run("earlier-boot")
        store.record([row(1)], (TRACK,), (alert(1),), flush=True)
    buffered = BufferedStore(path, SystemClock(), StoreOptions(1), boot_id="this-boot")
    with closing(interrupted_reading(path)):
        buffered.open()
        assert "locked" in buffered.error
        buffered.record(row(2), (announced(WorkerState.OK, NOW_NS),), ())
        assert (buffered.states, buffered.buffer.previous_run) == ({WORKER: announced(WorkerState.OK, NOW_NS)}, None)
    buffered.record(row(3), (), ())
    assert buffered.states == {WORKER: TRACK}
    assert buffered.buffer.previous_run == Run("earlier-boot", from_iso(row(1).timestamp_lima), ended=False)
    assert list(buffered.undelivered.values()) == [alert(1)]
    buffered.close()
    assert ids(path) == [row(n).id for n in (1, 2, 3)]
    assert run_in(path) == ("this-boot", True)


def test_a_run_that_could_not_begin_at_the_start_begins_later(path: Path) -> None:
    """A database that can be read and not written is not open: the next write tries all of it again."""
    with closing(Database.open(path, NOW_NS)) as store:
        store.begin_run("earlier-boot")
        store.record([row(1)], (TRACK,), (), flush=True)
    buffered = BufferedStore(path, SystemClock(), StoreOptions(1), boot_id="this-boot")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        buffered.open()
        assert (buffered.buffer.previous_run, buffered.buffer.untold) == (None, ())
    buffered.record(row(2), (), ())
    assert buffered.buffer.previous_run == Run("earlier-boot", from_iso(row(1).timestamp_lima), ended=False)
    assert buffered.buffer.untold == (UntoldGap(buffered.buffer.previous_run),)
    assert buffered.states == {WORKER: TRACK}
    buffered.close()
    assert run_in(path) == ("this-boot", True)


def test_every_file_that_takes_the_place_of_another_has_its_run(path: Path) -> None:
    """Deleted, replaced, damaged: a planned stop is written down in the file that is there, and nobody's run before is judged."""
    buffered = BufferedStore(path, SystemClock(), StoreOptions(10), boot_id="this-boot")
    buffered.open()
    buffered.record(row(1), (TRACK,), (alert(1),))
    backup = path.with_name("backup.db")
    with closing(Database.open(backup, NOW_NS)) as store:
        store.begin_run("long-ago")
    for number, hurt in enumerate((f"rm {path}*", f"mv {backup} {path}", f"yes | head -c 99999 > {path}"), 2):
        subprocess.run(["sh", "-c", hurt], check=True)
        buffered.record(row(number), (), (alert(number),))
        assert ids(path)[-1] == row(number).id
        assert pending(path) == [alert(n).event_id for n in range(1, number + 1)]
        assert run_in(path) == ("this-boot", False)
    buffered.close()
    assert run_in(path) == ("this-boot", True)
    assert (buffered.buffer.previous_run, buffered.buffer.untold) == (None, ())


def test_another_path_is_gone_on_with(path: Path, tmp_path: Path) -> None:
    """The announced state, the queue with its tries, and what waits go along; the run ends here, and nothing is sent."""
    (tmp_path / "other").mkdir()
    other = tmp_path / "other/metrics.db"
    with closing(Database.open(other, NOW_NS)) as store:
        store.record((), (announced(WorkerState.OK, 1),), (alert(9),), flush=True)
    old, new = (BufferedStore(p, SystemClock(), StoreOptions(10), boot_id="this-boot") for p in (path, other))
    old.open()
    old.record(row(1), (TRACK,), (alert(1), alert(2)))
    old.note_delivery(failed(alert(1), Failure.DOWN, "HTTP 404", NOW_NS, 0))
    new.open()
    handed = old.hand_over()
    assert new.adopt(handed)
    old.moved(handed, other)
    old.close()
    assert new.states == {WORKER: TRACK}
    new.close()
    with closing(Database.open(other, NOW_NS)) as store:
        assert store.states() == {WORKER: TRACK}
        assert [(a.event_id, a.attempts) for a in store.undelivered()] == [
            (alert(9).event_id, 0),
            (alert(1).event_id, 1),
            (alert(2).event_id, 0),
        ]
    assert pending(path) == []
    assert run_in(path) == run_in(other) == ("this-boot", True)


def test_there_and_back_again(path: Path, tmp_path: Path) -> None:
    """A queue that was moved to another file and comes back is the queue again; what was delivered meanwhile is not."""
    (tmp_path / "other").mkdir()
    other = tmp_path / "other/metrics.db"

    def go_on(at: Path, after: BufferedStore | None) -> BufferedStore:
        new = BufferedStore(at, SystemClock(), StoreOptions(10), boot_id="this-boot")
        new.open()
        if after is not None:
            handed = after.hand_over()
            assert new.adopt(handed)
            after.moved(handed, at)
            after.close()
        return new

    first = go_on(path, None)
    first.record(row(1), (TRACK,), (alert(1), alert(2)))
    second = go_on(other, first)
    second.note_delivery(failed(alert(2), Failure.DOWN, "HTTP 404", NOW_NS, 0))
    second.note_delivery(arrived(alert(1), NOW_NS))
    go_on(path, second).close()
    with closing(Database.open(path, NOW_NS)) as store:
        assert [(a.event_id, a.attempts) for a in store.undelivered()] == [(alert(2).event_id, 1)]
    assert pending(other) == []


def test_what_could_not_be_stored_there_is_not_taken_from_here(path: Path, tmp_path: Path) -> None:
    """Rows that wait and the queue: until the other file has them they stay."""
    old = BufferedStore(path, SystemClock(), StoreOptions(10), boot_id="this-boot")
    old.open()
    old.record(row(1), (), (alert(1),))
    new = BufferedStore(tmp_path / "no/metrics.db", SystemClock(), StoreOptions(10), boot_id="this-boot")
    assert not new.adopt(old.hand_over())
    old.close()
    assert pending(path) == [alert(1).event_id]


def run_in(path: Path) -> tuple[str, bool]:
    """The boot id of the latest run, and whether it has ended."""
    with closing(sqlite3.connect(path)) as reader:
        ((boot_id, ended_ns),) = reader.execute("SELECT boot_id, ended_ns FROM run").fetchall()
    return boot_id, ended_ns is not None


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A day's rows wait, the newest; not more."""
    buffered = BufferedStore(tmp_path / "no/metrics.db", SystemClock(), StoreOptions(3600))
    buffered.open()
    for number in range(50):
        buffered.record(row(number), (), ())
    assert buffered.unsaved_rows == 24
    (tmp_path / "no").mkdir()
    buffered.record(row(50), (), ())
    buffered.close()
    assert ids(tmp_path / "no/metrics.db") == [row(n).id for n in range(27, 51)]


def test_old_rows_are_forgotten(buffered: BufferedStore, path: Path) -> None:
    """All rows of `row` are from the beginning of 2026, which is more than a day ago; 0 keeps for ever."""
    for number in range(FORGET_EVERY):
        buffered.record(row(number), (), ())
    assert len(ids(path)) == FORGET_EVERY
    buffered.adjust(StoreOptions(10, days=1))
    for number in range(3600, 3600 + FORGET_EVERY):
        buffered.record(row(number), (), ())
    assert ids(path) == [row(n).id for n in range(3600, 3600 + FORGET_EVERY)]  # their hour is not rolled up yet


def test_a_backlog_of_old_rows_goes_step_by_step(buffered: BufferedStore, path: Path) -> None:
    """Where there is more that is too old than goes at once, the next record goes on with it."""
    with closing(Database.open(path, NOW_NS)) as store:
        store.record([row(n) for n in range(2 * PRUNE_ROWS)], (), (), flush=False)
    buffered.adjust(StoreOptions(10, days=1))
    left = []
    for number in range(3600, 3600 + FORGET_EVERY + 3):
        buffered.record(row(number), (), ())
        left.append(len(ids(path)))
    begun = left.index(max(left)) + 1
    assert max(left) - left[begun] == PRUNE_ROWS - 1
    assert left[begun] - left[begun + 1] == PRUNE_ROWS - 1
    assert left[begun + 2] == begun + 3


def test_a_stepped_clock_moves_what_is_remembered(buffered: BufferedStore, path: Path) -> None:
    """Since when, by the new clock."""
    buffered.record(row(1), (TRACK,), ())
    buffered.shift(5)
    buffered.record(row(2), (), ())
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.states()[WORKER].since_ns == NOW_NS + 5


def test_too_many_alerts_are_said(buffered: BufferedStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of undelivered ones a thousand are kept, the newest, and that is said."""
    buffered.record(row(0), (), tuple(alert(number) for number in range(QUEUE_MOST)))
    buffered.record(row(1), (), (alert(QUEUE_MOST), alert(QUEUE_MOST + 1)))
    for number in range(2, FORGET_EVERY):
        buffered.record(row(number), (), ())
    with closing(Database.open(path, NOW_NS)) as store:
        assert [a.event_id for a in store.undelivered(QUEUE_MOST + 9)] == [
            alert(n).event_id for n in range(2, QUEUE_MOST + 2)
        ]
    assert "2 of more than 1000 alerts were given up" in caplog.text


@pytest.mark.namespaces
def test_a_damaged_file_that_cannot_be_renamed_is_trouble_like_any_other(tmp_path: Path) -> None:
    """A read-only filesystem keeps the damaged file where it is: said once, rows wait, nothing is raised."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "metrics.db").write_bytes(b"rubbish" * 1000)
    buffered = BufferedStore(folder / "metrics.db", SystemClock(), StoreOptions(10))
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        buffered.open()
        buffered.record(row(1), (), ())
        assert buffered.unsaved_rows == 1
        assert "metrics.db" in buffered.error
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    buffered.record(row(2), (), ())
    buffered.close()
    assert ids(folder / "metrics.db") == [row(1).id, row(2).id]
    assert len(list(folder.glob("metrics.db.corrupt-*"))) == 1


# Python's own, not the command sqlite3: where the package is built there is none.
_COUNT_ROWS = (
    "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM metrics').fetchone())"
)


def test_readers_outside_take_nothing_away(buffered: BufferedStore, path: Path) -> None:
    """Another process that reads between two writes, as a dashboard does, leaves the WAL where it is, flushed or not."""
    read = [sys.executable, "-c", _COUNT_ROWS, str(path)]
    for number in range(1, 5):
        buffered.record(row(number), (), (alert(number),) if number % 2 else ())
        assert subprocess.check_output(read, text=True) == f"{number}\n"


def record_many(buffered: BufferedStore, first: int) -> int:
    """Store so many rows that it is twice time to forget; the number of the next."""
    for number in range(first, first + 2 * FORGET_EVERY):
        buffered.record(row(number), (), ())
    return first + 2 * FORGET_EVERY


def test_a_clock_that_is_set_years_ahead_deletes_nothing(path: Path) -> None:
    """Neither while it is, nor after a restart by that clock; once it is set back, what is too old by then goes."""
    clock = FakeClock(from_iso(row(0).timestamp_lima))
    buffered = BufferedStore(path, clock, StoreOptions(10, days=1), boot_id="boot")
    buffered.open()
    number = record_many(buffered, 0)
    clock.wall_ns += 10 * 365 * NS_PER_DAY
    buffered.shift(10 * 365 * NS_PER_DAY)
    number = record_many(buffered, number)
    buffered.close()
    buffered = BufferedStore(path, clock, StoreOptions(10, days=1), boot_id="boot")
    buffered.open()
    number = record_many(buffered, number)
    assert ids(path) == [row(n).id for n in range(number)]
    buffered.close()
    clock.wall_ns -= (10 * 365 - 2) * NS_PER_DAY
    buffered = BufferedStore(path, clock, StoreOptions(10, days=1), boot_id="boot")
    buffered.open()
    record_many(buffered, 3600)
    buffered.close()
    assert ids(path) == [row(n).id for n in range(3600, 3600 + 2 * FORGET_EVERY)]


@pytest.mark.parametrize("boot", ["this-boot", "another-boot"])
def test_a_step_moves_only_what_this_boot_noted(path: Path, boot: str) -> None:
    """What an earlier boot noted was noted by another clock; also where that clock was years ahead of this one."""
    clock = FakeClock(NOW_NS + 100 * NS_PER_DAY)
    before = BufferedStore(path, clock, StoreOptions(10), boot_id="this-boot")
    before.open()
    before.record(row(1), (announced(WorkerState.ERROR, clock.now_ns(), problem_since_ns=NOW_NS),), ())
    since_ns = before.states[WORKER].since_ns if before.states else 0
    before.close()
    buffered = BufferedStore(path, clock, StoreOptions(10), boot_id=boot)
    buffered.open()
    for step_ns in (NS_PER_DAY, NS_PER_DAY):
        clock.wall_ns += step_ns
        buffered.shift(step_ns)
    moved_ns = 2 * NS_PER_DAY if boot == "this-boot" else 0
    assert buffered.states == {WORKER: announced(WorkerState.ERROR, since_ns + moved_ns, problem_since_ns=NOW_NS)}
    buffered.close()


def test_a_clock_that_was_stepped_while_nothing_ran(path: Path) -> None:
    """Within a boot, what was noted moves along all the same, once."""
    clock = FakeClock(NOW_NS)
    for _ in range(3):
        buffered = BufferedStore(path, clock, StoreOptions(10), boot_id="this-boot")
        buffered.open()
        since_ns = buffered.states[WORKER].since_ns if buffered.states else 0
        buffered.record(row(1), () if since_ns else (announced(WorkerState.ERROR, NOW_NS),), ())
        buffered.close()
        clock.wall_ns += NS_PER_DAY if since_ns == 0 else 0
    assert abs(since_ns - (NOW_NS + NS_PER_DAY)) < STEP_NS


def test_an_alert_keeps_the_clock_it_was_written_by(buffered: BufferedStore, path: Path) -> None:
    """Through the database and back."""
    written = replace(alert(1), notification=replace(alert(1).notification, boot_id="this-boot", booted_ns=NOW_NS))
    buffered.record(row(1), (), (written,))
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.undelivered() == (written,)
