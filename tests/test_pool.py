"""Work that is done again and again: at its own times, on few threads, whatever hangs."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.pool import Pool, Task
from tests.support.wait import wait_until

LONG_S = 3600.0


@pytest.fixture
def pool() -> Iterator[Pool[str]]:
    """One with few threads."""
    made: Pool[str] = Pool(most=4)
    yield made
    made.close(patience_s=10)


def says(name: str) -> Callable[[CancelToken], str]:
    return lambda cancel: name


def hangs(cancel: CancelToken) -> str:
    """Until it is told to end."""
    cancel.wait(lambda: False, cancel.deadline(LONG_S))
    return "ended"


def threads() -> int:
    return sum(thread.name.startswith("pool") for thread in threading.enumerate())


def test_without_a_task_there_is_no_thread(pool: Pool[str]) -> None:
    """It costs nothing."""
    assert pool.use([])
    assert threads() == 0
    assert pool.take() == ()


def test_each_is_done_again_in_its_own_time(pool: Pool[str]) -> None:
    """The first at once; each result is taken once, and the last one is known."""
    pool.use([Task("often", 0.05, says("often")), Task("seldom", LONG_S, says("seldom"))])
    for _ in range(3):
        wait_until(lambda: pool.take() == ("often",))
    assert pool.latest() == ("often",)


def test_those_that_come_together_are_spread(pool: Pool[str]) -> None:
    """Over the time of each, unless all are wanted at once."""
    began_s, done = time.monotonic(), dict[int, float]()

    def work(number: int) -> Callable[[CancelToken], str]:
        def note(cancel: CancelToken) -> str:
            done.setdefault(number, time.monotonic() - began_s)
            return str(number)

        return note

    pool.use([Task(number, 1.0, work(number)) for number in range(10)])
    wait_until(lambda: len(done) == 10)
    assert all(number / 10 <= done[number] for number in range(10))
    pool.use([Task(number, LONG_S, work(number)) for number in range(10, 20)], at_once=True)
    wait_until(lambda: len(done) == 20)


def test_those_that_answer_need_few_threads() -> None:
    """However many they are: two, and one or two more if a thread was slow to begin."""
    pool: Pool[str] = Pool()
    try:
        pool.use([Task(number, 1.0, says(str(number))) for number in range(50)])
        wait_until(lambda: len(pool.latest()) == 50)
        assert threads() <= 4
    finally:
        pool.close(patience_s=10)


def test_those_that_hang_hold_up_no_more_than_their_threads(pool: Pool[str]) -> None:
    """Three of four hang, and the fourth thread does all else; with all four the others wait, and whoever takes never does."""
    pool.use([*(Task(f"hangs {n}", 0.1, hangs) for n in range(3)), Task("well", 0.05, says("well"))], at_once=True)
    for _ in range(3):
        wait_until(lambda: pool.take() == ("well",))
    assert threads() == 4
    pool.use([*(Task(f"hangs {n}", 0.1, hangs) for n in range(50)), Task("well", 0.05, says("well"))])
    wait_until(lambda: threads() == 4)
    began_s = time.monotonic()
    for _ in range(1000):
        pool.take()
    assert time.monotonic() - began_s < 1


def test_what_changes_restarts_no_other(pool: Pool[str]) -> None:
    """One that stays goes on; one that goes is not done again, and its result is nobody's; one that comes is begun at once."""
    started = threading.Event()

    def once(cancel: CancelToken) -> str:
        assert not started.is_set(), "begun a second time"
        started.set()
        cancel.wait(lambda: False, cancel.deadline(LONG_S))
        return "ended"

    stays, goes = Task("stays", LONG_S, once), Task("goes", 0.05, says("goes"))
    pool.use([stays, goes], at_once=True)
    wait_until(lambda: started.is_set() and pool.latest() == ("goes",))
    pool.use([Task("stays", LONG_S, once), Task("comes", LONG_S, says("comes"))])
    wait_until(lambda: pool.latest() == ("comes",))
    assert pool.take() == ("comes",)


def test_closing_ends_what_hangs(pool: Pool[str]) -> None:
    """At once, as whoever waits does so with its token."""
    pool.use([Task(number, 0.1, hangs) for number in range(4)], at_once=True)
    wait_until(lambda: threads() == 4)
    began_s = time.monotonic()
    pool.close(patience_s=10)
    assert time.monotonic() - began_s < 5
    assert threads() == 0


def test_no_thread_to_be_had(pool: Pool[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said, and tried again."""
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    tasks = [Task("a", LONG_S, says("a"))]
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not pool.use(tasks)
    monkeypatch.setattr(threading.Thread, "start", start)
    assert pool.use(tasks)
    wait_until(lambda: pool.take() == ("a",))
