"""What others do to the files of an open database: nothing is lost that need not be, and what was done is said once."""

import contextlib
import logging
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import SystemClock
from heartbeatd.core.worker import WORKER
from heartbeatd.errors import StoreError
from heartbeatd.journal import NOTICE
from heartbeatd.store.background import BackgroundStore
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.buffered_store import BufferedStore
from heartbeatd.store.database import Database
from heartbeatd.store.reader import Reader
from tests.store.test_buffer import TRACK, pending
from tests.support.agent import run_python
from tests.support.disk import sh
from tests.support.rows import NOW_NS, alert, ids, row
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow  # and where the package is built, there is no command sqlite3


@pytest.fixture(autouse=True)
def listen(caplog: pytest.LogCaptureFixture) -> None:
    """Hear notices, too."""
    caplog.set_level(logging.INFO, "heartbeatd")


@pytest.fixture
def buffered(path: Path) -> Iterator[BufferedStore]:
    """An agent's store that is open and has some rows, an alert and a state."""
    made = BufferedStore(path, SystemClock(), StoreOptions(10), boot_id="boot")
    made.open()
    for number in range(1, 4):
        made.record(row(number), (TRACK,), (alert(number),))
    yield made
    made.close()


def whole(path: Path) -> bool:
    """Whether SQLite, in a process of its own, finds nothing wrong with the file."""
    done = subprocess.run(["sqlite3", str(path), "PRAGMA integrity_check"], capture_output=True, text=True, check=False)
    return done.stdout == "ok\n"


@pytest.mark.parametrize("lost", ["-wal", "-shm", "-wal -shm"])
@pytest.mark.parametrize("read_meanwhile", [False, True], ids=["nobody reads", "somebody reads"])
def test_files_beside_it_that_are_deleted(
    buffered: BufferedStore, path: Path, caplog: pytest.LogCaptureFixture, lost: str, read_meanwhile: bool
) -> None:
    """Noticed with the next row that goes to the disk itself; every row is there; nothing was said to be the disk's fault."""
    sh(" ".join(f"rm {path}{suffix};" for suffix in lost.split()))
    if read_meanwhile:
        subprocess.run(["sqlite3", str(path), "SELECT count(*) FROM metrics"], capture_output=True, check=False)
    for number in range(4, 7):
        buffered.record(row(number), (), (alert(number),) if number == 5 else ())
    assert ids(path) == [row(n).id for n in range(1, 7)]
    assert whole(path)
    assert buffered.error == ""
    assert [r.getMessage().split(" while")[0] for r in caplog.records] == [f"{path} lost its {lost.split()[0]} file"]
    buffered.close()
    assert ids(path) == [row(n).id for n in range(1, 7)]
    assert whole(path)


def test_a_wal_that_is_deleted_under_a_long_reader(buffered: BufferedStore, path: Path) -> None:
    """What was in it cannot be saved while somebody reads: nothing is thrown away, rows wait, and then all is there."""
    reading = "BEGIN; SELECT 'reading' FROM metrics LIMIT 1;\n"
    with subprocess.Popen(
        ["sqlite3", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write(reading)
        assert reader.stdout.readline() == "reading\n"
        buffered.record(row(4), (), ())
        sh(f"rm {path}-wal")
        buffered.record(row(5), (), (alert(5),))
        assert "somebody who reads" in buffered.error
        reader.stdin.write("COMMIT;\n")
        reader.stdin.close()
    buffered.record(row(6), (), ())
    assert ids(path) == [row(n).id for n in range(1, 7)]
    assert whole(path)


BACKUPS = {
    "sqlite3 .backup": "sqlite3 {path} '.backup {backup}'",
    "VACUUM INTO": "sqlite3 {path} \"VACUUM INTO '{backup}'\"",
    "cp": "cp {path} {backup}",
}


@pytest.mark.parametrize("over", ["cp", "mv", "cat"])
@pytest.mark.parametrize("how", BACKUPS)
@pytest.mark.parametrize("later_rows", [1, 600], ids=["soon", "after checkpoints"])
def test_a_backup_that_is_put_back(
    buffered: BufferedStore,
    path: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    over: str,
    how: str,
    later_rows: int,
) -> None:
    """It is what counts from then on: its rows, and those that come; the file is whole; state and queue are known again."""
    backup = tmp_path / "backup.db"
    sh(BACKUPS[how].format(path=path, backup=backup))
    with closing(sqlite3.connect(f"{backup.as_uri()}?immutable=1", uri=True)) as reader:
        saved = [found for (found,) in reader.execute("SELECT id FROM metrics ORDER BY rowid")]
    for number in range(4, 4 + later_rows):
        buffered.record(row(number), (), ())
    sh(f"cat {backup} > {path}" if over == "cat" else f"{over} {backup} {path}")
    for number in range(5000, 5003):
        buffered.record(row(number), (), ())
    assert whole(path)
    lost = len(ids(path)) < 3 + later_rows + 3
    assert ids(path) in (
        [*saved, *(row(n).id for n in range(5000, 5003))],
        # What was put back is what the file was before, page for page: then the WAL still fits, and nothing is lost.
        [row(n).id for n in (*range(1, 4 + later_rows), *range(5000, 5003))],
    )
    assert (
        [found.event_id for found in buffered.undelivered.values()]
        == pending(path)
        == [alert(n).event_id for n in range(1, 4)]
    )
    assert [r.getMessage() for r in caplog.records if r.levelno > logging.INFO] == (
        [
            f"{path} was {'deleted or replaced' if over == 'mv' else 'overwritten'} while in use;"
            f" going on with what is {'there' if over == 'mv' else 'in it'} now"
        ]
        if lost
        else []
    )
    buffered.close()
    assert whole(path)
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.states() == {WORKER: TRACK}


def test_a_backup_that_is_put_back_with_its_wal(buffered: BufferedStore, path: Path, tmp_path: Path) -> None:
    """Taken of a running database, all files of it, and put back in the same way: what is in that WAL counts, too."""
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other, isolation_level=None)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        with closing(Database.open(other, NOW_NS)) as store:
            store.record([row(n) for n in range(100, 110)], (), (), flush=True)
        made.execute("SELECT count(*) FROM metrics").fetchone()
        for _ in range(2):
            sh(f"cp {other} {tmp_path}/b; cp {other}-wal {tmp_path}/b-wal; mv -f {tmp_path}/b {path}")
            sh(f"rm -f {path}-shm; mv -f {tmp_path}/b-wal {path}-wal")
            buffered.record(row(200), (), ())
            assert ids(path) == [*(row(n).id for n in range(100, 110)), row(200).id]
            assert whole(path)


def test_checkpoints_of_others_are_no_harm(
    buffered: BufferedStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program that folds the WAL in, deletes rows, or makes the file small, is nobody's enemy."""
    commands = (
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "DELETE FROM metrics WHERE rowid = 3; PRAGMA wal_checkpoint",
        "VACUUM",
    )
    for number, command in enumerate(commands, 10):
        sh(f"sqlite3 {path} '{command}' > {path}.out")
        buffered.record(row(number), (), ())
    assert ids(path) == [row(n).id for n in (1, 2, 10, 11, 12)]
    assert [r.getMessage() for r in caplog.records] == []


@pytest.mark.namespaces
@pytest.mark.parametrize("foreign", [("",), ("-wal",), ("", "-wal"), ("", "-wal", "-shm"), ("-shm",)], ids="+".join)
def test_files_of_roots_that_were_copied_in(foreign: tuple[str, ...]) -> None:
    """`cp` by root leaves files that the agent may read and not write: they are made its own, with all that is in the WAL."""
    with contextlib.ExitStack() as up:
        folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
        up.callback(shutil.rmtree, folder)
        path = folder / "metrics.db"
        with closing(Database.open(folder / "source.db", NOW_NS)) as store:
            store.record([row(n) for n in range(1, 4)], (TRACK,), (alert(1),), flush=True)
            sh(f"for s in '' -wal -shm; do cp {folder}/source.db$s {path}$s; done")
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").chmod(0o644)
            if suffix not in foreign:
                os.chown(f"{path}{suffix}", 61234, 61234)
        os.chown(folder, 61234, 61234)
        code = (
            "import sys; from pathlib import Path; from heartbeatd.store.database import Database\n"
            "from tests.support.rows import row\n"
            "store = Database.open(Path(sys.argv[1]), 1); store.record([row(9)], (), (), flush=True)\n"
            "print(*[s.announced for s in store.states().values()], len(store.undelivered())); store.close()"
        )
        done = run_python("-c", code, path, prefix=("setpriv", "--reuid=61234", "--regid=61234", "--clear-groups"))
        assert (done.stdout, done.stderr) == ("error 1\n", "")
        assert ids(path) == [row(n).id for n in (1, 2, 3, 9)]
        assert whole(path)


@pytest.mark.namespaces
def test_a_frozen_filesystem_holds_no_cycle_up(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows and alerts wait; the queue can be asked and told; it is said once; and all is there once it has thawed."""
    path, keeping = disk / "metrics.db", StoreOptions(10)
    buffered = BackgroundStore(BufferedStore(path, SystemClock(), keeping, boot_id="boot"), keeping, CancelToken())
    buffered.open()
    buffered.record(row(1), (TRACK,), (alert(1),))
    sh(f"fsfreeze -f {disk}")
    took_s = []
    for number in range(2, 6):
        began_s = time.monotonic()
        buffered.record(row(number), (), (alert(number),))
        took_s.append(time.monotonic() - began_s)
    assert max(took_s) < 30
    assert buffered.unsaved_rows >= 4
    assert "the disk does not answer" in buffered.error
    sh(f"fsfreeze -u {disk}")
    deadline_s = time.monotonic() + 60
    number = 6
    while buffered.unsaved_rows and time.monotonic() < deadline_s:
        buffered.record(row(number), (), ())
        number += 1
    assert ids(path) == [row(n).id for n in range(1, number)]
    assert pending(path) == [alert(n).event_id for n in range(1, 6)]
    assert buffered.error == ""
    assert [r.levelno for r in caplog.records] == [logging.ERROR, NOTICE]
    buffered.close()


@pytest.mark.namespaces
def test_a_filesystem_that_is_frozen_at_the_start_and_at_the_stop(disk: Path) -> None:
    """Neither waits for it; what was announced and queued is taken up once it has thawed."""
    path, keeping, stop = disk / "metrics.db", StoreOptions(10), CancelToken()
    with closing(Database.open(path, NOW_NS)) as store:
        store.begin_run("earlier")
        store.record([row(1)], (TRACK,), (alert(1),), flush=True)
    sh(f"fsfreeze -f {disk}")
    buffered = BackgroundStore(BufferedStore(path, SystemClock(), keeping, boot_id="boot"), keeping, stop)
    began_s = time.monotonic()
    buffered.open()
    assert time.monotonic() - began_s < 30
    buffered.record(row(2), (), ())
    sh(f"fsfreeze -u {disk}")
    deadline_s = time.monotonic() + 60
    while buffered.unsaved_rows and time.monotonic() < deadline_s:
        buffered.record(row(3), (), ())
    assert buffered.states == {WORKER: TRACK}
    assert buffered.previous_run is not None
    assert [gap.run for gap in buffered.untold] == [buffered.previous_run]
    sh(f"fsfreeze -f {disk}")
    began_s = time.monotonic()
    stop.cancel()
    buffered.record(row(4), (), ())
    buffered.close()
    assert time.monotonic() - began_s < 30
    sh(f"fsfreeze -u {disk}")
    # The thread that hung has to come back before the filesystem can be unmounted.
    wait_until(lambda: ids(path)[-1] == row(4).id and not Path(f"{path}-wal").exists())


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root's links, and others'")
def test_a_link_of_roots_is_followed_and_one_of_anybody_elses_is_not(tmp_path: Path) -> None:
    """By the agent and by who reads alike, and with the same words; what is beside the database is beside the file."""
    (tmp_path / "disk").mkdir()
    link, real = tmp_path / "metrics.db", tmp_path / "disk/metrics.db"
    link.symlink_to("disk/metrics.db")
    with closing(Database.open(link, NOW_NS)) as database:
        database.record([row(1)], (), (), flush=True)
        with closing(Reader.open(link)) as reader:
            assert reader.last_row() is not None
        assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "metrics.db"]
    os.lchown(link, 65534, 65534)
    for opened in (lambda: Database.open(link, NOW_NS), lambda: Reader.open(link)):
        with pytest.raises(StoreError, match=f"{link} is a symbolic link that is not root's: name the file itself"):
            opened()
    link.unlink()
    link.symlink_to("disk/between")
    (tmp_path / "disk/between").symlink_to(real)
    os.lchown(tmp_path / "disk/between", 65534, 65534)
    with pytest.raises(StoreError, match="disk/between is a symbolic link"):
        Database.open(link, NOW_NS)
