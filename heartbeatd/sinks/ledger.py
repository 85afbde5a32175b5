"""Remembering, whatever becomes of the database: what cannot be written now waits in memory and is written later.

Rows wait for a day, the newest win; the announced state and the alerts wait as long as the agent runs. Each trouble is said
once when it begins, with what to do, and once when it is over. A file that is no database any more is set aside under a
name with the time, and a new one is begun with the announced state that is known.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from heartbeatd.clock import Clock
from heartbeatd.core.alerting import shifted
from heartbeatd.core.events import NOTICE, MessageId, said
from heartbeatd.core.gap import Run
from heartbeatd.core.model import Alert, Row, Track
from heartbeatd.core.moments import counted
from heartbeatd.core.retention import QUEUE_MOST, Keep
from heartbeatd.errors import CorruptStoreError, StoreError
from heartbeatd.sinks.store import BUSY_S, Store

FLUSH_NS = 60_000_000_000
DAY_S = 86400

FORGET_EVERY = 60  # records between two looks at what is too old to keep

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Seconds between two rows, the days they are kept (0 for ever), and whether each goes to the disk itself at once."""

    interval_s: int
    days: int = 0
    flush_rows: bool = False


class Ledger:
    """What the agent remembers. Only the thread that runs the cycle uses it. `working`: see Store.open."""

    def __init__(self, path: Path, clock: Clock, keeping: Keeping, working: Callable[[], bool] | None = None) -> None:
        self.path = path
        self._working = working
        self.track: Track | None = None
        self.pending = 0  # alerts in the database that have not arrived, as of the last write
        self._clock, self._keeping = clock, keeping
        self._store: Store | None = None
        self._rows: deque[Row] = deque(maxlen=DAY_S // keeping.interval_s)
        self._alerts: deque[Alert] = deque(maxlen=QUEUE_MOST)
        self._track_to_write: Track | None = None
        self._trouble = ""
        self._flushed_ns = 0
        self._records = 0
        self._more_to_prune = False
        self._knows_stored_track = False
        self._in_run = False

    @property
    def waiting(self) -> int:
        """How many rows are in memory only."""
        return len(self._rows)

    @property
    def trouble(self) -> str:
        """What keeps the database from being written, or nothing."""
        return self._trouble

    def open(self) -> None:
        """Open the database and take up what was announced. Trouble is said, not raised: the agent runs without, too."""
        try:
            self._ready()
        except StoreError as error:
            self._say_trouble(error)

    def begin_run(self, boot_id: str) -> Run | None:
        """Note that a run begins; what is known of the one before it, if that can be read."""
        if self._store is None:
            return None
        self._in_run = True
        try:
            return self._store.begin_run(boot_id)
        except StoreError as error:
            self._say_trouble(error)
            return None

    def record(self, row: Row, track: Track | None, alerts: tuple[Alert, ...]) -> None:
        """Remember one cycle: its row, the track if it changed, the alerts that are due. Never raises for the database."""
        self._rows.append(row)
        self._alerts.extend(alerts)
        if track is not None:
            self.track = self._track_to_write = track
        try:
            self._write()
        except CorruptStoreError as error:
            if self._set_aside(error):
                self._try_again()
        except StoreError as error:
            self._say_trouble(error)

    def shift(self, by_ns: int) -> None:
        """Move the moments of what was announced along with a wall clock that was stepped; stored with the next row."""
        if self.track is not None:
            self.track = self._track_to_write = shifted(self.track, by_ns)

    def adjust(self, keeping: Keeping) -> None:
        """Keep by other rules from now on."""
        self._keeping = keeping
        self._rows = deque(self._rows, maxlen=DAY_S // keeping.interval_s)

    def close(self) -> None:
        """Write what still waits, to the disk itself, and close."""
        self._flushed_ns = 0
        if self._rows or self._alerts or self._track_to_write:
            self._try_again()
        if self._store is not None:
            if self._in_run:
                with contextlib.suppress(StoreError):
                    self._store.end_run(self._clock.now_ns())
            self._store.close()
            self._store = None
        if self._rows:
            log.error("%d rows could not be stored and are lost: %s", len(self._rows), self._trouble)

    def _ready(self) -> Store:
        """The open database; opened anew if it is not, or is no longer the file at its path."""
        if self._store is not None and not self._store.in_place():
            log.warning(
                "%s was deleted or replaced while in use; starting with what is there now",
                self.path,
                extra=said(MessageId.STORE_REPLACED, path=self.path),
            )
            self._store.close()
            self._store = None
            self._track_to_write = self.track
        if self._store is None:
            busy_s = min(BUSY_S, self._keeping.interval_s / 4)
            self._store = Store.open(self.path, self._clock.now_ns(), busy_s, self._working)
            self._opened(self._store)
        return self._store

    def _opened(self, store: Store) -> None:
        if store.taken_over is not None:
            log.log(
                NOTICE,
                "took over %s with %d rows of the earlier agent",
                self.path,
                store.taken_over,
                extra=said(MessageId.STORE_TAKEN_OVER, path=self.path, rows=store.taken_over),
            )
        if not self._knows_stored_track:
            # What was announced before this start wins over a starting point taken while the file could not be read.
            stored = store.track()
            if stored is not None:
                self.track, self._track_to_write = stored, None
            self._knows_stored_track = True

    def _write(self) -> None:
        store = self._ready()
        now_ns = self._clock.monotonic_ns()
        due = bool(self._alerts or self._track_to_write) or now_ns - self._flushed_ns >= FLUSH_NS
        if due:
            store.look_again()
        flush = due or self._keeping.flush_rows
        done = store.record(self._rows, self._track_to_write, self._alerts, flush=flush, keep=self._keep())
        self.pending, self._more_to_prune = done.pending, done.more_to_prune
        if due:
            self._flushed_ns = now_ns
        if done.given_up:
            log.error(
                "the webhook has taken nothing for so long that the oldest %d of more than %d alerts were given up",
                done.given_up,
                QUEUE_MOST,
                extra=said(MessageId.ALERTS_GIVEN_UP, number=done.given_up),
            )
        stored = len(self._rows)
        self._rows.clear()
        self._alerts.clear()
        self._track_to_write = None
        if self._trouble:
            self._trouble = ""
            log.log(
                NOTICE,
                "%s can be written again; what waited is stored: %s",
                self.path,
                counted(stored, "row"),
                extra=said(MessageId.STORE_RECOVERED, path=self.path, rows=stored),
            )

    def _keep(self) -> Keep | None:
        """What is to be kept, if it is time to look for what is not."""
        self._records += 1
        due = self._more_to_prune or self._records % FORGET_EVERY == 0
        return Keep(self._clock.now_ns(), self._keeping.days) if due else None

    def _try_again(self) -> None:
        try:
            self._write()
        except StoreError as error:
            self._say_trouble(error)

    def _set_aside(self, error: CorruptStoreError) -> bool:
        """Rename the damaged file, and what SQLite keeps beside it, to a name with the time; False if that cannot be done."""
        if self._store is not None:
            self._store.close()
            self._store = None
        stamp = datetime.fromtimestamp(self._clock.now_ns() // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}")
        try:
            for suffix in ("", "-wal", "-shm"):
                beside = Path(f"{self.path}{suffix}")
                if beside.exists():
                    beside.rename(f"{aside}{suffix}")
        except OSError:  # a damaged file on a filesystem that has gone read-only: the two come together
            self._say_trouble(error)
            return False
        self._track_to_write = self.track
        log.error(
            "%s; it is set aside as %s and a new database is begun; try `sqlite3 %s .recover`",
            error,
            aside,
            aside,
            extra=said(MessageId.STORE_REPLACED, path=self.path, aside=aside),
        )
        return True

    def _say_trouble(self, error: StoreError) -> None:
        text = str(error)
        if text != self._trouble:
            self._trouble = text
            log.error(
                "%s; heartbeats go on, rows wait in memory",
                text,
                extra=said(MessageId.STORE_FAILED, path=self.path, waiting=len(self._rows)),
            )
