"""The time before this run in which nothing ran: told once, as soon as the clock can be believed."""

import logging

from heartbeatd.clock import Clock
from heartbeatd.core import gap
from heartbeatd.core.text.agent import gap_text
from heartbeatd.core.timefmt import Zone
from heartbeatd.journal import NOTICE, MessageId, journal_fields

log = logging.getLogger(__name__)


class UntoldGap:
    """`before` is the run before this one, as long as nothing was told of it. `alert_s` 0 is never."""

    def __init__(self, before: gap.PreviousRun, clock: Clock, interval_s: int, alert_s: int) -> None:
        self._before, self._clock = before, clock
        self._interval_s, self._alert_s = interval_s, alert_s

    def due(self, taken_ns: int) -> gap.Gap | None:
        """The gap, from the first cycle at which it is known until it was told. `taken_ns`: of this cycle's sample."""
        before = self._before
        if before.run is None or before.run.last_row_ns is None:
            return None
        now = gap.Now(self._clock.now_ns(), self._clock.boottime_ns(), self._clock.vouched())
        if before.began_boot_ns is None:
            before.began_boot_ns = now.boot_ns - (now.wall_ns - taken_ns)
        found = gap.classify_gap(before, now)
        if found is None and gap.cannot_be_told(before, now):
            log.warning("how long nothing ran before this start is unknown: rows were stored by a clock that was ahead")
            before.run = None
        elif found is not None and not _failed(found) and found.duration_s < 2 * self._interval_s:
            before.run = found = None  # a restart: no slot was missed, or hardly one
        return found

    def is_notified(self, found: gap.Gap) -> bool:
        """Whether it is long enough for a notification; a failure, which was notified of, is over in any case."""
        return _failed(found) or 0 < self._alert_s < found.duration_s

    def told(self, found: gap.Gap, host: str, zone: Zone) -> None:
        """Log it; it is not due any more."""
        log.log(
            NOTICE,
            "%s",
            gap_text(host, found, zone).message,
            extra=journal_fields(
                MessageId.GAP, cause=found.kind, duration_seconds=round(found.duration_s), result=found.result or None
            ),
        )
        self._before.run = None


def _failed(found: gap.Gap) -> bool:
    return found.kind is gap.GapKind.FAILURE
