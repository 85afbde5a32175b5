"""Waiting with an end: what may hang runs on a thread of its own, and whoever waits for it stops at a deadline.

`SerialWorker` runs one call at a time on one long-lived daemon thread. A call that hangs keeps its lane, so it is never started
again beside itself and threads do not pile up. `CancelToken` is what a thread waits with; it can be woken by any thread, and by
a signal handler too, because a SimpleQueue may be put to from within a handler where a Condition would deadlock.

Deadlines are moments of `time.monotonic_ns`.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_NS = 1_000_000_000


class CancelToken:
    """What one thread waits with. Rung by whoever has news; interrupted once and for all when the end has come."""

    def __init__(self) -> None:
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.cancelled = False
        self._end: Callable[[], None] | None = None

    def wake(self) -> None:
        """Have the waiting thread look again. Safe in a signal handler."""
        self._bell.put(None)

    def cancel(self) -> None:
        """End the present wait and every later one at once. Safe in a signal handler."""
        self.cancelled = True
        self.wake()
        end = self._end
        if end is not None:
            end()

    @contextlib.contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """While the block waits in a way of its own: what ends that. An interruption calls it, in a signal handler maybe."""
        self._end = end
        try:
            yield
        finally:
            self._end = None

    def wait(self, done: Callable[[], bool], deadline_ns: int) -> bool:
        """Wait until `done()`, the deadline or an interruption; True if done."""
        while not done():
            left_ns = deadline_ns - time.monotonic_ns()
            if left_ns <= 0 or self.cancelled:
                return False
            try:
                self._bell.get(timeout=left_ns / _NS)
            except queue.Empty:
                return done()
        return True


class TimedOut(Exception):
    """A call did not come back in time, or an earlier one still holds the lane."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not come back")


class Future(Generic[T]):
    """One call on a lane."""

    def __init__(self, lane: str, work: Callable[[], T], deadline_ns: int, waiter: CancelToken) -> None:
        self.deadline_ns = deadline_ns
        self._lane, self._work, self._waiter = lane, work, waiter
        self._value: tuple[T] | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do the work, on the lane's thread. Whatever it raises is carried over to whoever asks for the outcome."""
        try:
            self._value = (self._work(),)
        except BaseException as error:  # noqa: BLE001 - not handled here, only carried to the thread that waits
            self._error = error
        self._waiter.wake()

    def done(self) -> bool:
        """True once the work has ended, either way."""
        return self._value is not None or self._error is not None

    def result(self) -> T:
        """What the work returned, waited for until the deadline. Raises what it raised, or `TimedOut` if it has not come back."""
        self._waiter.wait(self.done, self.deadline_ns)
        if self._error is not None:
            raise self._error
        if self._value is None:
            raise TimedOut(self._lane)
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

    def start(self, work: Callable[[], T], deadline_ns: int, waiter: CancelToken) -> Future[T]:
        """Start `work`. Raises `TimedOut` if the call before it still has not come back."""
        if self.busy:
            raise TimedOut(self.name)
        return self.queue(work, deadline_ns, waiter)

    def queue(self, work: Callable[[], T], deadline_ns: int, waiter: CancelToken) -> Future[T]:
        """Have `work` done after what was started before it. Whoever queues sees to it that not too much piles up."""
        call = Future(self.name, work, deadline_ns, waiter)
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name=self.name, daemon=True)
            thread.start()
            self._thread = thread
        self._current = call  # type: ignore[assignment]  # a Call of T is a Call of object to the lane
        self._jobs.put(call)  # type: ignore[arg-type]
        return call

    def close(self, patience_s: float = 0.2) -> None:
        """Let the thread end, and wait a moment for it; one that hangs is left behind, which a daemon thread may be."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(patience_s)
            self._thread = None

    def _serve(self) -> None:
        while (call := self._jobs.get()) is not None:
            call.run()
            del call  # hold nothing of it while idle


def seconds_from_now(seconds: float) -> int:
    """The deadline that lies `seconds` ahead."""
    return time.monotonic_ns() + int(seconds * _NS)


def seconds_until(deadline_ns: int) -> float:
    """The seconds left until a deadline; negative when it has passed."""
    return (deadline_ns - time.monotonic_ns()) / _NS
