"""The times before this run in which nothing ran: each is told once, as soon as the clock can be believed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from heartbeatd.clock import Clock
from heartbeatd.core import gap, notification
from heartbeatd.core.gap import Gap, GapKind, Now, Start, UntoldGap
from heartbeatd.core.notification import Notification
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.subject import Subject
from heartbeatd.core.text.agent import gap_text
from heartbeatd.journal import NOTICE, MessageId, journal_fields
from heartbeatd.newid import new_id

log = logging.getLogger(__name__)


class GapStore(Protocol):
    """Where gaps are kept until they are told."""

    @property
    def untold(self) -> tuple[UntoldGap, ...]:
        """The oldest first; none until the database could be opened."""

    def keep_untold(self, untold: tuple[UntoldGap, ...]) -> None:
        """These are left; stored in one transaction with what the next cycle records."""


@dataclass(frozen=True, slots=True)
class GapOptions:
    """Seconds between two cycles, and how long a gap has to be for a notification: 0 is never."""

    interval_s: int
    alert_s: int


def nobody(subject: Subject, at_ns: int) -> bool:
    """Nobody is silenced."""
    return False


class Gaps:
    """Looks before each cycle whether there is a gap to tell. Without a channel (not `notifies`) it is logged only, and so is
    one that ended while who stood still was silenced: `silenced` says so of a subject and a moment.
    """

    def __init__(
        self,
        store: GapStore,
        start: Start,
        clock: Clock,
        options: GapOptions,
        agent: AgentInfo,
        heartbeat_url: str,
        *,
        notifies: bool,
        silenced: Callable[[Subject, int], bool] = nobody,
    ) -> None:
        self._store, self._start, self._clock, self._options = store, start, clock, options
        self._agent, self._heartbeat_url, self._notifies = agent, heartbeat_url, notifies
        self._silenced = silenced

    def tell(self) -> tuple[Notification, ...]:
        """Tell of the gaps that can be told now; the notifications are for the cycle that comes next to record."""
        untold = self._store.untold
        if not untold:
            return ()
        now = Now(self._clock.now_ns(), self._clock.boottime_ns(), self._clock.vouched())
        found = [(one, gap.classify_gap(one, now)) for one in gap.resumed(untold, self._start, now)]
        left = tuple(one for one, known in found if known is None and not self._cannot_be_told(one, now))
        if left != untold:
            self._store.keep_untold(left)
        due = [known for _, known in found if known is not None and not self._is_restart(known)]
        for known in due:
            self._log(known)
        return tuple(self._notification(known) for known in due if self._is_notified(known))

    def _cannot_be_told(self, one: UntoldGap, now: Now) -> bool:
        hopeless = gap.cannot_be_told(one, now)
        if hopeless:
            log.warning("how long nothing ran before this start is unknown: rows were stored by a clock that was ahead")
        return hopeless

    def _is_restart(self, known: Gap) -> bool:
        """True if no slot was missed, or hardly one."""
        return known.kind is not GapKind.FAILURE and known.duration_s < 2 * self._options.interval_s

    def _is_notified(self, known: Gap) -> bool:
        """Whether it is long enough for a notification; a failure, which was notified of, is over in any case."""
        if known.kind is GapKind.FAILURE:
            return self._notifies
        long_enough = 0 < self._options.alert_s < known.duration_s
        return self._notifies and long_enough and not self._silenced(known.subject, known.until_ns)

    def _notification(self, known: Gap) -> Notification:
        event_id = new_id(known.until_ns)
        return notification.of_gap(self._agent, known, event_id, self._heartbeat_url)

    def _log(self, known: Gap) -> None:
        log.log(
            NOTICE,
            "%s",
            gap_text(self._agent.host, known, self._agent.locale).message,
            extra=journal_fields(
                MessageId.GAP, cause=known.kind, duration_seconds=round(known.duration_s), result=known.result or None
            ),
        )
