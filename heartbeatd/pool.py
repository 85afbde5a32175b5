"""Work that is done again and again, each piece at its own times, on a few threads that all share.

Theory of operation. Each task has a phase: those that come together are spread over their time, so that fifty services are not
looked at in one moment. One idle thread, the leader, waits for the next task to be due; when it takes it, another waits in its
place, and is started if there is none. So tasks that are done at once need two threads however many they are, tasks that hang get
up to `most`, and without a task there is none. A task that takes longer than its time is late, and never done twice at once; with
all threads hanging the others are late. Nobody waits for a thread but `close`, for a moment.
"""

import heapq
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.clock import SYSTEM_CLOCK, Clock
from heartbeatd.core.schedule import NS_PER_S

T = TypeVar("T")
MOST_THREADS = 12


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """`work` is given the token of its thread to wait with. Two with the same `key` are the same, before and after a reload."""

    key: Hashable
    every_s: float
    work: Callable[[CancelToken], T]


class _Entry(Generic[T]):
    def __init__(self, task: Task[T], due_ns: int) -> None:
        self.task, self.due_ns = task, due_ns
        self.result: T | None = None
        self.news = False


class Pool(Generic[T]):
    """Does the tasks it was last told to `use`."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK, most: int = MOST_THREADS) -> None:
        self._clock, self._most = clock, most
        self._changed = threading.Condition()  # guards all that follows
        self._tasks: Sequence[Task[T]] = ()
        self._entries: dict[Hashable, _Entry[T]] = {}
        self._waiting: list[tuple[int, int, _Entry[T]]] = []  # a heap, by when they are due
        self._serial = count()
        self._threads: dict[threading.Thread, CancelToken] = {}
        self._idle, self._led, self._closed = 0, False, False

    def use(self, tasks: Sequence[Task[T]], *, at_once: bool = False) -> bool:
        """Do these from now on. Those that were there go on as they are. False if there is no thread to do them.

        `at_once`: those that are new are not spread over their time.
        """
        with self._changed:
            if tasks is not self._tasks:
                self._replace(tasks, at_once=at_once)
            if tasks and not self._threads:
                self._start_thread()
            return not tasks or bool(self._threads)

    def latest(self) -> tuple[T, ...]:
        """The last result of each task that has one."""
        with self._changed:
            return tuple(entry.result for entry in self._entries.values() if entry.result is not None)

    def take(self) -> tuple[T, ...]:
        """The results that came since the last time."""
        with self._changed:
            fresh = [entry for entry in self._entries.values() if entry.news]
            for entry in fresh:
                entry.news = False
            return tuple(entry.result for entry in fresh if entry.result is not None)

    def close(self, patience_s: float = 0.2) -> None:
        """Break off what is being done; a thread that hangs in spite of that is left behind, which a daemon thread may be."""
        with self._changed:
            self._closed = True
            threads = dict(self._threads)
            self._changed.notify_all()
        for token in threads.values():
            token.cancel()
        until_ns = self._clock.monotonic_ns() + int(patience_s * NS_PER_S)
        for thread in threads:
            thread.join(max(0.0, (until_ns - self._clock.monotonic_ns()) / NS_PER_S))

    def _replace(self, tasks: Sequence[Task[T]], *, at_once: bool) -> None:
        before, self._tasks = self._entries, tasks
        new = [task for task in tasks if task.key not in before]
        now_ns, parts = self._clock.monotonic_ns(), 0 if at_once else 1
        added = {
            task.key: _Entry(task, now_ns + parts * int(task.every_s * NS_PER_S) * number // len(new))
            for number, task in enumerate(new)
        }
        self._entries = {task.key: before.get(task.key) or added[task.key] for task in tasks}
        for entry in added.values():
            self._put(entry)
        self._changed.notify_all()

    def _put(self, entry: _Entry[T]) -> None:
        heapq.heappush(self._waiting, (entry.due_ns, next(self._serial), entry))

    def _start_thread(self) -> None:
        token = CancelToken(self._clock)
        thread = threading.Thread(target=self._serve, args=(token,), name=f"pool {len(self._threads) + 1}", daemon=True)
        with suppress(RuntimeError):  # as many as the unit may have: the others are late
            thread.start()
            self._threads[thread] = token

    def _serve(self, token: CancelToken) -> None:
        try:
            while (entry := self._next_due()) is not None:
                result: T | None = None
                try:
                    with suppress(Cancelled):
                        result = entry.task.work(token)
                finally:
                    self._done(entry, result)
        finally:
            with self._changed:
                self._threads.pop(threading.current_thread(), None)

    def _next_due(self) -> _Entry[T] | None:
        """Wait for it; None if all is over."""
        with self._changed:
            self._idle += 1
            try:
                while not self._closed:
                    self._drop_unwanted()
                    wait_ns = self._waiting[0][0] - self._clock.monotonic_ns() if self._waiting else None
                    if wait_ns is not None and wait_ns <= 0:
                        return self._take_first()
                    self._wait(wait_ns)
            finally:
                self._idle -= 1
        return None

    def _drop_unwanted(self) -> None:
        """Those at the head that are not to be done any more."""
        while self._waiting and self._entries.get(self._waiting[0][2].task.key) is not self._waiting[0][2]:
            heapq.heappop(self._waiting)

    def _take_first(self) -> _Entry[T]:
        """Another thread waits for what is due after it."""
        entry = heapq.heappop(self._waiting)[2]
        if self._idle > 1:
            self._changed.notify()
        elif len(self._threads) < min(self._most, len(self._entries)):
            self._start_thread()
        return entry

    def _wait(self, wait_ns: int | None) -> None:
        """For the next to be due, as the leader; others wait to lead."""
        if self._led or wait_ns is None:
            self._changed.wait()
            return
        self._led = True
        try:
            self._changed.wait(wait_ns / NS_PER_S)
        finally:
            self._led = False

    def _done(self, entry: _Entry[T], result: T | None) -> None:
        with self._changed:
            if self._entries.get(entry.task.key) is not entry:
                return  # it is not wanted any more
            if result is not None:
                entry.result, entry.news = result, True
            every_ns = max(1, int(entry.task.every_s * NS_PER_S))
            late_ns = self._clock.monotonic_ns() - entry.due_ns
            entry.due_ns += every_ns * (late_ns // every_ns + 1)
            self._put(entry)
            self._changed.notify_all()  # the leader may wait for one that is due later
