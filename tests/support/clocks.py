"""A clock for tests: time passes on it when somebody waits, and when a test says so."""

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from heartbeatd.core.schedule import NS_PER_S

NOW_NS = 1_795_540_060 * NS_PER_S  # 2026-11-24T17:07:40Z
HANGS_S = 60


@dataclass
class FakeClock:
    """It shows `wall_ns`, ten minutes after boot. `time_server`: somebody vouches for it.

    A wait is over at once, and has lasted as long as it may, unless what is waited for is there; what is to happen meanwhile
    happens (`at`). While a connection is waited for whose other side is not `settled`, no time passes: it may yet answer.
    """

    wall_ns: int = NOW_NS
    boot_ns: int = 600 * NS_PER_S
    time_server: bool = False
    settled: Callable[[], bool] = lambda: True
    _suspended_ns: int = 0
    _events: list[tuple[int, Callable[[], None]]] = field(default_factory=list)

    def now_ns(self) -> int:
        return self.wall_ns

    def monotonic_ns(self) -> int:
        return self.boot_ns - self._suspended_ns

    def boottime_ns(self) -> int:
        return self.boot_ns

    def vouched(self) -> bool:
        return self.time_server

    def pass_s(self, seconds: float) -> None:
        """Time goes by."""
        self._pass_ns(round(seconds * NS_PER_S))

    def step_s(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.wall_ns += round(seconds * NS_PER_S)

    def suspend_s(self, seconds: float) -> None:
        """The machine is suspended, and wakes."""
        self.pass_s(seconds)
        self._suspended_ns += round(seconds * NS_PER_S)

    def boot(self, *, after_s: float, resumed: bool) -> None:
        """The machine is off for so long, and is up for 20 s; the clock goes on where it stood, or was kept by a battery."""
        self.wall_ns += (0 if resumed else round(after_s * NS_PER_S)) + 20 * NS_PER_S
        self.boot_ns, self._suspended_ns = 20 * NS_PER_S, 0

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """In so many seconds, if somebody waits then, call `act`."""
        self._events.append((self.monotonic_ns() + int(seconds * NS_PER_S), act))
        self._events.sort(key=lambda event: event[0])

    def select(self, readable: Sequence[int], writable: Sequence[int], until_ns: int) -> list[int]:
        while not (ready := self._ready(readable, writable)):
            if not self._events or self._events[0][0] > until_ns:
                self._pass_until(until_ns)
                return []
            at_ns, act = self._events.pop(0)
            self._pass_until(at_ns)
            act()
        return ready

    def _ready(self, readable: Sequence[int], writable: Sequence[int]) -> list[int]:
        hangs_s = time.monotonic() + HANGS_S
        while True:
            settled = self.settled()  # first: what it sent before it was is there
            # The kernel may take a moment to bring over what was sent.
            to_read, to_write, _ = select.select(readable, writable, (), 0.02 if readable[1:] or writable else 0)
            if to_read or to_write or settled:
                return [*to_read, *to_write]
            assert time.monotonic() < hangs_s, "the other side does not settle"

    def _pass_until(self, moment_ns: int) -> None:
        self._pass_ns(max(0, moment_ns - self.monotonic_ns()))

    def _pass_ns(self, passed_ns: int) -> None:
        self.wall_ns += passed_ns
        self.boot_ns += passed_ns
