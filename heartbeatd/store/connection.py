"""The database of one path, kept open: whatever becomes of its file, the next who asks for it has an open one.

To open one is one step: what was announced and the queue are read, and a run begins in it. If any of it fails it is not open. A
file that is no database any more is set aside under a name with the time.
"""

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from heartbeatd.clock import Clock, booted_ns
from heartbeatd.core.alert_state import AlertStates
from heartbeatd.core.delivery import Delivery
from heartbeatd.core.gap import Run, UntoldGap
from heartbeatd.core.silence import Silence
from heartbeatd.errors import Problem, StoreError
from heartbeatd.journal import NOTICE, MessageId, journal_fields
from heartbeatd.store import lock
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.database import BUSY_S, Database
from heartbeatd.store.disk_files import Harm

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open database, and what was in it: the states, what is undelivered or silenced, when the row of a day ago was sampled.

    If a run has begun, also the run before it, if there was one, and the gaps that nobody was told of.
    """

    database: Database
    states: AlertStates
    undelivered: tuple[Delivery, ...]
    day_ago_ns: int | None
    previous_run: Run | None = None
    untold: tuple[UntoldGap, ...] = ()
    silences: tuple[Silence, ...] = ()


class Connection:
    """One thread uses it. `working`: see `Database.open`.

    `boot_id` is of the boot in which a run begins with each opening, under a lock against other agents; without it, as for
    heartbeatctl(1), none does. `take_up` is given what was opened, and `begin_anew` called before another file takes the place of
    the one that was open.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        working: Callable[[], bool] | None,
        boot_id: str | None,
        take_up: Callable[[Opened], None],
        begin_anew: Callable[[], None],
    ) -> None:
        self.path, self.boot_id = path, boot_id
        self.database: Database | None = None
        self._clock, self._working = clock, working
        self._take_up, self._begin_anew = take_up, begin_anew
        self._lock: int | None = None

    def on_progress(self, call: Callable[[], None]) -> None:
        """Have `call` called, too, while the database is brought up to date."""
        working = self._working

        def both() -> bool:
            call()
            return working is not None and working()

        self._working = both

    def ready(self, options: StoreOptions, *, closely: bool) -> Database:
        """The open database; opened anew if it is not, or if something was done to its files. `closely`: see `Database.harm`.

        Raises StoreError; InUseError if another agent has it.
        """
        harm = self.database.harm(closely=closely) if self.database is not None else None
        if harm is not None and self.database is not None:
            self.database.give_up(harm)
            self.database = None
            log.warning("%s %s", self.path, harm, extra=journal_fields(MessageId.STORE_REPLACED, path=self.path))
            if harm in (Harm.REPLACED, Harm.OVERWRITTEN):
                self._begin_anew()
        if self.database is None:
            opened = self._open(options)
            self.database = opened.database
            self._take_up(opened)
        return self.database

    def in_use(self) -> Database:
        """The database as it is open. Raises StoreError if it is not: to open it is the cycle's part."""
        if self.database is None:
            raise StoreError(Problem(str(self.path), "is not open"))
        return self.database

    def set_aside(self, error: StoreError) -> None:
        """Rename the damaged file, and what SQLite keeps beside it. Raises OSError."""
        self.drop()
        stamp = datetime.fromtimestamp(self._clock.now_ns() // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = self.path.with_name(f"{self.path.name}.corrupt-{stamp}")
        for suffix in ("", "-wal", "-shm"):
            beside = Path(f"{self.path}{suffix}")
            if beside.exists():
                beside.rename(f"{aside}{suffix}")
        self._begin_anew()
        log.error(
            "%s; it is set aside as %s and a new database is begun; try `sqlite3 %s .recover`",
            error,
            aside,
            aside,
            extra=journal_fields(MessageId.STORE_REPLACED, path=self.path, aside=aside),
        )

    def drop(self) -> None:
        """Close the database; who asks for it next has it opened anew."""
        if self.database is not None:
            self.database.close()
            self.database = None

    def close(self) -> None:
        """For good: the run ends in good order, and others may open it."""
        if self.database is not None and self.boot_id is not None:
            with contextlib.suppress(StoreError):
                self.database.end_run(self._clock.now_ns())
        self.drop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open(self, options: StoreOptions) -> Opened:
        if self.boot_id is not None and self._lock is None:
            self._lock = lock.acquire(self.path)
        busy_s = min(BUSY_S, options.interval_s / 4)
        database = Database.open(self.path, self._clock.now_ns(), busy_s, self._working)
        try:
            database.changed_by_others()  # from here on
            states, undelivered = database.states(), database.undelivered()
            silences, day_ago_ns = database.silences(), database.sampled_ns(options.rows_a_day)
            previous_run: Run | None = None
            untold: tuple[UntoldGap, ...] = ()
            if self.boot_id is not None:
                database.watch()
                # Last: it takes the place of what is read.
                previous_run, untold = database.begin_run(self.boot_id, booted_ns(self._clock))
        except BaseException:
            database.close()
            raise
        if database.taken_over is not None:
            log.log(
                NOTICE,
                "took over %s with %d rows of the earlier agent",
                self.path,
                database.taken_over,
                extra=journal_fields(MessageId.STORE_TAKEN_OVER, path=self.path, rows=database.taken_over),
            )
        return Opened(database, states, undelivered, day_ago_ns, previous_run, untold, silences)
