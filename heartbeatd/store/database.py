"""The database: one SQLite file in WAL mode, one connection a thread, one transaction a cycle.

Durability. Every commit survives the death of the process. Against a power cut, a commit that carries an alert or a change
of state is flushed to the disk at once, and ordinary rows at least once a minute: that spares the SD card one flush in
every cycle. Readers never block the writer, nor it them (WAL); another writer is waited for `BUSY_S` at the most.
"""

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from heartbeatd.core.alerting import AlertState
from heartbeatd.core.gap import Run
from heartbeatd.core.notification import Notification
from heartbeatd.core.retention import QUEUE_MOST, RetentionCutoff, cutoff
from heartbeatd.core.sample import Row
from heartbeatd.core.subject import Severity, Subject
from heartbeatd.core.timefmt import from_iso
from heartbeatd.errors import CorruptStoreError, Problem, StoreError
from heartbeatd.files import require_regular
from heartbeatd.store import migrations, rollups
from heartbeatd.store.disk_files import DiskFiles, Harm, beside

BUSY_S = 1.0
WORKING_STEPS = 5_000_000  # of SQLite's virtual machine between two calls of `working`: a second or so
CACHE_KIB = 256  # rows are only ever added at the end: more would fill up with pages nobody looks at again
WAL_MOST_BYTES = 4 << 20  # what a large transaction (a takeover) made of it would else stay for as long as we run
SPARE_PAGES = 256  # of empty ones: where as many rows go as come, they are filled again, and moving others costs writes
VACUUM_PAGES = 512  # likewise; more than PRUNE_ROWS leave empty
PRUNE_ROWS = 500  # per pass: what is deleted at once must not be felt in the cycle
_INSERT_ROW = (
    f"INSERT INTO metrics ({', '.join(name for name, _ in migrations.METRICS)}) "
    f"VALUES ({', '.join('?' for _ in migrations.METRICS)}) ON CONFLICT (id) DO NOTHING"
)
_ALERT = "event_id, queued_ns, body, attempts, boot_id, booted_ns"
MOVED_TO = "moved to "  # with the path of the database that has the alert now; it may come back from there
_INSERT_ALERT = (
    f"INSERT INTO alerts ({_ALERT}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO UPDATE"
    " SET set_aside_ns = NULL, last_error = NULL, attempts = excluded.attempts"
    f" WHERE delivered_ns IS NULL AND set_aside_ns IS NOT NULL AND last_error LIKE '{MOVED_TO}%'"
)
_PENDING = "delivered_ns IS NULL AND set_aside_ns IS NULL"
_COUNT_PENDING = f"SELECT count(*), max(number) FROM alerts WHERE {_PENDING}"
_STATE = (
    "subject, announced, severity, since_ns, cause, problem_since_ns, streak, streak_state, streak_since_ns,"
    " untold, untold_since_ns, changes_ns"
)
_REPLACE_STATE = f"INSERT OR REPLACE INTO alert_state ({_STATE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# dataclasses.astuple() copies each value, and costs more than the row's way into SQLite.
_values_of_row = attrgetter(*(name for name, _ in migrations.METRICS))
_values_of_alert = attrgetter(*_ALERT.split(", "))
# sqlite3 error codes of a file that is no database any more (https://sqlite.org/rescode.html)
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """After a write: the alerts still to be delivered, whoever queued them, and the number of the last one; those given up now,
    which nobody will hear of; and whether there is more that is too old."""

    pending: int
    last: int | None = None
    given_up: int = 0
    more_to_prune: bool = False


@dataclass(frozen=True, slots=True)
class _Folded:
    """What is in the file itself, less its WAL: the version of its layout (PRAGMA schema_version), and the last row."""

    schema: int
    last: int | None = None


class Database:
    """An open database. Every method raises StoreError (CorruptStoreError) in place of what SQLite throws."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection
        self._beneath = DiskFiles.of(path)
        self._folded = _Folded(0)
        self._flushes = False
        self.taken_over: int | None = None

    @classmethod
    def open(
        cls, path: Path, now_ns: int, busy_s: float = BUSY_S, working: Callable[[], bool] | None = None
    ) -> "Database":
        """Open or create the database at `path` and bring it up to date. `taken_over` then has the rows of an earlier agent.

        Another writer is waited for `busy_s`. To bring a year of rows up to date may take a minute and more: `working` is
        called again and again meanwhile, and breaks it off, with everything as it was, when it returns True.
        """
        with _said_well(path):
            with contextlib.suppress(FileNotFoundError):
                require_regular(path)
            _make_ours(path)
            connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
            # A text that somebody damaged is one bad row, and not the end of reading.
            connection.text_factory = lambda text: text.decode(errors="replace")
            try:
                migrations.configure_new_file(connection)
                _switch_to_wal(connection, busy_s)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                connection.execute(f"PRAGMA journal_size_limit = {WAL_MOST_BYTES}")
                store = cls(path, connection)
                connection.set_progress_handler(working, WORKING_STEPS)
                store.taken_over = migrations.migrate(connection, now_ns)
                connection.set_progress_handler(None, 0)
            except BaseException:
                connection.close()
                raise
            return store

    def watch(self) -> None:
        """Begin to look after the files: from here on `harm` says what others do to them."""
        with _said_well(self.path):
            # What is in the WAL goes into the file itself, so that there is something to know it again by.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._beneath = DiskFiles.of(self.path)
            self._beneath.looked_at()
            self._folded, _ = self._in_file(None)

    def is_current_file(self) -> bool:
        """False if the file was deleted or replaced under the open connection: what is written then goes nowhere."""
        return self._beneath.is_current_file()

    def harm(self, *, closely: bool) -> Harm | None:
        """What others did to the files since `watch`: then this connection is of no use any more, see `give_up`.

        Looked at `closely`, the files beside it count, too. That costs more, and nothing is lost while they are missed.
        """
        in_place, written = self._beneath.looked_at()
        if not in_place:
            return Harm.REPLACED
        if closely and (lost := self._beneath.lost()) is not None:
            return lost
        if not written:
            if closely:
                self._beneath.learn_salt()
            return None
        before = self._folded
        try:
            now, kept_id = self._in_file(before.last)
        except sqlite3.Error:  # somebody's checkpoint is under way, or it is damaged, which `look_again` finds out
            self._beneath.written = None
            return None
        with _said_well(self.path):
            if before.schema > now.schema or not self._is_ahead_of(now, before, kept_id):
                return Harm.OVERWRITTEN
        self._folded = now
        self._beneath.learn_salt()
        return None

    def _is_ahead_of(self, now: "_Folded", before: "_Folded", kept_id: str | None) -> bool:
        """Whether the file itself has what this connection sees, or less. `kept_id` is in the row that was last known in it."""
        try:
            (schema_now,) = self._connection.execute("PRAGMA schema_version").fetchone()
            ours = self._connection.execute("SELECT id FROM metrics WHERE rowid = ?", (before.last,)).fetchone()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT:  # the WAL was overwritten, too
                return False
            raise
        return bool(now.schema <= schema_now) and (ours is None or ours[0] == kept_id)

    def give_up(self, harm: Harm) -> None:
        """Close after `harm`, so that nothing is lost. Raises StoreError if that is not possible yet: then it stays open."""
        if harm is Harm.OVERWRITTEN:
            self._connection.interrupt()  # then closing does not write the WAL into a file that it does not belong to
        elif harm is not Harm.INDEX and not self._fold() and harm is Harm.WAL:
            what = "its -wal file was deleted, and somebody who reads holds up saving what was in it"
            waits = StoreError(Problem(str(self.path), what, _locked(self.path)))
            waits.code = sqlite3.SQLITE_BUSY
            raise waits
        self.close()
        with _said_well(self.path):
            if harm is Harm.OVERWRITTEN:
                self._beneath.remove_ours()
            elif harm is Harm.REPLACED:
                self._beneath.remove_left()

    def _fold(self) -> bool:
        """Write all that is in the WAL into the file itself; False if that was not possible."""
        with contextlib.suppress(sqlite3.Error):
            (busy, pages, folded) = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return not busy and pages == folded
        return False

    def _in_file(self, rowid: int | None) -> tuple["_Folded", str | None]:
        """How far the WAL has been folded into the file, and the id of the row `rowid` there."""
        # Without locks, and so without a WAL: the file as it is on the disk.
        uri = f"{self._beneath.real.as_uri()}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as alone:
            (version,) = alone.execute("PRAGMA schema_version").fetchone()
            if alone.execute("SELECT 1 FROM sqlite_master WHERE name = 'metrics'").fetchone() is None:
                return _Folded(version), None
            (last,) = alone.execute("SELECT max(rowid) FROM metrics").fetchone()
            found = alone.execute("SELECT id FROM metrics WHERE rowid = ?", (rowid,)).fetchone()
        return _Folded(version, last), found[0] if found else None

    def verify_on_disk(self) -> None:
        """Raise CorruptStoreError if what is in the file is no database any more.

        The open connection may go on for ever without noticing: what it needs of a file that only it writes is in its memory.
        A fresh one has to read. It has to be SQLite's: whoever opens the file in any other way, and closes it again, takes all
        locks of this process on it away, and the next reader outside deletes the WAL (https://sqlite.org/howtocorrupt.html, 2.2).
        """
        with (
            _said_well(self.path),
            contextlib.closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", uri=True)) as fresh,
        ):
            fresh.execute("SELECT id FROM metrics ORDER BY rowid DESC LIMIT 1").fetchone()

    def record(
        self,
        rows: Iterable[Row],
        states: Iterable[AlertState],
        alerts: Iterable[Notification],
        *,
        flush: bool,
        keep: RetentionCutoff | None = None,
    ) -> WriteResult:
        """Write all this in one transaction; with `flush`, a power cut cannot take it away again once this returns.

        With `keep` some of what is too old goes in the same transaction, a bounded number of rows; so do alerts delivered
        too long ago, and the oldest undelivered ones beyond `QUEUE_MOST`.
        """
        with _said_well(self.path):
            self._flush(flush)
            with self._transaction():
                for row in rows:
                    if self._connection.execute(_INSERT_ROW, _values_of_row(row)).rowcount:
                        rollups.add(self._connection, row)
                for alert in alerts:
                    self._connection.execute(_INSERT_ALERT, _values_of_alert(alert))
                for state in states:
                    self._connection.execute(_REPLACE_STATE, _values_of_state(state))
                pruned, given_up = self._forget(keep) if keep is not None else (0, 0)
                pending, last = self._connection.execute(_COUNT_PENDING).fetchone()
                return WriteResult(pending, last, given_up, more_to_prune=pruned == PRUNE_ROWS)

    def states(self) -> dict[Subject, AlertState]:
        """What has been announced, by subject; nothing in a database that has seen no observation yet."""
        with _said_well(self.path):
            found = map(_state_of_values, self._connection.execute(f"SELECT {_STATE} FROM alert_state"))
            return {state.subject: state for state in found}

    def pending(self, most: int = QUEUE_MOST) -> tuple[Notification, ...]:
        """The alerts still to be delivered, the oldest first."""
        with _said_well(self.path):
            rows = self._connection.execute(
                f"SELECT {_ALERT.replace('attempts', 'CAST(attempts AS INTEGER)')} FROM alerts"
                f" WHERE {_PENDING} ORDER BY number LIMIT ?",
                (most,),
            ).fetchall()
            return tuple(Notification(*row) for row in rows)

    def mark_attempt(self, alert: Notification, error: str) -> None:
        """Note that a try to deliver `alert` failed."""
        with _said_well(self.path), self._transaction():
            self._connection.execute(
                "UPDATE alerts SET attempts = ?, last_error = ? WHERE event_id = ?",
                (alert.attempts + 1, error, alert.event_id),
            )

    def mark_delivered(self, alert: Notification, at_ns: int) -> None:
        """Note that `alert` has arrived; it is not sent again. Put in now if it had not been written yet."""
        with _said_well(self.path), self._transaction():
            self._connection.execute(_INSERT_ALERT, _values_of_alert(alert))
            self._connection.execute(
                "UPDATE alerts SET attempts = ?, last_error = NULL, delivered_ns = ? WHERE event_id = ?",
                (alert.attempts + 1, at_ns, alert.event_id),
            )

    def withdraw(self, event_id: str) -> bool:
        """Take an alert out of the queue; False if it has been delivered."""
        with _said_well(self.path), self._transaction():
            self._connection.execute("DELETE FROM alerts WHERE event_id = ? AND delivered_ns IS NULL", (event_id,))
            found = self._connection.execute("SELECT 1 FROM alerts WHERE event_id = ?", (event_id,)).fetchone()
        return found is None

    def set_aside(self, alerts: Iterable[Notification], at_ns: int, reason: str) -> None:
        """Note that these are not sent any more, and why. They stay for those who look, as delivered ones do."""
        with _said_well(self.path), self._transaction():
            for alert in alerts:
                self._connection.execute(_INSERT_ALERT, _values_of_alert(alert))
                self._connection.execute(
                    "UPDATE alerts SET attempts = ?, last_error = ?, set_aside_ns = ? WHERE event_id = ?",
                    (alert.attempts, reason, at_ns, alert.event_id),
                )

    def sampled_ns(self, rows_after: int) -> int | None:
        """When the row was sampled that has so many stored after it, or the first row if there are fewer; None without rows."""
        with _said_well(self.path):
            found = self._connection.execute(
                "SELECT timestamp_lima FROM metrics WHERE rowid <= (SELECT max(rowid) - ? FROM metrics)"
                " ORDER BY rowid DESC LIMIT 1",
                (rows_after,),
            ).fetchone()
            first = (
                found
                or self._connection.execute("SELECT timestamp_lima FROM metrics ORDER BY rowid LIMIT 1").fetchone()
            )
            return _moment(first[0]) if first else None

    def begin_run(self, boot_id: str, booted_ns: int | None = None) -> Run | None:
        """Note that a run begins, and tell what is known of the one before; None if there was none. `booted_ns`: see `Run`."""
        with _said_well(self.path), self._transaction():
            found = self._connection.execute("SELECT boot_id, ended_ns, booted_ns FROM run").fetchone()
            last = self._connection.execute("SELECT timestamp_lima FROM metrics ORDER BY rowid DESC LIMIT 1").fetchone()
            self._connection.execute(
                "INSERT OR REPLACE INTO run (latest, boot_id, booted_ns) VALUES (1, ?, ?)", (boot_id, booted_ns)
            )
        self._beneath.learn_salt()
        if found is None:
            return None
        return Run(found[0], _moment(last[0]) if last else None, found[1] is not None, found[2])

    def note_clock(self, booted_ns: int) -> None:
        """Note that the wall clock was stepped: what it would have shown at boot is another moment now, and so is a takeover in
        this boot, from which on the earlier agent's rows are spared."""
        with _said_well(self.path), self._transaction():
            self._connection.execute(
                "UPDATE takeover SET at_ns = at_ns + ? - run.booted_ns FROM run WHERE at_ns >= run.booted_ns",
                (booted_ns,),
            )
            self._connection.execute("UPDATE run SET booted_ns = ?", (booted_ns,))

    def end_run(self, now_ns: int) -> None:
        """Note that this run ends in good order."""
        with _said_well(self.path), self._transaction():
            self._connection.execute("UPDATE run SET ended_ns = ?", (now_ns,))

    def close(self) -> None:
        """Flush, and fold the WAL back into the file if nobody else has it open."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _flush(self, flush: bool) -> None:
        """Whether the next commit has to reach the disk itself."""
        if flush != self._flushes:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if flush else 'NORMAL'}")
            self._flushes = flush

    def _forget(self, keep: RetentionCutoff) -> tuple[int, int]:
        """How many rows went, and how many undelivered alerts."""
        found = self._connection.execute("SELECT at_ns FROM takeover").fetchone()
        before = cutoff(keep, found[0] if found else None)
        pruned = 0
        if before is not None:
            # By the index on the time: rows of a clock that ran ahead must not stand in the way of those behind them.
            pruned = self._connection.execute(
                "DELETE FROM metrics WHERE rowid IN"
                " (SELECT rowid FROM metrics WHERE timestamp_lima < ? ORDER BY timestamp_lima LIMIT ?)",
                (before, PRUNE_ROWS),
            ).rowcount
            self._connection.execute(
                "DELETE FROM alerts WHERE number IN (SELECT number FROM alerts"
                " WHERE coalesce(delivered_ns, set_aside_ns) < ? ORDER BY number LIMIT ?)",
                (keep.since_ns, PRUNE_ROWS),
            )
            self._give_space_back()
        given_up = self._connection.execute(
            f"DELETE FROM alerts WHERE {_PENDING} AND number <= (SELECT number FROM alerts"
            f" WHERE {_PENDING} ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (QUEUE_MOST,),
        ).rowcount
        return pruned, given_up

    def _give_space_back(self) -> None:
        """Cut some of the empty pages off the file, but those that the next rows will fill."""
        (empty,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        for _ in range(min(empty - SPARE_PAGES, VACUUM_PAGES)):
            # One page a call: execute() frees no more, and executescript() would commit what is under way.
            self._connection.execute("PRAGMA incremental_vacuum(1)")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _values_of_state(state: AlertState) -> tuple[object, ...]:
    changes = " ".join(map(str, state.changes_ns)) or None
    return (
        *(str(state.subject), state.announced, state.severity, state.since_ns, state.reason, state.problem_since_ns),
        *(state.streak, state.streak_state, state.streak_since_ns, state.untold, state.untold_since_ns, changes),
    )


def _state_of_values(values: Sequence[Any]) -> AlertState:
    """Raises ValueError for what is no alert state."""
    (
        subject,
        announced,
        severity,
        since_ns,
        reason,
        problem_since_ns,
        streak,
        streak_state,
        streak_since_ns,
        *flapping,
    ) = values
    untold, untold_since_ns, changes = flapping
    return AlertState(
        subject=Subject.parse(subject),
        announced=announced,
        severity=Severity(severity),
        since_ns=since_ns,
        reason=reason,
        problem_since_ns=problem_since_ns,
        streak=streak,
        streak_state=streak_state,
        streak_since_ns=streak_since_ns,
        untold=untold,
        untold_since_ns=untold_since_ns,
        changes_ns=tuple(map(int, changes.split())) if changes else (),
    )


def _switch_to_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """Wait for whoever does the same at this moment: for this SQLite does not wait by itself. Raises sqlite3.Error."""
    until_s = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
            time.sleep(0.02)


def _moment(text: object) -> int | None:
    """The moment a row names; None if it names none."""
    try:
        return from_iso(str(text))
    except (ValueError, TypeError):
        return None


def _make_ours(path: Path) -> None:
    """Files that somebody else owns (copied in by root) but that can be read are replaced by a copy that is ours, WAL and all."""
    real = path.resolve()
    wal, index = beside(real, "-wal"), beside(real, "-shm")
    there = [found for found in (real, wal, index) if found.exists()]
    if real not in there or all(os.access(found, os.W_OK) for found in there) or not os.access(real.parent, os.W_OK):
        return
    copy = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{real.as_uri()}?mode=ro", uri=True)) as theirs,
            contextlib.closing(sqlite3.connect(copy)) as ours,
        ):
            theirs.backup(ours)
        copy.replace(real)
        for left in (wal, index):  # what was in them is in the copy
            left.unlink(missing_ok=True)
    finally:
        copy.unlink(missing_ok=True)


@contextlib.contextmanager
def _said_well(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system throw into an error of ours that says what to do."""
    try:
        yield
    except migrations.IncompatibleDatabase as error:
        raise StoreError(
            Problem(str(path), str(error), "move the file aside, or install a version that fits")
        ) from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        kind = CorruptStoreError if code & 0xFF in _CORRUPT else StoreError
        hint = _hint(path, code & 0xFF, getattr(error, "sqlite_errorname", ""))
        raised = kind(Problem(str(path), f"database: {error}", hint))
        raised.code = code & 0xFF
        raise raised from error
    except OSError as error:
        seen = error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOENT)
        hint = _looked_at(path) if seen else ""
        raise StoreError(Problem(str(path), error.strerror or str(error), hint)) from error
    except ValueError as error:  # a word in alert_state that this version does not know
        raise CorruptStoreError(Problem(str(path), f"database: {error}", "it was changed by hand")) from error


def _hint(path: Path, code: int, name: str) -> str:
    hints = {
        sqlite3.SQLITE_FULL: "the disk is full: make room",
        sqlite3.SQLITE_BUSY: _locked(path),
        sqlite3.SQLITE_CORRUPT: "the file is damaged",
        sqlite3.SQLITE_NOTADB: "the file is damaged, or something else",
    }
    seen = hints.get(code) or _looked_at(path)
    if not seen and code == sqlite3.SQLITE_IOERR:
        return f"{name}: the system could not read or write it; `dmesg` says whether that is the disk's fault"
    return seen or (f"{name}: see sqlite.org/rescode.html" if name else "")


def _looked_at(path: Path) -> str:
    from heartbeatd.store import hints

    return hints.to_write(path)


def _locked(path: Path) -> str:
    return f"another process holds it locked: find it with `fuser {path}`"
