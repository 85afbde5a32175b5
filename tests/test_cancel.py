"""Waits end, and what hangs is not started again beside itself."""

import os
import signal
import threading
import time

import pytest

from heartbeatd.cancel import CancelToken, SerialWorker, TimedOut, seconds_from_now


def test_a_lane_runs_what_it_is_given() -> None:
    """On one thread, one call after the other; values and errors come back to whoever asks."""
    lane, waiter = SerialWorker("lane"), CancelToken()
    threads = set()
    for _ in range(3):
        call = lane.start(threading.current_thread, seconds_from_now(5), waiter)
        assert waiter.wait(call.done, call.deadline_ns)
        threads.add(call.result())
    failing = lane.start(lambda: 1 // 0, seconds_from_now(5), waiter)
    waiter.wait(failing.done, failing.deadline_ns)
    with pytest.raises(ZeroDivisionError):
        failing.result()
    assert len(threads) == 1
    assert threading.current_thread() not in threads
    lane.close()


def test_what_hangs_keeps_its_lane() -> None:
    """The wait ends at the deadline; the next call is refused until the first has come back; no thread is added."""
    lane, waiter, gate = SerialWorker("stuck"), CancelToken(), threading.Event()
    before = threading.active_count()
    call = lane.start(gate.wait, seconds_from_now(0.1), waiter)
    assert not waiter.wait(call.done, call.deadline_ns)
    with pytest.raises(TimedOut, match="stuck does not come back"):
        call.result()
    for _ in range(10):
        with pytest.raises(TimedOut):
            lane.start(lambda: None, seconds_from_now(1), waiter)
    assert threading.active_count() == before + 1
    gate.set()
    assert waiter.wait(call.done, seconds_from_now(5))
    after = lane.start(lambda: 7, seconds_from_now(5), waiter)
    assert waiter.wait(after.done, after.deadline_ns)
    assert after.result() == 7
    lane.close()


def test_an_interruption_ends_every_wait() -> None:
    """The one under way, and all that come after it."""
    waiter = CancelToken()
    threading.Timer(0.1, waiter.cancel).start()
    began_s = time.monotonic()
    assert not waiter.wait(lambda: False, seconds_from_now(20))
    assert not waiter.wait(lambda: False, seconds_from_now(20))
    assert time.monotonic() - began_s < 5
    assert waiter.wait(lambda: True, seconds_from_now(20))


def test_a_signal_handler_may_ring() -> None:
    """A thousand signals while the main thread waits and works: nothing deadlocks, and the wait still ends."""
    waiter = CancelToken()
    rung = 0

    def ring(*_: object) -> None:
        nonlocal rung
        rung += 1
        waiter.wake()

    before = signal.signal(signal.SIGUSR1, ring)
    over = threading.Event()

    def fire() -> None:
        while not over.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.0001)  # which leaves the interpreter to the main thread

    thread = threading.Thread(target=fire)
    thread.start()
    try:
        assert waiter.wait(lambda: rung > 1000, seconds_from_now(60))
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert rung > 1000
