"""Remembering, whatever becomes of the database: what cannot be written now waits in memory and is written later.

A database that is not open is opened by the next write. Each trouble is said once when it begins, with what to do, and once when
it is over. A file that is no database any more is set aside under a name with the time, and a new one is begun with the announced
state and the undelivered notifications that are known.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from heartbeatd.clock import Clock, booted_ns
from heartbeatd.core.alert_state import AlertState, AlertStates
from heartbeatd.core.delivery import Delivery, follow, moved, set_aside
from heartbeatd.core.sample import Readings, Row
from heartbeatd.core.silence import Silence
from heartbeatd.errors import CorruptStoreError, StoreError
from heartbeatd.store.buffer import Buffer, Handover, StoreOptions
from heartbeatd.store.connection import Connection, Opened
from heartbeatd.store.database import Database, WriteResult
from heartbeatd.store.deliveries import MOVED_TO
from heartbeatd.store.lock import InUseError
from heartbeatd.store.outage import Outage, log_given_up
from heartbeatd.store.pruning import PruningSchedule

FLUSH_NS = 60_000_000_000

# After these the connection is as good as before; after all others a new one may do better.
PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL)

log = logging.getLogger(__name__)


class BufferedStore:
    """What the agent remembers. One thread uses it. `working` and `boot_id`: see `Connection`."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        options: StoreOptions,
        working: Callable[[], bool] | None = None,
        boot_id: str | None = None,
    ) -> None:
        self.path = path
        self.undelivered: dict[tuple[str, str], Delivery] = {}  # in the database, and what waits to get there
        # How often it became another than what was put in here: read from the database, or taken over.
        self.queue_reads = 0
        self.closed = False
        self.buffer = Buffer(options)
        self._clock, self._options = clock, options
        self._connection = Connection(path, clock, working, boot_id, self._take_up, self._begin_anew)
        self._pruning, self._outage = PruningSchedule(clock), Outage(path)
        self._flushed_ns = 0
        self._is_behind = False  # what others wrote could not be read yet

    def on_progress(self, call: Callable[[], None]) -> None:
        """Have `call` called, too, while the database is brought up to date."""
        self._connection.on_progress(call)

    @property
    def states(self) -> AlertStates:
        """What was announced last of each subject."""
        return self.buffer.states

    @property
    def silences(self) -> tuple[Silence, ...]:
        """Those there are, whether they have ended or not."""
        return self.buffer.silences

    @property
    def unsaved_rows(self) -> int:
        """How many rows are in memory only."""
        return len(self.buffer.rows)

    @property
    def error(self) -> str:
        """What keeps the database from being written, or nothing."""
        return self._outage.error

    def open(self) -> None:
        """Open the database and take up what was announced. Trouble is said, not raised: the agent runs without, too.

        Raises InUseError if another agent has it.
        """
        try:
            self._connection.ready(self._options, closely=True)
        except InUseError:
            raise
        except StoreError as error:
            self._outage.log_error(error, self.unsaved_rows)

    def record(
        self,
        row: Row,
        changed: tuple[AlertState, ...],
        deliveries: tuple[Delivery, ...],
        readings: Readings | None = None,
    ) -> None:
        """Remember one cycle: its row and readings, what changed, what is to be delivered. Never raises for the database."""
        self.note(row, changed, deliveries, readings, states_known=self.buffer.states_known)
        self.write()

    def note(
        self,
        row: Row,
        changed: tuple[AlertState, ...],
        deliveries: tuple[Delivery, ...],
        readings: Readings | None = None,
        *,
        states_known: bool,
    ) -> None:
        """Remember one cycle in memory; `states_known`: see `Buffer.note`."""
        self.buffer.note(row, changed, deliveries, readings, states_known=states_known)
        follow(self.undelivered, deliveries)

    def note_delivery(self, delivery: Delivery) -> None:
        """Remember in memory how far it is."""
        self.buffer.keep_deliveries((delivery,))
        follow(self.undelivered, (delivery,))

    def write(self) -> None:
        """Write what waits. Trouble that a new connection, or a new file, may be free of is tried again with one at once."""
        try:
            self._write()
        except CorruptStoreError as error:
            if self._set_aside(error):
                self._try_again()
        except StoreError as error:
            if self._connection.database is None or error.code in PASSING:
                self._outage.log_error(error, self.unsaved_rows)
                return
            self._connection.drop()
            self._try_again()

    def look(self) -> None:
        """Read what others wrote, if they did: costs no more than a word of shared memory if they did not."""
        with contextlib.suppress(StoreError):  # the next write says what is wrong with it
            database = self._connection.in_use()
            self._is_behind |= database.changed_by_others()
            if self._is_behind:
                self._read(database)

    def hand_over(self) -> Handover:
        """What the store of another path is to go on with. The queue stays here until `moved` says that it is safe there."""
        return self.buffer.hand_over(tuple(self.undelivered.values()))

    def adopt(self, handover: Handover) -> bool:
        """Go on with that, from before what is here; True if it is stored. What was announced by this process wins."""
        self.buffer.adopt(handover)
        follow(self.undelivered, handover.undelivered)
        self.queue_reads += 1
        self.write()
        return not self.error

    def moved(self, handover: Handover, to: Path) -> None:
        """The other store has stored it all: it is neither written nor sent from here."""
        ended = [delivery for delivery in self.buffer.deliveries.values() if delivery.ended]
        self.buffer.saved()
        self.buffer.keep_untold(())
        self.undelivered = {}
        now_ns, reason = self._clock.now_ns(), f"{MOVED_TO}{to}"
        gone = [set_aside(delivery, now_ns, reason) for delivery in handover.undelivered]
        with contextlib.suppress(StoreError):
            self._connection.in_use().record((), (), (*ended, *gone), flush=True)
            self._connection.in_use().change_silences((), handover.silences)

    def shift(self, by_ns: int) -> None:
        """Move the moments of what was announced along with a wall clock that was stepped; stored with the next row."""
        self.buffer.shift(by_ns)
        for delivery in self.undelivered.values():
            if delivery.next_try_ns:
                self.note_delivery(moved(delivery, by_ns))
        with contextlib.suppress(StoreError):  # the next cycle says what is wrong with it
            database = self._connection.in_use()
            self._pruning.hold_after_a_leap(database.sampled_ns(self._options.rows_a_day))
            if self._connection.boot_id is not None:
                database.note_clock(booted_ns(self._clock))

    def adjust(self, options: StoreOptions) -> None:
        """Keep by other rules from now on."""
        self._options = options
        self.buffer.adjust(options)

    def close(self) -> None:
        """Write what still waits, to the disk itself, and close."""
        self._flushed_ns, self.closed = 0, True
        if not self.buffer.empty:
            self._try_again()
        self._connection.close()
        if self.unsaved_rows:
            log.error("%d rows could not be stored and are lost: %s", self.unsaved_rows, self.error)

    def _read_queue(self, stored: Iterable[Delivery]) -> None:
        """What is in the database, and what waits to get there."""
        self.undelivered = {delivery.key: delivery for delivery in stored}
        self.queue_reads += 1
        follow(self.undelivered, self.buffer.deliveries.values())

    def _read(self, database: Database) -> None:
        """What others may have changed. Raises StoreError."""
        self._read_queue(database.undelivered())
        self.buffer.take_up_silences(database.silences())
        self._is_behind = False

    def _begin_anew(self) -> None:
        """Another file is to get what must not be lost with the one before it."""
        self.buffer.begin_anew(self.undelivered.values())

    def _take_up(self, opened: Opened) -> None:
        """Go on with what is in a database that was opened now."""
        self._pruning.hold_after_a_leap(opened.day_ago_ns)
        self._read_queue(opened.undelivered)
        self.buffer.take_up_silences(opened.silences)
        boot_id = self._connection.boot_id
        if boot_id is not None:
            self.buffer.take_up_run(opened.previous_run, opened.untold)
        run = self.buffer.previous_run
        if self.buffer.take_up(opened.states) and boot_id is not None and run is not None:
            self.buffer.take_up_clock(run, boot_id, booted_ns(self._clock))

    def _write(self) -> None:
        now_ns = self._clock.monotonic_ns()
        waiting = self.buffer
        due = waiting.urgent or now_ns - self._flushed_ns >= FLUSH_NS
        database = self._connection.ready(self._options, closely=due)
        if due:
            database.verify_on_disk()
        done = database.record(
            waiting.rows,
            waiting.unsaved_states.values(),
            waiting.deliveries.values(),
            flush=due or self._options.flush_rows,
            keep=self._pruning.next_cutoff(self._options.days),
            untold=waiting.untold if waiting.untold_changed else None,
            readings=waiting.readings,
            silenced=waiting.unsaved_silences,
        )
        self._note_result(database, done)
        if due:
            self._flushed_ns = now_ns
        stored = len(waiting.rows)
        waiting.saved()
        self._outage.end(stored)

    def _note_result(self, database: Database, done: WriteResult) -> None:
        """Raises StoreError: what is undelivered is read again if others may have changed it."""
        self._pruning.more_to_prune = done.more_to_prune
        if done.by_others or done.given_up:
            self.buffer.deliveries = {}
            self._read(database)
        if done.given_up:
            log_given_up(done.given_up)

    def _try_again(self) -> None:
        try:
            self._write()
        except StoreError as error:
            self._outage.log_error(error, self.unsaved_rows)

    def _set_aside(self, error: CorruptStoreError) -> bool:
        """Put the damaged file aside; False if that cannot be done."""
        try:
            self._connection.set_aside(error)
        except OSError:  # a damaged file on a filesystem that has gone read-only: the two come together
            self._outage.log_error(error, self.unsaved_rows)
            return False
        return True
