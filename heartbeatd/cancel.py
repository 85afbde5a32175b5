"""Waiting with an end: whoever waits stops at a deadline, and at once when the agent is to end.

A `CancelToken` is what one thread waits with: an eventfd(2), which is selected together with whatever else is waited for, such as
a connection. Any thread may write to it, and so may a signal handler. What cannot be selected may hang in a call, so it runs on
another thread: a `SerialWorker` runs one call at a time. While a call hangs, no other of the same worker is started beside it, so
threads do not pile up. Workers share their threads (`SharedThreads`): a call never waits for one of another worker, but in
healthy times, when each has come back before the next begins, one thread is enough for all.

Deadlines are moments of the token's clock, by `monotonic_ns`.
"""

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from heartbeatd.clock import SYSTEM_CLOCK, Clock
from heartbeatd.core.schedule import NS_PER_S

T = TypeVar("T")
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
        return self.clock.monotonic_ns() + int(seconds * NS_PER_S)

    def seconds_until(self, deadline_ns: int) -> float:
        """The seconds left until a deadline; negative when it has passed."""
        return (deadline_ns - self.clock.monotonic_ns()) / NS_PER_S

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


class SharedThreads:
    """Daemon threads for workers to share. Each piece of work has one to itself; of those that are idle all but one end."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards all that follows
        self._threads: set[threading.Thread] = set()
        self._idle, self._closed = False, False

    def run(self, job: Callable[[], None]) -> None:
        """Have it done at once, whatever hangs. Raises RuntimeError if there can be no more threads."""
        with self._lock:
            if not self._idle:
                thread = threading.Thread(target=self._serve, name="worker", daemon=True)
                thread.start()
                self._threads.add(thread)
            self._idle = False
            self._jobs.put(job)  # as many threads wait as there are jobs here, and one more if one is idle

    def close(self, patience_s: float = 0.2) -> None:
        """Let the threads end, and wait a moment for them; one that hangs is left behind, which a daemon thread may be."""
        with self._lock:
            self._closed, threads = True, list(self._threads)
            if self._idle:
                self._idle = False
                self._jobs.put(None)
        until = time.monotonic() + patience_s
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # hold nothing of it while idle
            with self._lock:
                if self._idle or self._closed:
                    break
                self._idle = True
        with self._lock:
            self._threads.discard(threading.current_thread())


class SerialWorker:
    """Runs one call at a time, on one of `threads`, or on a thread of its own."""

    def __init__(self, name: str, threads: SharedThreads | None = None) -> None:
        self.name = name
        self._threads, self._shares = threads or SharedThreads(), threads is not None
        self._lock = threading.Lock()  # guards the two that follow
        self._jobs: deque[Future[object]] = deque()
        self._serving = False
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
        with self._lock:
            if not self._serving:
                self._threads.run(self._serve)
                self._serving = True
            self._jobs.append(future)  # type: ignore[arg-type]  # the thread runs futures of any type
        self._current = future  # type: ignore[assignment]
        return future

    def close(self, patience_s: float = 0.2) -> None:
        """Let its own thread end, as `SharedThreads.close` does; those that it shares go on."""
        if not self._shares:
            self._threads.close(patience_s)

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._serving = False
                    return
                future = self._jobs.popleft()
            future.run()
            del future
