"""*When* a cycle runs: on the grid, whatever the clock and the signals do. Knows nothing of what a cycle does.

Signal handlers only note what is wanted and wake the loop; all else happens on the loop's own time. SIGTERM and SIGINT
break off every wait at once, so the cycle under way ends early, stores what it has, and the process is gone within a
second or two. SIGHUP re-reads the configuration between two cycles, however many have come in.
"""

import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import FrameType
from typing import Protocol

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import Clock
from heartbeatd.core.schedule import NS_PER_S, Past, Tick, first_tick, next_tick, regridded, stepped_ns
from heartbeatd.core.timefmt import format_duration, plural
from heartbeatd.errors import HeartbeatdError
from heartbeatd.journal import NOTICE, MessageId, journal_fields

log = logging.getLogger(__name__)

RELOAD_GAP_NS = NS_PER_S // 2  # between two reloads, so that no storm of signals keeps cycles from running


class Work(Protocol):
    """A running configuration."""

    def run(self, tick: Tick) -> None:
        """Run one tick."""

    @property
    def interval_s(self) -> int:
        """Seconds between two ticks."""

    @property
    def longest_cycle_s(self) -> float:
        """Seconds a cycle may take at the most."""

    def shift(self, by_ns: int) -> None:
        """The wall clock was stepped by so much: what remembers moments moves them along."""

    def distrust(self) -> None:
        """The machine was suspended, or its clock stepped, maybe because it was: what is connected may be dead."""

    @property
    def watched(self) -> Mapping[int, Callable[[], None]]:
        """What is called between two cycles when there is something to read from a descriptor, or its other side closed it."""

    @property
    def news(self) -> bool:
        """True if what came over a descriptor asks for a step before its time."""

    def step(self) -> int:
        """Do what is due beside the cycles, without waiting. When to be called again at the latest (monotonic ns)."""


class ServiceManager(Protocol):
    """The service manager."""

    def reloading(self, monotonic_ns: int) -> None:
        """Reloading has begun."""

    def reloaded(self, status: str, *, taken: bool) -> None:
        """Reloading is over; `taken` says whether the new configuration is in force."""

    def set_watchdog(self, interval_s: int, longest_cycle_s: float) -> None:
        """How often cycles begin, and how long one may take: the watchdog waits for that long, and no longer."""


class Signals:
    """What the signals that came in want. Made before anything else, so that none of them ever kills by default."""

    def __init__(self, cancel: CancelToken) -> None:
        self.stop = False
        self.reload = False
        self._cancel = cancel
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop = True
        self._cancel.cancel()

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        self.reload = True
        self._cancel.wake()


class Loop:
    """The loop. `reload` gives the work of the configuration as it is now; whatever it raises, the old one is kept.

    `last_row_ns` is when the run before this one sampled its last row, if there was one.
    """

    def __init__(
        self,
        clock: Clock,
        cancel: CancelToken,
        signals: Signals,
        service: ServiceManager,
        reload: Callable[[], Work],
        last_row_ns: int | None = None,
    ) -> None:
        self._clock, self._cancel, self._signals, self._service = clock, cancel, signals, service
        self._reload_work = reload
        self._past: tuple[Past, int] | None = None  # as of which moment of boot time
        self._mark = self._look_at_clocks()
        self._reload_from_ns = 0
        self._last_row_ns = last_row_ns

    def run(self, work: Work) -> None:
        """Run cycles until told to stop."""
        while not self._signals.stop:
            if self._signals.reload and self._clock.monotonic_ns() >= self._reload_from_ns:
                old_interval_s, work = work.interval_s, self._reload(work)
                if work.interval_s != old_interval_s:
                    self._regrid(old_interval_s, work.interval_s)
            if self._notice_clock(work):
                self._regrid(work.interval_s, work.interval_s)
            tick = self._next(work.interval_s * NS_PER_S)
            if self._sleep_until(tick.slot_ns, work):
                self._run(work, tick)

    def _next(self, interval_ns: int) -> Tick:
        now_ns = self._clock.now_ns()
        if self._past is None:
            last_ns = self._last_row_ns
            return first_tick(now_ns, interval_ns, None if last_ns is None else last_ns // interval_ns * interval_ns)
        return next_tick(now_ns, interval_ns, self._past_by_now())

    def _past_by_now(self) -> Past | None:
        if self._past is None:
            return None
        past, at_ns = self._past
        return replace(past, elapsed_ns=past.elapsed_ns + self._clock.boottime_ns() - at_ns)

    def _regrid(self, old_interval_s: int, interval_s: int) -> None:
        """The grid is another from now on."""
        past = self._past_by_now()
        if past is not None:
            new = regridded(past, self._clock.now_ns(), old_interval_s * NS_PER_S, interval_s * NS_PER_S)
            self._past = new, self._clock.boottime_ns()

    def _sleep_until(self, slot_ns: int, work: Work) -> bool:
        """Wait for the slot; True if it is there, False if the schedule has to be looked at anew."""
        due_ns = self._clock.monotonic_ns() + slot_ns - self._clock.now_ns()
        held_back = self._signals.reload
        until_ns = min(due_ns, self._reload_from_ns) if held_back else due_ns
        if self._wait(lambda: self._signals.stop or (self._signals.reload and not held_back), until_ns, work):
            return False
        if until_ns < due_ns:
            return False
        wall_ns, boot_ns, _ = self._mark
        now_ns = self._clock.now_ns()
        if stepped_ns(now_ns - wall_ns, self._clock.boottime_ns() - boot_ns):
            return False
        # A slow clock may have us wake a hair early; a suspended machine wakes late, and this slot is then history.
        return slot_ns <= now_ns < slot_ns + NS_PER_S

    def _wait(self, done: Callable[[], bool], until_ns: int, work: Work) -> bool:
        """Wait until then; True if it is `done()` before. Meanwhile the work takes its steps."""
        while True:
            wake_ns = min(until_ns, work.step())
            self._cancel.wait(lambda: done() or work.news, wake_ns, work.watched)
            if done() or self._cancel.cancelled or self._clock.monotonic_ns() >= until_ns:
                return done()

    def _run(self, work: Work, tick: Tick) -> None:
        late_ns = self._clock.now_ns() - tick.slot_ns
        self._past = Past(tick.slot_ns, late_ns), self._clock.boottime_ns()
        if tick.missed:
            log.warning(
                "%s missed before this one",
                plural(tick.missed, "slot"),
                extra=journal_fields(MessageId.SLOTS_MISSED, missed=tick.missed),
            )
        try:
            work.run(tick)
        except Exception:
            log.exception(
                "a cycle failed; the next one runs all the same", extra=journal_fields(MessageId.CYCLE_FAILED)
            )

    def _reload(self, work: Work) -> Work:
        self._signals.reload = False
        self._service.reloading(self._clock.monotonic_ns())
        try:
            work = self._reload_work()
        except Exception as error:  # noqa: BLE001 - what nobody foresaw is logged with where it was
            log.error(
                "configuration not reloaded, the old one stays in force: %s",
                error,
                exc_info=None if isinstance(error, HeartbeatdError) else error,
                extra=journal_fields(MessageId.CONFIG_REFUSED),
            )
            self._service.reloaded("reload failed, the old configuration stays in force: see the journal", taken=False)
        else:
            log.log(NOTICE, "configuration reloaded", extra=journal_fields(MessageId.CONFIG_RELOADED))
            self._service.set_watchdog(work.interval_s, work.longest_cycle_s)
            self._service.reloaded("configuration reloaded", taken=True)
        self._reload_from_ns = self._clock.monotonic_ns() + RELOAD_GAP_NS
        return work

    def _look_at_clocks(self) -> tuple[int, int, int]:
        return self._clock.now_ns(), self._clock.boottime_ns(), self._clock.monotonic_ns()

    def _notice_clock(self, work: Work) -> bool:
        """Say it once if the clock was stepped or the machine suspended since the last look. True if it was stepped."""
        before, self._mark = self._mark, self._look_at_clocks()
        wall_ns, boot_ns, mono_ns = (now - then for now, then in zip(self._mark, before, strict=True))
        if step_ns := stepped_ns(wall_ns, boot_ns):
            direction = "forward" if step_ns > 0 else "back"
            log.warning(
                "the clock was stepped %s by %s",
                direction,
                format_duration(abs(step_ns) / NS_PER_S)
                if abs(step_ns) >= NS_PER_S
                else f"{abs(step_ns) / 1e6:.0f} ms",
                extra=journal_fields(MessageId.CLOCK_STEPPED, step_seconds=step_ns / NS_PER_S),
            )
            work.shift(step_ns)
            work.distrust()
        if boot_ns - mono_ns >= NS_PER_S:
            log.log(
                NOTICE,
                "the machine was suspended for %s",
                format_duration((boot_ns - mono_ns) / NS_PER_S),
                extra=journal_fields(MessageId.CLOCK_STEPPED, suspended_seconds=(boot_ns - mono_ns) / NS_PER_S),
            )
            work.distrust()
        return step_ns != 0
