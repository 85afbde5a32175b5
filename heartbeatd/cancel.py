"""Waiting with an end: whoever waits stops at a deadline, and at once when the agent is to end.

A `CancelToken` is what one thread waits with: an eventfd(2), which is selected together with whatever else is waited for, such as
a connection. Any thread may write to it, and so may a signal handler. What cannot be selected may hang in a call, so it runs on a
thread of its own: a `SerialWorker` runs one call at a time on one long-lived daemon thread. While a call hangs, no other is
started beside it, so threads do not pile up.

Deadlines are moments of the token's clock, by `monotonic_ns`.
"""

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from heartbeatd.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")
_NS = 1_000_000_000
_NOTHING: Mapping[int, Callable[[], None]] = {}


class Cancelled(Exception):
    """A wait was broken off because the agent is stopping: this says nothing about what was waited for."""


class CancelToken:
    """What one thread waits with. Woken by whoever has news; cancelled once and for all when the end has come."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self.clock = clock
        self.cancelled = False
        self._waits_for_news = False
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __del__(self) -> None:
        # No earlier: a call that hung for hours wakes the token in the end, and its number could be another file's by then.
        os.close(self._event)

    def deadline(self, seconds: float) -> int:
        """The deadline that lies `seconds` ahead."""
        return self.clock.monotonic_ns() + int(seconds * _NS)

    def seconds_until(self, deadline_ns: int) -> float:
        """The seconds left until a deadline; negative when it has passed."""
        return (deadline_ns - self.clock.monotonic_ns()) / _NS

    def wake(self) -> None:
        """Have `wait` ask again whether it is done. Safe in a signal handler."""
        if self._waits_for_news:  # `wait` sets it before it asks `done()`, so news in between is not missed
            os.eventfd_write(self._event, 1)

    def cancel(self) -> None:
        """End the present wait and every later one at once. Safe in a signal handler."""
        self.cancelled = True
        os.eventfd_write(self._event, 1)

    def wait(
        self,
        done: Callable[[], bool],
        deadline_ns: int,
        also: Mapping[int, Callable[[], None]] = _NOTHING,
        *,
        when_cancelled: bool = False,
    ) -> bool:
        """Wait until `done()`, asked at each `wake`, until the deadline, or until cancelled; True if done.

        Each time there is something to read from a descriptor in `also`, or its other side has closed it, what `also` has for it
        is called; that may change `also`. With `when_cancelled` the wait goes on though the token is cancelled.
        """
        self._waits_for_news = True
        try:
            while not done():
                if (self.cancelled and not when_cancelled) or self.clock.monotonic_ns() >= deadline_ns:
                    return False
                for descriptor in self._select(also, (), deadline_ns):
                    if descriptor in also:  # one that was called before may have ended it
                        also[descriptor]()
        finally:
            self._waits_for_news = False
        return True

    def select(self, readable: Sequence[int], writable: Sequence[int], deadline_ns: int) -> list[int]:
        """Those of the descriptors that are ready; none once the deadline has passed. Raises Cancelled if none is by then."""
        while True:
            ready = self._select(readable, writable, 0 if self.cancelled else deadline_ns)
            if ready:
                return ready
            if self.cancelled:
                raise Cancelled
            if self.clock.monotonic_ns() >= deadline_ns:
                return ready

    def _select(
        self, readable: Sequence[int] | Mapping[int, object], writable: Sequence[int], deadline_ns: int
    ) -> list[int]:
        ready = self.clock.select((self._event, *readable), writable, deadline_ns)
        if self._event in ready:
            os.eventfd_read(self._event)
            ready.remove(self._event)
        return ready


class TimedOut(Exception):
    """A call did not come back in time, or an earlier one on the same thread still has not."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} timed out")


class Future(Generic[T]):
    """One call on a worker thread. `cancel` is the token of the thread that waits for it."""

    def __init__(self, name: str, work: Callable[[], T], deadline_ns: int, cancel: CancelToken) -> None:
        self.deadline_ns = deadline_ns
        self._name, self._work, self._cancel = name, work, cancel
        self._value: tuple[T] | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do the work, on the worker thread. Whatever it raises is carried over to whoever asks for the result."""
        try:
            self._value = (self._work(),)
        except BaseException as error:  # noqa: BLE001 - not handled here, only carried to the thread that waits
            self._error = error
        self._cancel.wake()

    def done(self) -> bool:
        """True once the work has ended, either way."""
        return self._value is not None or self._error is not None

    def result(self) -> T:
        """What the work returned, waited for until the deadline. Raises what it raised, or `TimedOut` if it has not come back."""
        self._cancel.wait(self.done, self.deadline_ns)
        if self._error is not None:
            raise self._error
        if self._value is None:
            raise TimedOut(self._name)
        return self._value[0]


class SerialWorker:
    """One daemon thread, started at first use, that runs one call at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[Future[object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._current: Future[object] | None = None

    @property
    def busy(self) -> bool:
        """True while a call has not come back."""
        return self._current is not None and not self._current.done()

    def start(self, work: Callable[[], T], deadline_ns: int, cancel: CancelToken) -> Future[T]:
        """Start `work`. Raises `TimedOut` if the call before it still has not come back."""
        if self.busy:
            raise TimedOut(self.name)
        return self.queue(work, deadline_ns, cancel)

    def queue(self, work: Callable[[], T], deadline_ns: int, cancel: CancelToken) -> Future[T]:
        """Have `work` done after what was started before it. Whoever queues sees to it that not too much piles up."""
        future = Future(self.name, work, deadline_ns, cancel)
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name=self.name, daemon=True)
            thread.start()
            self._thread = thread
        self._current = future  # type: ignore[assignment]  # the thread runs futures of any type
        self._jobs.put(future)  # type: ignore[arg-type]
        return future

    def close(self, patience_s: float = 0.2) -> None:
        """Let the thread end, and wait a moment for it; one that hangs is left behind, which a daemon thread may be."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(patience_s)
            self._thread = None

    def _serve(self) -> None:
        while (future := self._jobs.get()) is not None:
            future.run()
            del future  # hold nothing of it while idle
