"""The store on another thread: a disk that does not answer holds up no cycle, no alert, no start and no stop.

A filesystem that is frozen, or a disk that is gone, can hold a thread for ever, and no timeout of SQLite's ends that. So nothing
here touches the database: each call hands its work to a worker, which alone does, and waits for it until a deadline. What was
handed over and is not done by then is done when the disk answers again; until then what comes waits in memory.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from heartbeatd.cancel import CancelToken, Future, SerialWorker, SharedThreads
from heartbeatd.core.alert_state import AlertState, AlertStates, shifted
from heartbeatd.core.delivery import Delivery, follow, moved
from heartbeatd.core.gap import Run, UntoldGap
from heartbeatd.core.sample import Readings, Row
from heartbeatd.core.silence import Silence
from heartbeatd.core.timefmt import plural
from heartbeatd.errors import Problem, StoreError
from heartbeatd.store.buffer import Handover, StoreOptions
from heartbeatd.store.buffered_store import BufferedStore
from heartbeatd.store.outage import Outage

T = TypeVar("T")

OPEN_S = 5.0  # for the start, from the last sign of progress on
ASK_S = 1.0  # for the queue
LOOK_S = 0.1  # for what others wrote, while a cycle waits
STOP_S = 0.5  # for the last write

log = logging.getLogger(__name__)


class BackgroundStore:
    """What the agent remembers. Only the thread that runs the cycle uses it.

    `cancel` is that thread's token. The database is used on one of `threads`, or on a thread of its own.
    """

    def __init__(
        self, store: BufferedStore, options: StoreOptions, cancel: CancelToken, threads: SharedThreads | None = None
    ) -> None:
        self.path = store.path
        self.states: AlertStates = {}
        self.undelivered: dict[tuple[str, str], Delivery] = {}  # by event id and channel, in order
        self.untold: tuple[UntoldGap, ...] = ()
        self._silences: tuple[Silence, ...] = ()
        self._store, self._cancel = store, cancel
        self._thread = SerialWorker("store", threads)
        self._inbox: deque[Callable[[], None]] = deque()
        self._adjust_bounds(options)
        self._states_known = False
        self._queue_reads = 0
        self._call: Future[None] | None = None
        self._hang = Outage(store.path)
        self._progress_ns = self._cancel.clock.monotonic_ns()

    @property
    def previous_run(self) -> Run | None:
        """The run before this one, as far as it could be read."""
        return self._store.buffer.previous_run

    @property
    def unsaved_rows(self) -> int:
        """How many rows are in memory only."""
        return self._store.unsaved_rows + sum(
            isinstance(job, partial) and job.func == self._store.note for job in self._inbox
        )

    @property
    def error(self) -> str:
        """What keeps the database from being written, or nothing."""
        return self._hang.error or self._store.error

    def open(self) -> None:
        """Open the database and take up what was announced. Trouble is said, not raised: the agent runs without, too.

        Raises InUseError if another agent has it.
        """
        self._store.on_progress(self._note_progress)
        self._progress_ns = self._cancel.clock.monotonic_ns()
        call = self._call = self._thread.queue(self._store.open, 0, self._cancel)
        while not self._wait(call, self._progress_ns + int(OPEN_S * 1e9)):
            if self._cancel.cancelled or self._cancel.clock.monotonic_ns() - self._progress_ns > OPEN_S * 1e9:
                self._say_hung()
                return
        self._take_over(call)

    def record(
        self,
        row: Row,
        changed: tuple[AlertState, ...],
        deliveries: tuple[Delivery, ...],
        readings: Readings | None = None,
    ) -> AlertStates:
        """Remember one cycle: its row and readings, what changed, what is to be delivered. Never raises for the database.

        The states as they are then: what could not be read before may have been read now.
        """
        if changed:
            self.states = {**self.states, **{state.subject: state for state in changed}}
        follow(self.undelivered, deliveries)
        self._inbox.append(
            partial(self._store.note, row, changed, deliveries, readings, states_known=self._states_known)
        )
        self._write(self._patience_s)
        return self.states

    def note_delivery(self, delivery: Delivery) -> None:
        """This is how far it is now. It is written at once, if the disk answers; nobody waits for that."""
        follow(self.undelivered, (delivery,))
        self._inbox.append(partial(self._store.note_delivery, delivery))
        if self._call is not None and self._call.done():
            self._take_over(self._call)
        if self._call is None:
            self._call = self._thread.queue(self._drain, 0, self._cancel)

    def look(self) -> None:
        """Have what others wrote read, if the disk answers; nobody waits for that."""
        if self._call is not None and self._call.done():
            self._take_over(self._call)
        if self._call is None and not self._inbox:
            self._call = self._thread.queue(self._store.look, 0, self._cancel)

    def silences(self) -> tuple[Silence, ...]:
        """Those there are, whether they have ended or not, as `look` found them, or as they were known before."""
        if self._call is not None and self._wait(self._call, self._cancel.deadline(LOOK_S)):
            self._take_over(self._call)
        return self._silences

    def shift(self, by_ns: int) -> AlertStates:
        """The states, their moments moved along with a wall clock that was stepped; stored with the next row."""
        earlier = self._store.buffer.earlier_boots_ns
        self.states = {subject: shifted(state, by_ns, earlier) for subject, state in self.states.items()}
        self.undelivered = {key: moved(delivery, by_ns) for key, delivery in self.undelivered.items()}
        self._inbox.append(partial(self._store.shift, by_ns))
        return self.states

    def keep_untold(self, untold: tuple[UntoldGap, ...]) -> None:
        """These are the gaps that nobody was told of; stored with the next row."""
        self.untold = untold
        self._inbox.append(partial(self._store.buffer.keep_untold, untold))

    def adjust(self, options: StoreOptions) -> None:
        """Keep by other rules from now on."""
        self._adjust_bounds(options)
        self._inbox.append(partial(self._store.adjust, options))

    def move_to(self, other: "BackgroundStore") -> None:
        """Have `other` go on with all there is here, and close. What it could not store stays here, too."""
        handover = self._ask(self._store.hand_over)
        if handover is None:
            earlier = self._store.buffer.earlier_boots_ns
            undelivered = tuple(self.undelivered.values())
            handover = Handover(
                (), undelivered, self.states, self._states_known, earlier, self.untold, silences=self._silences
            )
        other.states = handover.states if handover.states and handover.states_known else other.states
        try:
            if other._ask(partial(other._store.adopt, handover)):
                self._ask(partial(self._store.moved, handover, other.path))
        finally:
            other._sync()
            self.close()

    def close(self) -> None:
        """Write what still waits, to the disk itself, and close."""
        self._inbox.append(self._store.close)
        call = self._call = self._thread.queue(self._drain, 0, self._cancel)
        if not self._wait(call, self._cancel.deadline(STOP_S)):
            waits = plural(self.unsaved_rows, "row")
            log.error("the disk of %s does not answer; what waits to be stored is lost: %s", self.path, waits)
        self._thread.close()

    def _write(self, within_s: float) -> None:
        if self._call is not None:
            if not self._wait(self._call, self._cancel.deadline(within_s)):
                self._say_hung()
                return
            self._take_over(self._call)
        call = self._call = self._thread.queue(self._drain, 0, self._cancel)
        if self._wait(call, self._cancel.deadline(within_s)):
            self._take_over(call)

    def _drain(self) -> None:
        """On the store's thread: all that was handed over, and one write of it."""
        while self._inbox:
            self._inbox.popleft()()
        if not self._store.closed:
            self._store.write()

    def _take_over(self, call: Future[None]) -> None:
        """What a call that has come back has brought about. Raises what it raised."""
        self._call = None
        call.result()
        self._sync()
        if self._store.error:  # it has been said
            self._hang.error = ""
        else:
            self._hang.end()

    def _sync(self) -> None:
        if not self._inbox:  # what is in there may change it
            self.states, self._states_known = self._store.states, self._store.buffer.states_known
            self.untold, self._silences = self._store.buffer.untold, self._store.silences
            if self._queue_reads != self._store.queue_reads:
                self._queue_reads, self.undelivered = self._store.queue_reads, dict(self._store.undelivered)

    def _say_hung(self) -> None:
        problem = Problem(str(self.path), "the disk does not answer", "a frozen filesystem, or a disk that is gone")
        self._hang.log_error(StoreError(problem), self.unsaved_rows)

    def _ask(self, work: Callable[[], T]) -> T | None:
        """What `work` returns on the store's thread; None if the disk does not answer."""
        call = self._thread.queue(work, 0, self._cancel)
        return call.result() if self._wait(call, self._cancel.deadline(ASK_S)) else None

    def _wait(self, call: Future[T], until_ns: int) -> bool:
        """Wait for it until then, but not much longer than the process may still take to stop. True if it has come back."""
        if not self._cancel.wait(call.done, until_ns) and self._cancel.cancelled:
            self._cancel.wait(call.done, min(until_ns, self._cancel.deadline(STOP_S)), when_cancelled=True)
        return call.done()

    def _note_progress(self) -> None:
        self._progress_ns = self._cancel.clock.monotonic_ns()

    def _adjust_bounds(self, options: StoreOptions) -> None:
        # SQLite waits for locks for a quarter of the interval, one second at most (see BufferedStore): that is no hanging.
        self._patience_s = min(1.5, 0.4 * options.interval_s)
        self._inbox = deque(self._inbox, maxlen=max(2, options.rows_a_day))
