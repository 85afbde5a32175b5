"""Waits end, and what hangs is not started again beside itself."""

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from heartbeatd.cancel import Cancelled, CancelToken, SerialWorker, SharedThreads, TimedOut
from heartbeatd.core.schedule import NS_PER_S
from tests.support.clocks import FakeClock
from tests.support.wait import wait_until

HANGS_S = 60


def test_a_worker_thread_runs_what_it_is_given() -> None:
    """On another thread, one call after the other; values and errors come back to whoever asks."""
    worker, cancel = SerialWorker("worker"), CancelToken()
    threads = set()
    for _ in range(3):
        future = worker.start(threading.current_thread, cancel.deadline(HANGS_S), cancel)
        assert cancel.wait(future.done, future.deadline_ns)
        threads.add(future.result())
    failing = worker.start(lambda: 1 // 0, cancel.deadline(HANGS_S), cancel)
    assert cancel.wait(failing.done, failing.deadline_ns)
    with pytest.raises(ZeroDivisionError):
        failing.result()
    assert threading.current_thread() not in threads
    worker.close(HANGS_S)


def test_what_hangs_is_not_started_again() -> None:
    """The wait ends at the deadline; the next call is refused until the first has come back; no thread is added."""
    clock = FakeClock()
    worker, cancel, gate = SerialWorker("stuck"), CancelToken(clock), threading.Event()
    before = threading.active_count()
    future = worker.start(gate.wait, cancel.deadline(20), cancel)
    assert not cancel.wait(future.done, future.deadline_ns)
    assert clock.monotonic_ns() == future.deadline_ns
    with pytest.raises(TimedOut, match="stuck timed out"):
        future.result()
    for _ in range(10):
        with pytest.raises(TimedOut):
            worker.start(lambda: None, cancel.deadline(1), cancel)
    assert threading.active_count() == before + 1
    gate.set()
    wait_until(future.done)
    after = worker.start(lambda: 7, cancel.deadline(1), cancel)
    wait_until(after.done)
    assert after.result() == 7
    worker.close(HANGS_S)


def test_workers_share_one_thread_while_nothing_hangs() -> None:
    """What is begun together runs side by side; afterwards one thread is left, which does all that comes one by one."""
    shared, cancel, together = SharedThreads(), CancelToken(), threading.Barrier(4)
    workers = [SerialWorker(str(number), shared) for number in range(4)]
    before = threading.active_count()
    for future in [worker.start(together.wait, cancel.deadline(HANGS_S), cancel) for worker in workers]:
        future.result()
    wait_until(lambda: threading.active_count() == before + 1)

    def thread_of(worker: SerialWorker) -> threading.Thread:
        time.sleep(0.01)  # for the thread before to be idle; on a busy machine it may not be yet
        return worker.start(threading.current_thread, cancel.deadline(HANGS_S), cancel).result()

    wait_until(lambda: len(set(map(thread_of, workers))) == 1)
    shared.close(HANGS_S)
    assert threading.active_count() == before


def test_a_call_that_hangs_holds_up_no_other_worker() -> None:
    """Its own worker refuses the next call; the others go on beside it, on one more thread; in the end there is one again."""
    shared, cancel, gate = SharedThreads(), CancelToken(), threading.Event()
    stuck, fine = SerialWorker("stuck", shared), SerialWorker("fine", shared)
    before = threading.active_count()
    hangs = stuck.start(gate.wait, cancel.deadline(0.01), cancel)
    with pytest.raises(TimedOut):
        hangs.result()
    for number in range(10):
        with pytest.raises(TimedOut):
            stuck.start(lambda: None, cancel.deadline(1), cancel)
        assert fine.start(lambda number=number: number, cancel.deadline(HANGS_S), cancel).result() == number  # type: ignore[misc]
    wait_until(lambda: threading.active_count() == before + 2)
    gate.set()
    wait_until(lambda: threading.active_count() == before + 1)
    shared.close(HANGS_S)


def test_a_thread_that_becomes_idle_misses_no_call() -> None:
    """Calls that come while it becomes idle are all done: one at a time for each worker, and in order."""
    shared, cancel = SharedThreads(), CancelToken()
    workers = [SerialWorker(str(number), shared) for number in range(3)]
    done: list[list[int]] = [[] for _ in workers]
    running = [threading.Lock() for _ in workers]

    def work(number: int, call: int) -> None:
        assert running[number].acquire(blocking=False)
        done[number].append(call)
        running[number].release()

    before, interval_s = threading.active_count(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for call in range(1000):
            for number, worker in enumerate(workers):
                future = worker.queue(partial(work, number, call), cancel.deadline(HANGS_S), cancel)
                if (call + number) % 3:
                    future.result()
        for worker in workers:
            worker.queue(lambda: None, cancel.deadline(HANGS_S), cancel).result()
    finally:
        sys.setswitchinterval(interval_s)
    assert done == [list(range(1000))] * 3
    wait_until(lambda: threading.active_count() == before + 1)
    shared.close(HANGS_S)
    assert threading.active_count() == before


def test_after_the_end_no_thread_is_kept() -> None:
    """What is begun late is done all the same, as a database is closed."""
    shared, cancel = SharedThreads(), CancelToken()
    before = threading.active_count()
    shared.close()
    assert SerialWorker("late", shared).start(lambda: 7, cancel.deadline(HANGS_S), cancel).result() == 7
    wait_until(lambda: threading.active_count() == before)


def test_to_cancel_ends_every_wait() -> None:
    """The one under way, and all that come after it, for news and for a connection; what is done already is done."""
    clock = FakeClock()
    cancel, began_ns = CancelToken(clock), clock.monotonic_ns()
    clock.at(3, cancel.cancel)
    assert not cancel.wait(lambda: False, cancel.deadline(20))
    assert clock.monotonic_ns() == began_ns + 3 * NS_PER_S
    assert not cancel.wait(lambda: False, cancel.deadline(20))
    assert cancel.wait(lambda: True, cancel.deadline(20))
    here, there = socket.socketpair()
    with here, there:
        with pytest.raises(Cancelled):
            cancel.select((here.fileno(),), (), cancel.deadline(20))
        there.send(b"in time")
        assert cancel.select((here.fileno(),), (), cancel.deadline(20)) == [here.fileno()]
    assert clock.monotonic_ns() == began_ns + 3 * NS_PER_S


def test_what_must_be_waited_for_is() -> None:
    """The last write to the database, also when the agent is told to stop before it or meanwhile."""
    clock = FakeClock()
    cancel, written = CancelToken(clock), threading.Event()
    clock.at(1, cancel.cancel)
    clock.at(2, written.set)
    clock.at(2, cancel.wake)
    assert cancel.wait(written.is_set, cancel.deadline(20), when_cancelled=True)
    assert not cancel.wait(lambda: False, cancel.deadline(5), when_cancelled=True)


def test_news_does_not_disturb_a_wait_for_a_connection() -> None:
    """It has whoever waits for news ask again, and costs whoever waits for an answer nothing."""
    clock = FakeClock()
    cancel, asked = CancelToken(clock), 0

    def done() -> bool:
        nonlocal asked
        asked += 1
        return False

    clock.at(1, cancel.wake)
    assert not cancel.wait(done, cancel.deadline(2))
    assert asked == 3  # at the beginning, when woken, and at the end
    here, there = socket.socketpair()
    with here, there:
        clock.at(1, cancel.wake)
        began_ns = clock.monotonic_ns()
        assert cancel.select((here.fileno(),), (), cancel.deadline(2)) == []
        assert clock.monotonic_ns() == began_ns + 2 * NS_PER_S


def test_a_token_is_woken_by_another_thread() -> None:
    """With the machine's own clock: both kinds of wait are over long before their deadlines."""
    cancel, done = CancelToken(), threading.Event()
    here, there = socket.socketpair()

    def tell() -> None:
        done.set()
        cancel.wake()

    with here, there:
        news = threading.Timer(0.05, tell)
        news.start()
        assert cancel.wait(done.is_set, cancel.deadline(HANGS_S))
        end = threading.Timer(0.05, cancel.cancel)
        end.start()
        with pytest.raises(Cancelled):
            cancel.select((here.fileno(),), (), cancel.deadline(HANGS_S))
        news.join()
        end.join()


def test_other_descriptors_are_heard_while_waiting() -> None:
    """What comes on each, and its end, until the wait is over; one that is heard may end another, and itself."""
    cancel, heard = CancelToken(), list[tuple[int, bytes]]()
    pairs = [socket.socketpair() for _ in range(3)]
    also = dict[int, Callable[[], None]]()

    def hear(number: int) -> None:
        said = pairs[number][0].recv(100)
        heard.append((number, said))
        if not said:
            del also[pairs[number][0].fileno()]

    def hear_no_more() -> None:
        heard.append((9, b""))
        also.clear()

    also.update((here.fileno(), partial(hear, number)) for number, (here, _) in enumerate(pairs))
    for _, there in pairs:
        there.send(b"hello")
    assert cancel.wait(lambda: len(heard) == 3, cancel.deadline(HANGS_S), also)
    assert sorted(heard) == [(0, b"hello"), (1, b"hello"), (2, b"hello")]
    pairs[1][1].close()
    assert cancel.wait(lambda: len(also) == 2, cancel.deadline(HANGS_S), also)
    assert heard[3:] == [(1, b"")]
    for descriptor in also:
        also[descriptor] = hear_no_more
    for number in (0, 2):
        pairs[number][1].send(b"both at once")
    cancel.cancel()
    assert cancel.wait(lambda: not also, cancel.deadline(HANGS_S), also, when_cancelled=True)
    assert heard[4:] == [(9, b"")]
    for here, there in pairs:
        here.close()
        there.close()


def test_a_signal_handler_may_wake() -> None:
    """Hundreds of signals while the main thread waits and works: nothing deadlocks, and the wait still ends."""
    cancel = CancelToken()
    woken = 0

    def wake(*_: object) -> None:
        nonlocal woken
        woken += 1
        cancel.wake()

    before = signal.signal(signal.SIGUSR1, wake)
    over = threading.Event()

    def fire() -> None:
        while not over.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=fire)
    thread.start()
    try:
        assert cancel.wait(lambda: woken > 300, cancel.deadline(HANGS_S))
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_token_leaves_no_descriptor() -> None:
    """It is closed with the last who may write to it: a call that hung holds it until then."""
    folder = Path("/proc/self/fd")
    gc.collect()  # of other tests
    worker, gate = SerialWorker("stuck"), threading.Event()
    before = len(list(folder.iterdir()))
    worker.start(gate.wait, 0, CancelToken())
    assert len(list(folder.iterdir())) == before + 1
    gate.set()
    worker.close(HANGS_S)
    del worker  # and with it the call
    wait_until(lambda: len(list(folder.iterdir())) == before)


def test_the_clock_is_on_time() -> None:
    """A wait ends at its deadline, and no earlier."""
    cancel = CancelToken()
    deadline_ns = cancel.deadline(0.0203)
    assert not cancel.wait(lambda: False, deadline_ns)
    assert time.monotonic_ns() >= deadline_ns
