"""The clocks, behind a small Protocol: what time it is, and how much time has really passed."""

import time
from typing import Protocol


class Clock(Protocol):
    """Three clocks, all in ns: they are read here and nowhere else, and handed on as values."""

    def now_ns(self) -> int:
        """The wall clock, since the epoch. May be stepped at any moment."""

    def monotonic_ns(self) -> int:
        """Never set by anyone; stands still while the machine is suspended. All waits and durations use it."""

    def boottime_ns(self) -> int:
        """As `monotonic_ns`, but goes on while the machine is suspended."""


class SystemClock:
    """The machine's own clocks (clock_gettime(2))."""

    def now_ns(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
