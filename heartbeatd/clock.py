"""The clocks, behind a small Protocol: what time it is, how much time has really passed, and waiting for a moment."""

import select
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from systemd import id128

SYNCHRONISED = Path("/run/systemd/timesync/synchronized")  # systemd-timesyncd.service(8)
HARDWARE_CLOCKS = Path("/sys/class/rtc")
PRECISE_NS = 100_000_000  # a wait that is shorter than this ends at most 0.1 ms too late
AGREES_S = 5  # a hardware clock shows whole seconds, and drifts by a few while the machine is off


class Clock(Protocol):
    """Three clocks, all in ns, handed to whoever needs them."""

    def now_ns(self) -> int:
        """The wall clock, since the epoch. May be stepped at any moment."""

    def monotonic_ns(self) -> int:
        """Never set by anyone; stands still while the machine is suspended. All waits and durations use it."""

    def boottime_ns(self) -> int:
        """As `monotonic_ns`, but goes on while the machine is suspended."""

    def vouched(self) -> bool:
        """True if something says that the wall clock is right: a time server, or a hardware clock."""

    def select(self, readable: Sequence[int], writable: Sequence[int], until_ns: int) -> list[int]:
        """Wait for one of these descriptors, until that moment of `monotonic_ns`. Those that are ready, if any."""


def booted_ns(clock: Clock) -> int:
    """What the wall clock, as it is set now, would have shown at boot: it changes only if somebody sets the clock."""
    return clock.now_ns() - clock.boottime_ns()


def boot_id() -> str:
    """The id of this boot, 32 hexadecimal digits (sd_id128_get_boot(3)); another one after every start of the system."""
    return str(id128.get_boot().hex)


class SystemClock:
    """The machine's own clocks (clock_gettime(2))."""

    now_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def vouched(self) -> bool:
        """By systemd-timesyncd, or by a hardware clock that agrees: the Raspberry Pi 5 has one that may lack its battery.

        adjtimex(2), which knows of every time server, is closed to a service with ProtectClock=.
        """
        return SYNCHRONISED.exists() or any(
            abs(shown_s - self.now_ns() / 1e9) <= AGREES_S for shown_s in map(_hardware_clock_s, _hardware_clocks())
        )

    def select(self, readable: Sequence[int], writable: Sequence[int], until_ns: int) -> list[int]:
        """By select(2), not poll(2), which counts in milliseconds. Takes descriptors below 1024, the soft limit of a service.

        The kernel ends either up to a thousandth of the time too late (select_estimate_accuracy() in fs/select.c), 10 ms for ten
        seconds. So a long wait is cut short, and what is left of it is waited for by itself.
        """
        while True:
            left_ns = until_ns - time.monotonic_ns()
            wait_ns = left_ns if left_ns < PRECISE_NS else left_ns - left_ns // 100
            to_read, to_write, _ = select.select(readable, writable, (), wait_ns / 1e9 if wait_ns > 0 else 0)
            ready = to_read + to_write
            if ready or left_ns < PRECISE_NS:
                return ready


SYSTEM_CLOCK = SystemClock()


def _hardware_clocks() -> list[Path]:
    try:
        return list(HARDWARE_CLOCKS.iterdir())
    except OSError:
        return []


def _hardware_clock_s(folder: Path) -> int:
    """Seconds since the epoch by one hardware clock (rtc(4)); 0 if it cannot be read."""
    try:
        return int((folder / "since_epoch").read_text())
    except (OSError, ValueError):
        return 0
