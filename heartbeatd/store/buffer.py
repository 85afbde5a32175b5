"""Remembering, whatever becomes of the database: what cannot be written now waits in memory and is written later.

To open a database, whichever and whenever, is one step: what was announced and the queue are read, and a run begins in it. If
any of it fails it is not open, and the next write tries again.

Rows wait for a day, the newest win; the announced state and the alerts wait as long as the agent runs. Each trouble is said
once when it begins, with what to do, and once when it is over. A file that is no database any more is set aside under a
name with the time, and a new one is begun with the announced state and the undelivered alerts that are known.
"""

import contextlib
import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from heartbeatd.clock import Clock, booted_ns
from heartbeatd.core.alert_state import AlertState, AlertStates, moments, shifted
from heartbeatd.core.gap import Run, UntoldGap
from heartbeatd.core.notification import QueuedNotification
from heartbeatd.core.retention import QUEUE_MOST, RetentionCutoff
from heartbeatd.core.sample import Row
from heartbeatd.core.schedule import STEP_NS
from heartbeatd.core.timefmt import plural
from heartbeatd.errors import CorruptStoreError, Problem, StoreError
from heartbeatd.journal import NOTICE, MessageId, journal_fields
from heartbeatd.store import lock
from heartbeatd.store.database import BUSY_S, Database
from heartbeatd.store.disk_files import Harm
from heartbeatd.store.records import MOVED_TO

FLUSH_NS = 60_000_000_000
DAY_S = 86400
DAY_NS = DAY_S * 1_000_000_000
LEAP_NS = 30 * DAY_NS

FORGET_EVERY = 60  # records between two looks at what is too old to keep

# After these the connection is as good as before; after all others a new one may do better.
PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Seconds between two rows, the days they are kept (0 for ever), and whether each goes to the disk itself at once."""

    interval_s: int
    days: int = 0
    flush_rows: bool = False


@dataclass(frozen=True, slots=True)
class Handed:
    """What one ledger gives to the next: rows that wait, undelivered alerts, the announced state, and whether it is certain.

    `fixed` are the moments of that state that an earlier boot noted; `untold` the gaps that nobody was told of."""

    rows: tuple[Row, ...]
    alerts: tuple[QueuedNotification, ...]
    states: AlertStates
    certain: bool
    fixed: frozenset[int] = frozenset()
    untold: tuple[UntoldGap, ...] = ()


class BufferedStore:
    """What the agent remembers. One thread uses it. `working`: see Store.open.

    `boot_id` is of the boot in which a run begins with it; without it nobody's run begins, as for heartbeatctl(1).
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        options: StoreOptions,
        working: Callable[[], bool] | None = None,
        boot_id: str | None = None,
    ) -> None:
        self.path = path
        self._working = working
        self.states: AlertStates = {}
        self.pending = 0  # alerts in the database that have not arrived, as of the last write
        self._clock, self._options, self._boot_id = clock, options, boot_id
        self._database: Database | None = None
        self._rows: deque[Row] = deque(maxlen=DAY_S // options.interval_s)
        self._alerts: deque[QueuedNotification] = deque(maxlen=QUEUE_MOST)
        self._undelivered: tuple[QueuedNotification, ...] = ()  # in the database, as of the last write
        self._queue_end: tuple[int, int | None] = (0, None)
        self._unsaved_states: AlertStates = {}
        self._error = ""
        self._flushed_ns = 0
        self._records = 0
        self._more_to_prune = False
        self._prune_from_boot_ns = 0
        self.fixed: frozenset[int] = frozenset()  # moments of the states that an earlier boot noted
        self.certain = (
            False  # whether `states` are what was announced, or a starting point taken while nothing could be read
        )
        self.previous_run: Run | None = None
        self.untold: tuple[UntoldGap, ...] = ()  # the gaps before this run of which nobody was told, the oldest first
        self._untold_changed = False
        self._knows_run = False
        self._lock: int | None = None
        self.closed = False

    def on_progress(self, call: Callable[[], None]) -> None:
        """Have `call` called, too, while the database is brought up to date."""
        working = self._working

        def both() -> bool:
            call()
            return working is not None and working()

        self._working = both

    @property
    def unsaved_rows(self) -> int:
        """How many rows are in memory only."""
        return len(self._rows)

    @property
    def error(self) -> str:
        """What keeps the database from being written, or nothing."""
        return self._error

    def open(self) -> None:
        """Open the database and take up what was announced. Trouble is said, not raised: the agent runs without, too.

        Raises InUseError if another agent has it.
        """
        try:
            self._ready(closely=True)
        except lock.InUseError:
            raise
        except StoreError as error:
            self._log_error(error)

    def record(self, row: Row, changed: tuple[AlertState, ...], alerts: tuple[QueuedNotification, ...]) -> None:
        """Remember one cycle: its row, the states that changed, the alerts that are due. Never raises for the database."""
        self.note(row, changed, alerts, certain=self.certain)
        self.write()

    def note(
        self, row: Row, changed: tuple[AlertState, ...], alerts: tuple[QueuedNotification, ...], *, certain: bool
    ) -> None:
        """Remember one cycle in memory. `changed` follows from what was `certain` then: a guess does not win over what is."""
        self._rows.append(row)
        self._alerts.extend(alerts)
        if changed and certain >= self.certain:
            self._keep_states({state.subject: state for state in changed})

    def keep_untold(self, untold: tuple[UntoldGap, ...]) -> None:
        """These are the gaps that nobody was told of; stored with the next row."""
        self.untold, self._untold_changed = untold, True

    def _keep_states(self, changed: AlertStates) -> None:
        self.states = {**self.states, **changed}
        self._unsaved_states = {**self._unsaved_states, **changed}

    def write(self) -> None:
        """Write what waits. Trouble that a new connection, or a new file, may be free of is tried again with one at once."""
        try:
            self._write()
        except CorruptStoreError as error:
            if self._set_aside(error):
                self._try_again()
        except StoreError as error:
            if self._database is None or error.code in PASSING:
                self._log_error(error)
                return
            self._database.close()
            self._database = None
            self._try_again()

    def undelivered(self) -> tuple[QueuedNotification, ...]:
        """The alerts that have not arrived, the oldest first: those in the database, and those that wait to get there."""
        stored = self._undelivered
        if self._database is not None:
            with contextlib.suppress(StoreError):
                stored = self._database.pending()
        return tuple({alert.event_id: alert for alert in (*stored, *self._alerts)}.values())

    def mark_attempt(self, alert: QueuedNotification, reason: str) -> None:
        """Note that a try to deliver `alert` failed. Raises StoreError."""
        self._usable().mark_attempt(alert, reason)

    def mark_delivered(self, alert: QueuedNotification, at_ns: int) -> None:
        """Note that `alert` has arrived. Raises StoreError."""
        self._usable().mark_delivered(alert, at_ns)
        self._drop(alert)

    def set_aside(self, alert: QueuedNotification, at_ns: int, reason: str) -> None:
        """Note that `alert` is not sent any more, and why. Raises StoreError."""
        self._usable().set_aside((alert,), at_ns, reason)
        self._drop(alert)

    def hand_over(self) -> Handed:
        """What the ledger of another path is to go on with. The queue stays here until `moved` says that it is safe there."""
        return Handed(tuple(self._rows), self.undelivered(), self.states, self.certain, self.fixed, self.untold)

    def adopt(self, handed: Handed) -> bool:
        """Go on with that, from before what is here; True if it is stored. What was announced by this process wins."""
        self._rows.extendleft(reversed(handed.rows))
        self._alerts.extendleft(reversed(handed.alerts))
        if handed.states and (handed.certain or not self.states):
            self._keep_states(handed.states)
            self.fixed = handed.fixed
        # What ran there before is no gap: this process was running.
        self.keep_untold(handed.untold)
        self._knows_run = True
        self.write()
        return not self._error

    def moved(self, handed: Handed, to: Path) -> None:
        """The other ledger has stored it all: it is neither written nor sent from here."""
        self._rows.clear()
        self._alerts.clear()
        self._unsaved_states = {}
        self.keep_untold(())
        if self._database is not None and handed.alerts:
            with contextlib.suppress(StoreError):
                self._database.set_aside(handed.alerts, self._clock.now_ns(), f"{MOVED_TO}{to}")

    def shift(self, by_ns: int) -> None:
        """Move the moments of what was announced along with a wall clock that was stepped; stored with the next row."""
        self._keep_states({subject: shifted(state, by_ns, self.fixed) for subject, state in self.states.items()})
        if self._database is not None:
            with contextlib.suppress(StoreError):  # the next cycle says what is wrong with it
                self._hold_pruning_after_a_leap(self._database)
                if self._boot_id is not None:
                    self._database.note_clock(booted_ns(self._clock))

    def _hold_pruning_after_a_leap(self, database: Database) -> None:
        """For a day: rows are not too old because somebody set the clock years ahead, and will set it back.

        It has leapt if a day's worth of rows ago lies more than a month back. Raises StoreError.
        """
        lately_ns = database.sampled_ns(rows_after=DAY_S // self._options.interval_s)
        if lately_ns is not None and self._clock.now_ns() - lately_ns > LEAP_NS:
            self._prune_from_boot_ns = self._clock.boottime_ns() + DAY_NS

    def adjust(self, options: StoreOptions) -> None:
        """Keep by other rules from now on."""
        self._options = options
        self._rows = deque(self._rows, maxlen=DAY_S // options.interval_s)

    def close(self) -> None:
        """Write what still waits, to the disk itself, and close."""
        self._flushed_ns, self.closed = 0, True
        if self._rows or self._alerts or self._unsaved_states or self._untold_changed:
            self._try_again()
        if self._database is not None:
            if self._boot_id is not None:
                with contextlib.suppress(StoreError):
                    self._database.end_run(self._clock.now_ns())
            self._database.close()
            self._database = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._rows:
            log.error("%d rows could not be stored and are lost: %s", len(self._rows), self._error)

    def _usable(self) -> Database:
        """The database as it is open. Raises StoreError if it is not: to open it is the cycle's part."""
        if self._database is None:
            raise StoreError(Problem(str(self.path), "is not open"))
        return self._database

    def _drop(self, alert: QueuedNotification) -> None:
        """Of what is known to be undelivered, which another file would get."""
        self._undelivered = tuple(other for other in self._undelivered if other.event_id != alert.event_id)
        self._alerts = deque((a for a in self._alerts if a.event_id != alert.event_id), maxlen=QUEUE_MOST)

    def _ready(self, *, closely: bool) -> Database:
        """The open database; opened anew if it is not, or if something was done to its files."""
        harm = self._database.harm(closely=closely) if self._database is not None else None
        if harm is not None and self._database is not None:
            self._database.give_up(harm)
            self._database = None
            log.warning("%s %s", self.path, harm, extra=journal_fields(MessageId.STORE_REPLACED, path=self.path))
            if harm in (Harm.REPLACED, Harm.OVERWRITTEN):
                self._begin_anew()
        if self._database is None:
            self._database = self._opened()
        return self._database

    def _begin_anew(self) -> None:
        """Another file is to get what must not be lost with the one before it."""
        self._unsaved_states = self.states
        known = {alert.event_id for alert in self._alerts}
        self._alerts.extendleft(alert for alert in reversed(self._undelivered) if alert.event_id not in known)
        self._undelivered, self._queue_end = (), (0, None)

    def _opened(self) -> Database:
        busy_s = min(BUSY_S, self._options.interval_s / 4)
        if self._boot_id is not None and self._lock is None:
            self._lock = lock.acquire(self.path)
        database = Database.open(self.path, self._clock.now_ns(), busy_s, self._working)
        try:
            stored = database.states()
            pending = database.pending()
            self._hold_pruning_after_a_leap(database)
            if self._boot_id is not None:
                database.watch()
                # Last: it takes the place of what is read.
                self._begin_run(database, self._boot_id)
        except BaseException:
            database.close()
            raise
        self._undelivered, self.pending = pending, len(pending)
        if not self.certain and stored:
            # What was announced before this start wins over a starting point taken while the file could not be read.
            self.states, self._unsaved_states = stored, {}
            if self._boot_id is not None and self.previous_run is not None:
                self._take_up_clock(stored, self.previous_run, self._boot_id)
        self.certain = True
        if database.taken_over is not None:
            log.log(
                NOTICE,
                "took over %s with %d rows of the earlier agent",
                self.path,
                database.taken_over,
                extra=journal_fields(MessageId.STORE_TAKEN_OVER, path=self.path, rows=database.taken_over),
            )
        return database

    def _begin_run(self, database: Database, boot_id: str) -> None:
        """Raises StoreError. A file that takes the place of another knows of no run before this one: it gets what is known."""
        run, untold = database.begin_run(boot_id, booted_ns(self._clock))
        if self._knows_run:
            self._untold_changed = True
            return
        self.previous_run, self.untold, self._knows_run = run, untold, True

    def _take_up_clock(self, stored: AlertStates, run: Run, boot_id: str) -> None:
        """Moments of an earlier boot stay what they are however the clock is stepped; those of this one move along."""
        noted = frozenset[int]().union(*map(moments, stored.values()))
        if run.boot_id != boot_id or run.booted_ns is None:
            self.fixed = noted
            return
        self.fixed = frozenset(at_ns for at_ns in noted if at_ns < run.booted_ns)
        by_ns = booted_ns(self._clock) - run.booted_ns
        if abs(by_ns) >= STEP_NS:  # while nothing ran
            self._keep_states({subject: shifted(state, by_ns, self.fixed) for subject, state in stored.items()})

    def _write(self) -> None:
        now_ns = self._clock.monotonic_ns()
        due = bool(self._alerts or self._unsaved_states) or now_ns - self._flushed_ns >= FLUSH_NS
        database = self._ready(closely=due)
        if due:
            database.verify_on_disk()
        flush = due or self._options.flush_rows
        untold = self.untold if self._untold_changed else None
        done = database.record(
            self._rows, self._unsaved_states.values(), self._alerts, flush=flush, keep=self._keep(), untold=untold
        )
        self.pending, self._more_to_prune = done.pending, done.more_to_prune
        if self._queue_end != (done.pending, done.last):
            self._undelivered, self._queue_end = database.pending(), (done.pending, done.last)
        if due:
            self._flushed_ns = now_ns
        if done.given_up:
            log.error(
                "the webhook has taken nothing for so long that the oldest %d of more than %d alerts were given up",
                done.given_up,
                QUEUE_MOST,
                extra=journal_fields(MessageId.ALERTS_GIVEN_UP, number=done.given_up),
            )
        stored = len(self._rows)
        self._rows.clear()
        self._alerts.clear()
        self._unsaved_states, self._untold_changed = {}, False
        if self._error:
            self._error = ""
            log.log(
                NOTICE,
                "%s can be written again; what waited is stored: %s",
                self.path,
                plural(stored, "row"),
                extra=journal_fields(MessageId.STORE_RECOVERED, path=self.path, rows=stored),
            )

    def _keep(self) -> RetentionCutoff | None:
        """What is to be kept, if it is time to look for what is not."""
        self._records += 1
        due = self._more_to_prune or self._records % FORGET_EVERY == 0
        due = due and self._clock.boottime_ns() >= self._prune_from_boot_ns
        return RetentionCutoff(self._clock.now_ns(), self._options.days) if due else None

    def _try_again(self) -> None:
        try:
            self._write()
        except StoreError as error:
            self._log_error(error)

    def _set_aside(self, error: CorruptStoreError) -> bool:
        """Rename the damaged file, and what SQLite keeps beside it, to a name with the time; False if that cannot be done."""
        if self._database is not None:
            self._database.close()
            self._database = None
        stamp = datetime.fromtimestamp(self._clock.now_ns() // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}")
        try:
            for suffix in ("", "-wal", "-shm"):
                beside = Path(f"{self.path}{suffix}")
                if beside.exists():
                    beside.rename(f"{aside}{suffix}")
        except OSError:  # a damaged file on a filesystem that has gone read-only: the two come together
            self._log_error(error)
            return False
        self._begin_anew()
        log.error(
            "%s; it is set aside as %s and a new database is begun; try `sqlite3 %s .recover`",
            error,
            aside,
            aside,
            extra=journal_fields(MessageId.STORE_REPLACED, path=self.path, aside=aside),
        )
        return True

    def _log_error(self, error: StoreError) -> None:
        text = str(error)
        if text != self._error:
            self._error = text
            log.error(
                "%s; heartbeats go on, rows wait in memory",
                text,
                extra=journal_fields(MessageId.STORE_FAILED, path=self.path, waiting=len(self._rows)),
            )
