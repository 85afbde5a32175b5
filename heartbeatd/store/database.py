"""The database: one SQLite file in WAL mode, one connection a thread, one transaction a cycle.

Durability. Every commit survives the death of the process. Against a power cut, a commit that carries an alert or a change
of state is flushed to the disk at once, and ordinary rows at least once a minute: that spares the SD card one flush in
every cycle. Readers never block the writer, nor it them (WAL); another writer is waited for `BUSY_S` at the most.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.delivery import Delivery
from heartbeatd.core.gap import Run, UntoldGap
from heartbeatd.core.retention import QUEUE_MOST, RetentionCutoff
from heartbeatd.core.sample import Readings, Row
from heartbeatd.core.silence import Silence
from heartbeatd.core.subject import Subject
from heartbeatd.files import require_regular
from heartbeatd.store import deliveries, migrations, rollups, service_checks, silences
from heartbeatd.store.disk_files import resolve_link
from heartbeatd.store.errors import translate_errors
from heartbeatd.store.opening import copy_if_foreign, switch_to_wal
from heartbeatd.store.pruning import PRUNE_ROWS, prune
from heartbeatd.store.readings import ReadingsTable
from heartbeatd.store.records import (
    INSERT_ROW,
    INSERT_UNTOLD,
    LAST_STAMP,
    REPLACE_STATE,
    STATE,
    UNTOLD,
    moment_of,
    state_of_values,
    untold_of_values,
    values_of_row,
    values_of_state,
    values_of_untold,
)
from heartbeatd.store.watched import WatchedConnection

BUSY_S = 1.0
WORKING_STEPS = 5_000_000  # of SQLite's virtual machine between two calls of `working`: a second or so
CACHE_KIB = 256  # rows are only ever added at the end: more would fill up with pages nobody looks at again
WAL_MOST_BYTES = 4 << 20  # what a large transaction (a takeover) made of it would else stay for as long as we run


@dataclass(frozen=True, slots=True)
class WriteResult:
    """After a write: the deliveries given up now, whether there is more that is too old, and whether others wrote before it."""

    given_up: int = 0
    more_to_prune: bool = False
    by_others: bool = False


class Database(WatchedConnection):
    """An open database. Every method raises StoreError (CorruptStoreError) in place of what SQLite throws."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(path, connection)
        self._flushes = False
        self._readings = ReadingsTable(connection)
        self._data_version: int | None = None
        self.taken_over: int | None = None

    @classmethod
    def open(
        cls, path: Path, now_ns: int, busy_s: float = BUSY_S, working: Callable[[], bool] | None = None
    ) -> "Database":
        """Open or create the database at `path` and bring it up to date. `taken_over` then has the rows of an earlier agent.

        Another writer is waited for `busy_s`. To bring a year of rows up to date may take a minute and more: `working` is
        called again and again meanwhile, and breaks it off, with everything as it was, when it returns True.
        """
        with translate_errors(path):
            with contextlib.suppress(FileNotFoundError):
                require_regular(resolve_link(path))
            copy_if_foreign(path)
            # The store's worker has it used by one thread at a time, but not always by the same one.
            connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
            # A text that somebody damaged is one bad row, and not the end of reading.
            connection.text_factory = lambda text: text.decode(errors="replace")
            try:
                migrations.configure_new_file(connection)
                switch_to_wal(connection, busy_s)
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

    def record(
        self,
        rows: Iterable[Row],
        states: Iterable[AlertState],
        on_their_way: Iterable[Delivery],
        *,
        flush: bool,
        keep: RetentionCutoff | None = None,
        untold: tuple[UntoldGap, ...] | None = None,
        readings: Sequence[Readings] = (),
        silenced: Iterable[Silence] = (),
    ) -> WriteResult:
        """Write all this in one transaction; with `flush`, a power cut cannot take it away again once this returns.

        `untold` takes the place of the gaps that are there; `readings` were read with these rows, or with rows that are there.

        With `keep` some of what is too old goes in the same transaction, a bounded number of rows; so do deliveries that ended
        too long ago, and the oldest that wait beyond `QUEUE_MOST` of their channel.
        """
        with translate_errors(self.path):
            self._flush(flush)
            with self._transaction():
                if readings:
                    self._readings.add(readings)
                    service_checks.add(self._connection, (check for one in readings for check in one.service_checks))
                self._add(rows)
                deliveries.put(self._connection, on_their_way)
                for state in states:
                    self._connection.execute(REPLACE_STATE, values_of_state(state))
                if untold is not None:
                    self._connection.execute("DELETE FROM untold_gap")
                    self._connection.executemany(INSERT_UNTOLD, map(values_of_untold, untold))
                silences.put(self._connection, silenced)
                pruned, given_up = prune(self._connection, keep) if keep is not None else (0, 0)
                return WriteResult(given_up, more_to_prune=pruned >= PRUNE_ROWS, by_others=self.changed_by_others())

    def _add(self, rows: Iterable[Row]) -> None:
        """Those that are not there yet, and the roll-ups of what is over with them."""
        last = self._connection.execute(LAST_STAMP).fetchone()
        stamps = [stamp for stamp in last or () if isinstance(stamp, str)]
        for row in rows:
            if self._connection.execute(INSERT_ROW, values_of_row(row)).rowcount:
                stamps.append(row.timestamp_lima)
        if stamps:
            rollups.roll_up(self._connection, stamps)

    def changed_by_others(self) -> bool:
        """Whether another connection has written since the last look (SQLite's data_version)."""
        with translate_errors(self.path):
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        before, self._data_version = self._data_version, version
        return before not in (None, version)

    def silences(self) -> tuple[Silence, ...]:
        """Those there are, whether they have ended or not."""
        with translate_errors(self.path):
            return silences.read(self._connection)

    def change_silences(self, added: Iterable[Silence], ended: Iterable[Silence]) -> None:
        """In one transaction, on the disk itself once this returns."""
        with translate_errors(self.path):
            self._flush(True)
            with self._transaction():
                silences.remove(self._connection, ended)
                silences.put(self._connection, added)

    def states(self) -> dict[Subject, AlertState]:
        """What has been announced, by subject; nothing in a database that has seen no observation yet."""
        with translate_errors(self.path):
            found = map(state_of_values, self._connection.execute(f"SELECT {STATE} FROM alert_state"))
            return {state.subject: state for state in found}

    def undelivered(self, most: int = QUEUE_MOST) -> tuple[Delivery, ...]:
        """The deliveries that have not arrived and are still tried, in order."""
        with translate_errors(self.path):
            return deliveries.waiting(self._connection, most)

    def sampled_ns(self, rows_after: int) -> int | None:
        """When the row was sampled that has so many stored after it, or the first row if there are fewer; None without rows."""
        with translate_errors(self.path):
            found = self._connection.execute(
                "SELECT timestamp_lima FROM metrics WHERE rowid <= (SELECT max(rowid) - ? FROM metrics)"
                " ORDER BY rowid DESC LIMIT 1",
                (rows_after,),
            ).fetchone()
            first = (
                found
                or self._connection.execute("SELECT timestamp_lima FROM metrics ORDER BY rowid LIMIT 1").fetchone()
            )
            return moment_of(first[0]) if first else None

    def begin_run(self, boot_id: str, booted_ns: int | None = None) -> tuple[Run | None, tuple[UntoldGap, ...]]:
        """Note that a run begins. What is known of the one before, None if there was none; and the gaps not told yet.

        The time since that one is among them, unless it had no cycle: then the gap before it goes on. `booted_ns`: see `Run`.
        """
        with translate_errors(self.path), self._transaction():
            found = self._connection.execute("SELECT boot_id, ended_ns, booted_ns FROM run").fetchone()
            last = self._connection.execute(LAST_STAMP).fetchone()
            run = Run(found[0], moment_of(last[0]) if last else None, found[1] is not None, found[2]) if found else None
            untold = self._untold()
            if run is not None and run.last_row_ns is not None and all(gap.resumed is not None for gap in untold):
                untold = (*untold, UntoldGap(run))
                self._connection.execute(INSERT_UNTOLD, values_of_untold(untold[-1]))
            self._connection.execute(
                "INSERT OR REPLACE INTO run (latest, boot_id, booted_ns) VALUES (1, ?, ?)", (boot_id, booted_ns)
            )
        self._files.learn_salt()
        return run, untold

    def _untold(self) -> tuple[UntoldGap, ...]:
        return tuple(
            map(untold_of_values, self._connection.execute(f"SELECT {UNTOLD} FROM untold_gap ORDER BY number"))
        )

    def note_clock(self, booted_ns: int) -> None:
        """Note that the wall clock was stepped: what it would have shown at boot is another moment now, and so is a takeover in
        this boot, from which on the earlier agent's rows are spared."""
        with translate_errors(self.path), self._transaction():
            self._connection.execute(
                "UPDATE takeover SET at_ns = at_ns + ? - run.booted_ns FROM run WHERE at_ns >= run.booted_ns",
                (booted_ns,),
            )
            self._connection.execute("UPDATE run SET booted_ns = ?", (booted_ns,))

    def end_run(self, now_ns: int) -> None:
        """Note that this run ends in good order."""
        with translate_errors(self.path), self._transaction():
            self._connection.execute("UPDATE run SET ended_ns = ?", (now_ns,))

    def _flush(self, flush: bool) -> None:
        """Whether the next commit has to reach the disk itself."""
        if flush != self._flushes:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if flush else 'NORMAL'}")
            self._flushes = flush

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._readings.forget()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
