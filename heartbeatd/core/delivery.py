"""Deliveries: one notification on its way to one channel, and when it is tried. Pure; `notify/outbox` does what is decided here.

Theory of operation. A channel's deliveries are in the order of their notifications. The first that may be tried is tried; one
that is *in order* holds up those behind it until it has arrived, one that is *alone* does not. What a try that failed says:

| failure | this delivery is | pauses | in the end it is |
|---|---|---|---|
| down | in order | 2 s, 4 s, 8 s … `CAP_S` | tried for as long as it takes |
| error | in order `ERRORS_IN_ORDER` times, then alone | the same | tried for as long as it takes |
| refused | alone | the same | set aside after `REFUSED_MOST` tries |
| late | alone | the same, `LATE_SOON` times; then an hour | set aside after `LATE_MOST` tries |
| unreadable, unset | | | set aside at once |

Each pause is shortened by up to a fifth at random, so that many hosts do not knock at once. The counts and the moment of the next
try are stored with the delivery: a restart, a crash or a power cut neither begins anew nor hurries.
"""

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, replace
from enum import StrEnum

from heartbeatd.core.queued import QueuedNotification
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.subject import RANKS, Severity

FIRST_PAUSE_S = 2.0
CAP_S = 300.0
JITTER = 0.2
ERRORS_IN_ORDER = 8  # that takes eight minutes
REFUSED_MOST = 5
LATE_SOON = 4
LATE_MOST = LATE_SOON + 24
LATE_PAUSE_S = 3600.0
NO_WEBHOOK = "there is no webhook"  # what is kept as the last error of a delivery to it that is `Failure.UNSET`


class Failure(StrEnum):
    """What a try that failed says about the notification, and about those behind it; see the table above."""

    DOWN = "down"  # the channel takes nothing at present, or nothing with these credentials, or at this address
    ERROR = "error"  # it broke off over this notification, or over any
    REFUSED = "refused"  # it does not take this notification
    LATE = "late"  # it was sent this notification, and may have taken it, but did not answer in time
    UNREADABLE = "unreadable"  # what is stored is no notification
    UNSET = "unset"  # there is no such channel: nowhere to send it, and it is not known that there ever will be


@dataclass(frozen=True, slots=True)
class Channel:
    """Where notifications go: those at least so severe, of these events (none: of all), each try within `timeout_s`."""

    name: str
    timeout_s: float
    least: Severity = Severity.OK
    events: tuple[str, ...] = ()

    def takes(self, event: str, severity: Severity) -> bool:
        """`severity` is that of the state that begins or ends: who heard of a problem hears of its end."""
        return RANKS[severity] >= RANKS[self.least] and (not self.events or event in self.events)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification to one channel. `attempts` counts all tries, the other counts those that failed in that way.

    `next_try_ns` is of the wall clock, 0 for at once. `delivered_ns` or `set_aside_ns` is when it ended, one way or the other.
    """

    notification: QueuedNotification
    channel: str
    attempts: int = 0
    errors: int = 0
    refused: int = 0
    late: int = 0
    next_try_ns: int = 0
    last_error: str | None = None
    delivered_ns: int | None = None
    set_aside_ns: int | None = None

    @property
    def event_id(self) -> str:
        """That of its notification."""
        return self.notification.event_id

    @property
    def key(self) -> tuple[str, str]:
        """What names it."""
        return self.event_id, self.channel

    @property
    def ended(self) -> bool:
        """True once it is not tried again."""
        return self.delivered_ns is not None or self.set_aside_ns is not None

    @property
    def alone(self) -> bool:
        """True if it does not hold up those behind it."""
        return self.refused > 0 or self.late > 0 or self.errors >= ERRORS_IN_ORDER


def backoff_s(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures (from 1); `jitter` 0–1 says how much of the fifth is taken off."""
    return min(CAP_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30)) * (1 - JITTER * jitter)


def arrived(delivery: Delivery, now_ns: int) -> Delivery:
    """After the try that the channel took."""
    return replace(delivery, attempts=delivery.attempts + 1, last_error=None, delivered_ns=now_ns)


def failed(delivery: Delivery, failure: Failure, reason: str, now_ns: int, jitter: float) -> Delivery:
    """After a try that failed: to be tried again at `next_try_ns`, or set aside."""
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        errors=delivery.errors + (failure is Failure.ERROR),
        refused=delivery.refused + (failure is Failure.REFUSED),
        late=delivery.late + (failure is Failure.LATE),
        last_error=NO_WEBHOOK if failure is Failure.UNSET else reason,
    )
    if failure in (Failure.UNREADABLE, Failure.UNSET) or tried.refused >= REFUSED_MOST or tried.late >= LATE_MOST:
        return replace(tried, set_aside_ns=now_ns)
    return replace(tried, next_try_ns=now_ns + int(_pause_s(tried, failure, jitter) * NS_PER_S))


def _pause_s(tried: Delivery, failure: Failure, jitter: float) -> float:
    if failure is Failure.REFUSED:
        return backoff_s(tried.refused, jitter)
    if failure is Failure.LATE:
        return backoff_s(tried.late, jitter) if tried.late < LATE_SOON else LATE_PAUSE_S
    return backoff_s(max(1, tried.attempts - tried.refused - tried.late), jitter)


def set_aside(delivery: Delivery, now_ns: int, reason: str) -> Delivery:
    """Not to be tried again, for that reason."""
    return replace(delivery, set_aside_ns=now_ns, last_error=reason)


def is_news(delivery: Delivery, failure: Failure) -> bool:
    """True if this failure, already counted, is worth a warning: the first of its kind, or one that changes the pace."""
    match failure:
        case Failure.REFUSED:
            return delivery.refused == 1
        case Failure.LATE:
            return delivery.late in (1, LATE_SOON)
        case Failure.ERROR:
            return delivery.errors in (1, ERRORS_IN_ORDER)
        case _:
            return delivery.attempts - delivery.refused - delivery.late - delivery.errors == 1


def next_due(queue: Iterable[Delivery], now_ns: int) -> Delivery | int | None:
    """Of one channel's deliveries, in order: the one to try now, or the moment of the next try, or None if there is nothing."""
    soonest: int | None = None
    for delivery in queue:
        if delivery.next_try_ns <= now_ns:
            return delivery
        soonest = delivery.next_try_ns if soonest is None else min(soonest, delivery.next_try_ns)
        if not delivery.alone:
            break
    return soonest


def follow(undelivered: MutableMapping[tuple[str, str], Delivery], deliveries: Iterable[Delivery]) -> None:
    """Have `undelivered`, by key, know how far these are: what has ended leaves it."""
    for delivery in deliveries:
        if delivery.ended:
            undelivered.pop(delivery.key, None)
        else:
            undelivered[delivery.key] = delivery


def moved(delivery: Delivery, by_ns: int) -> Delivery:
    """The same by a wall clock that was stepped by so much."""
    return replace(delivery, next_try_ns=delivery.next_try_ns + by_ns) if delivery.next_try_ns else delivery


def believable(delivery: Delivery, now_ns: int) -> Delivery:
    """As it was stored, with a next try that the clock of now cannot put off further than its pause is long."""
    furthest_s = LATE_PAUSE_S if delivery.late >= LATE_SOON else CAP_S
    latest_ns = now_ns + int(furthest_s * NS_PER_S)
    return delivery if delivery.next_try_ns <= latest_ns else replace(delivery, next_try_ns=latest_ns)
