"""When cycles run: on the grid, once a slot, whatever is done to the clock."""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import Clock, SystemClock
from heartbeatd.core.schedule import NS_PER_S, Tick
from heartbeatd.errors import ConfigError, Problem
from heartbeatd.journal import MessageId
from heartbeatd.loop import Loop, Signals
from tests.support.clocks import FakeClock


class Recorder:
    """A work whose cycles note when they ran, and do what a test asks of them."""

    interval_s = 1
    longest_cycle_s = 0.5
    news = False

    def __init__(self, clock: Clock, during: Callable[[int], None]) -> None:
        self.ticks: list[tuple[Tick, int]] = []
        self.shifts: list[int] = []
        self.distrusted = 0
        self.watched: dict[int, Callable[[], None]] = {}
        self.stepped_ns: list[int] = []
        self.steps_s: list[float] = []  # from one step to the next; an hour if there is none
        self._clock, self._during = clock, during

    def run(self, tick: Tick) -> None:
        self.ticks.append((tick, self._clock.now_ns()))
        self._during(len(self.ticks))

    def shift(self, by_ns: int) -> None:
        self.shifts.append(by_ns)

    def distrust(self) -> None:
        self.distrusted += 1

    def step(self) -> int:
        self.news = False
        self.stepped_ns.append(self._clock.monotonic_ns())
        return self._clock.monotonic_ns() + int((self.steps_s.pop(0) if self.steps_s else 3600) * NS_PER_S)

    @property
    def slots_s(self) -> list[int]:
        """The slots that ran, in seconds from the first."""
        first = self.ticks[0][0].slot_ns
        return [(tick.slot_ns - first) // NS_PER_S for tick, _ in self.ticks]


class Service:
    """Hears what the service manager would hear."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def reloading(self, monotonic_ns: int) -> None:
        self.heard.append("reloading")

    def reloaded(self, status: str, *, taken: bool) -> None:
        self.heard.append(f"{'reloaded' if taken else 'refused'}: {status}")

    def set_watchdog(self, interval_s: int, longest_cycle_s: float) -> None:
        self.heard.append(f"expect {interval_s} {longest_cycle_s:g}")


@pytest.fixture(autouse=True)
def handlers(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Signal handlers as they were before."""
    caplog.set_level(logging.INFO, "heartbeatd")
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def run(during: Callable[[int, FakeClock], None], cycles: int) -> Recorder:
    """Run the loop for so many cycles of a second; `during` is called in each."""
    clock = FakeClock()
    cancel = CancelToken(clock)
    signals = Signals(cancel)

    def act(number: int) -> None:
        if number >= cycles:
            signal.raise_signal(signal.SIGTERM)
        else:
            during(number, clock)

    work = Recorder(clock, act)
    Loop(clock, cancel, signals, Service(), lambda: work).run(work)
    return work


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The kinds of what was logged."""
    return [MessageId(r.fields["MESSAGE_ID"]).name for r in caplog.records if hasattr(r, "fields")]


def test_cycles_run_on_the_grid(caplog: pytest.LogCaptureFixture) -> None:
    """Each slot once, none missed, each begun at its second and not before."""
    work = run(lambda *_: None, 4)
    assert work.slots_s == [0, 1, 2, 3]
    for tick, began_ns in work.ticks:
        assert tick.slot_ns % NS_PER_S == 0
        assert began_ns == tick.slot_ns
        assert tick.missed == 0
    assert messages(caplog) == []


def test_a_long_cycle_skips_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    """A cycle of two and a half seconds: the next slot is the third, and two were missed; none is run late."""
    work = run(lambda number, clock: clock.pass_s(2.5) if number == 1 else None, 3)
    assert work.slots_s == [0, 3, 4]
    assert [tick.missed for tick, _ in work.ticks] == [0, 2, 0]
    assert messages(caplog) == ["SLOTS_MISSED"]


@pytest.mark.parametrize("step_s", [3600, -3600, 0.6, -0.6])
def test_a_stepped_clock(step_s: float, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once; cycles go on at once on the new time line's grid; no slot runs twice, none is called missed."""

    def step(number: int, clock: FakeClock) -> None:
        if number == 2:
            clock.step_s(step_s)

    work = run(step, 4)
    assert len({tick.slot_ns for tick, _ in work.ticks}) == len(work.ticks)
    assert all(at_ns == tick.slot_ns for tick, at_ns in work.ticks)
    assert [tick.missed for tick, _ in work.ticks] == [0] * 4
    assert messages(caplog) == ["CLOCK_STEPPED"]
    assert work.shifts == [int(step_s * NS_PER_S)]
    assert work.distrusted == 1


def test_a_clock_stepped_while_asleep(caplog: pytest.LogCaptureFixture) -> None:
    """Set forward in the middle of the wait for a slot: that slot is history, the next one is on the new grid."""

    def later(number: int, clock: FakeClock) -> None:
        if number == 1:
            clock.at(0.3, lambda: clock.step_s(10.5))

    work = run(later, 3)
    assert work.slots_s == [0, 12, 13]
    assert [tick.missed for tick, _ in work.ticks] == [0, 0, 0]
    assert messages(caplog) == ["CLOCK_STEPPED"]


def test_a_suspended_machine(caplog: pytest.LogCaptureFixture) -> None:
    """Time passed that the process did not live through: it is said, the missed slots are counted, nothing is bunched."""

    def suspend(number: int, clock: FakeClock) -> None:
        if number == 2:
            clock.suspend_s(60)

    work = run(suspend, 4)
    assert work.slots_s == [0, 1, 62, 63]
    assert [tick.missed for tick, _ in work.ticks] == [0, 0, 60, 0]
    assert (work.shifts, work.distrusted) == ([], 1)
    assert messages(caplog) == ["CLOCK_STEPPED", "SLOTS_MISSED"]
    assert "suspended for 1 min" in caplog.text


def test_a_failing_cycle_is_one_cycle(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is logged with its traceback, and the next cycle runs."""

    def fail(number: int, _: FakeClock) -> None:
        if number == 1:
            raise RuntimeError("nobody foresaw this")

    assert run(fail, 3).slots_s == [0, 1, 2]
    assert messages(caplog) == ["CYCLE_FAILED"]
    assert "nobody foresaw this" in caplog.text


@pytest.mark.parametrize(
    "error", [ConfigError(Problem("file", "is bad")), RuntimeError("nobody foresaw this")], ids=repr
)
def test_reloading(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """SIGHUP, however often, is one reload between two cycles; one that fails, in whichever way, leaves the old work running."""
    clock, service = FakeClock(), Service()
    cancel = CancelToken(clock)
    signals = Signals(cancel)
    reloads = 0

    def storm(number: int) -> None:
        if number in (1, 2):
            for _ in range(50):
                signal.raise_signal(signal.SIGHUP)
        if number == 3:
            signal.raise_signal(signal.SIGTERM)

    work = Recorder(clock, storm)

    def reload() -> Recorder:
        nonlocal reloads
        reloads += 1
        if reloads == 1:
            raise error
        return work

    Loop(clock, cancel, signals, service, reload).run(work)
    assert reloads == 2
    assert len(work.ticks) == 3
    assert [text.partition(":")[0] for text in service.heard] == [
        "reloading",
        "refused",
        "reloading",
        "expect 1 0.5",
        "reloaded",
    ]
    assert "failed" in service.heard[1]
    assert f"the old one stays in force: {error}" in caplog.text
    assert [record.exc_info is not None for record in caplog.records] == [isinstance(error, RuntimeError), False]


def test_a_reload_to_a_shorter_interval_misses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """After an interval of four seconds, one of one second: the slots of the second that lie between were nobody's."""
    clock = FakeClock()
    cancel = CancelToken(clock)
    signals = Signals(cancel)

    def act(number: int) -> None:
        if number == 1:
            clock.at(2.3, lambda: signal.raise_signal(signal.SIGHUP))
        if number == 3:
            signal.raise_signal(signal.SIGTERM)

    slow, fast = Recorder(clock, act), Recorder(clock, act)
    slow.interval_s, fast.ticks = 4, slow.ticks
    Loop(clock, cancel, signals, Service(), lambda: fast).run(slow)
    assert fast.slots_s == [0, 3, 4]
    assert [tick.missed for tick, _ in fast.ticks] == [0, 0, 0]
    assert messages(caplog) == ["CONFIG_RELOADED"]


def test_a_signal_ends_a_wait() -> None:
    """SIGTERM long before the next slot, by the machine's own clock: the end comes at once."""
    clock = SystemClock()
    cancel = CancelToken(clock)
    work = Recorder(clock, lambda _: None)
    work.interval_s = 3600
    loop = Loop(clock, cancel, Signals(cancel), Service(), lambda: work)
    timer = threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM))
    timer.start()
    began_s = time.monotonic()
    loop.run(work)
    assert time.monotonic() - began_s < 60
    timer.join()


def test_what_is_due_between_two_cycles() -> None:
    """A step at each moment it asked for, and after what was heard on a descriptor; the slots are those of the grid."""
    clock = FakeClock()
    cancel = CancelToken(clock)
    signals, start_ns = Signals(cancel), clock.monotonic_ns()
    ours, theirs = socket.socketpair()
    heard = []

    def now_s() -> float:
        return (clock.monotonic_ns() - start_ns) / NS_PER_S

    def hear() -> None:
        heard.append((now_s(), ours.recv(100)))
        work.steps_s, work.news = [1.5], True  # so that there is something to do soon

    work = Recorder(clock, lambda number: signal.raise_signal(signal.SIGTERM) if number == 2 else None)
    work.interval_s, work.watched, work.steps_s = 60, {ours.fileno(): hear}, [3600, 7]
    clock.at(70, lambda: theirs.sendall(b"news"))
    with ours, theirs:
        Loop(clock, cancel, signals, Service(), lambda: work).run(work)
    assert heard == [(70, b"news")]
    assert [(at_ns - start_ns) / NS_PER_S for at_ns in work.stepped_ns] == [0, 20, 27, 70, 71.5]
    assert work.slots_s == [0, 60]
