"""The outbox: what is on its way to the channels, and the tries under way. A part of the loop: nothing here ever waits.

The contract: at least once, with the same event id each time, and in order for each channel as far as possible. What is to be
delivered is in the database, and in memory as well, so that it leaves while the database cannot be used. When a try is due, and
what follows from one that failed, `core.delivery` decides; the try itself is the notifier's (`notify.client`). What became of it
goes to the store, which writes it as soon as it can.
"""

import contextlib
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from heartbeatd.clock import Clock, booted_ns
from heartbeatd.core.delivery import (
    LATE_SOON,
    Channel,
    Delivery,
    Failure,
    arrived,
    believable,
    failed,
    is_news,
    next_due,
)
from heartbeatd.core.locale import IN_ENGLISH, Locale
from heartbeatd.core.notification import Notification
from heartbeatd.core.plain import plain
from heartbeatd.core.queued import by_this_clock, for_this_try, to_queue
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.journal import NOTICE, MessageId, journal_fields
from heartbeatd.notify.client import Attempt, Notifier, NotifierError
from heartbeatd.notify.protocol import Answer, ListChannels, Try

PATIENCE_S = 90.0  # for an answer: longer than any process of the notifier lives
LONGEST_NS = 3600 * NS_PER_S
SHOWN = 300  # characters of a notification that nobody else will show

log = logging.getLogger(__name__)


class DeliveryStore(Protocol):
    """Where deliveries are kept. Nothing here waits, or raises for the database."""

    @property
    def undelivered(self) -> Mapping[tuple[str, str], Delivery]:
        """All that have not arrived and are still tried, in order, by event id and channel."""

    def note_delivery(self, delivery: Delivery) -> None:
        """This is how far it is now."""


@dataclass(frozen=True, slots=True)
class _Try:
    """One under way, and when to give it up (monotonic ns)."""

    delivery: Delivery
    attempt: Attempt
    until_ns: int


class Outbox:
    """Delivers to `channels`. `watched` has for each descriptor of a try what to call when there is something to read.

    `news` is true when there may be something to start: `step` looks.
    """

    def __init__(
        self,
        channels: tuple[Channel, ...],
        notifier: Notifier,
        store: DeliveryStore,
        clock: Clock,
        boot_id: str = "",
        locale: Locale = IN_ENGLISH,
    ) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._notifier, self._store, self._clock, self._boot_id = notifier, store, clock, boot_id
        self._locale = locale
        self._tries: dict[str, _Try] = {}
        self._shown: Attempt | None = None
        self.watched: dict[int, Callable[[], None]] = {}
        self.news = True

    @property
    def waiting(self) -> int:
        """How many deliveries have not arrived yet."""
        return sum(channel in self._channels for _, channel in self._store.undelivered)

    def address(self, told: Notification) -> tuple[Delivery, ...]:
        """One delivery to each channel that takes it, with the clock that its moments are by."""
        queued = to_queue(told, self._boot_id, booted_ns(self._clock))
        event, severity = str(told.details["event"]), told.worst or told.severity
        return tuple(
            Delivery(queued, channel.name) for channel in self._channels.values() if channel.takes(event, severity)
        )

    def show_configuration(self) -> None:
        """Have the notifier read the configuration, of which it keeps a copy for when it is refused. What it answers is known."""
        with contextlib.suppress(NotifierError):  # the next start or reload asks again
            self._shown = self._notifier.start(ListChannels().encode())
            self.watched[self._shown.fileno()] = self._look_at_shown

    def step(self) -> int:
        """Start what is due, and give up what gets no answer. When to come again at the latest (monotonic ns)."""
        self.news = False
        monotonic_ns = self._clock.monotonic_ns()
        for channel, under_way in list(self._tries.items()):
            if monotonic_ns >= under_way.until_ns:
                self._end(channel, Answer(Failure.LATE, f"the notifier gave no answer within {PATIENCE_S:g} s"))
        waits_ns = [self._start_due(channel) for channel in self._channels if channel not in self._tries]
        moments = [monotonic_ns + wait_ns for wait_ns in waits_ns if wait_ns is not None]
        moments += [under_way.until_ns for under_way in self._tries.values()]
        return min(moments, default=monotonic_ns + LONGEST_NS)

    def close(self) -> None:
        """Wait for no try any longer. What is undelivered stays in the database."""
        for channel in list(self._tries):
            self._let_go(channel)
        self._forget_shown()

    def _start_due(self, channel: str) -> int | None:
        """Start the channel's next try if it is due; else how long it is till then. None if there is nothing to wait for.

        What cannot even be asked for has failed, and the next may be due.
        """
        while True:
            now_ns = self._clock.now_ns()
            due = next_due(self._queue(channel, now_ns), now_ns)
            if not isinstance(due, Delivery):
                return None if due is None else due - now_ns
            try:
                attempt = self._notifier.start(self._request(due, now_ns))
            except NotifierError as error:
                self._take(due, Answer(Failure.DOWN, str(error)))
            except (ValueError, TypeError, OverflowError):
                self._take(due, Answer(Failure.UNREADABLE, "what is stored is no notification"))
            else:
                self._tries[channel] = _Try(due, attempt, self._clock.monotonic_ns() + int(PATIENCE_S * NS_PER_S))
                self.watched[attempt.fileno()] = partial(self._look, channel)
                return None

    def _queue(self, channel: str, now_ns: int) -> Iterator[Delivery]:
        return (believable(one, now_ns) for one in self._store.undelivered.values() if one.channel == channel)

    def _look(self, channel: str) -> None:
        """There is something to read of this channel's try."""
        answer = self._tries[channel].attempt.answer()
        if answer is not None:
            self._end(channel, answer)

    def _look_at_shown(self) -> None:
        if self._shown is not None and self._shown.line() is not None:
            self._forget_shown()

    def _forget_shown(self) -> None:
        if self._shown is not None:
            del self.watched[self._shown.fileno()]
            self._shown.close()
            self._shown = None

    def _end(self, channel: str, answer: Answer) -> None:
        self._take(self._let_go(channel), answer)
        self.news = True

    def _let_go(self, channel: str) -> Delivery:
        ended = self._tries.pop(channel)
        del self.watched[ended.attempt.fileno()]
        ended.attempt.close()
        return ended.delivery

    def _request(self, delivery: Delivery, now_ns: int) -> bytes:
        """Raises ValueError, TypeError or OverflowError for what is stored and is no notification."""
        dated = by_this_clock(delivery.notification, now_ns, self._boot_id, booted_ns(self._clock), self._locale)
        notification = for_this_try(dated, delivery.attempts + 1, now_ns, self._locale)
        return Try(delivery.channel, self._channels[delivery.channel].timeout_s, notification).encode()

    def _take(self, delivery: Delivery, answer: Answer) -> None:
        now_ns = self._clock.now_ns()
        if answer.failure is None:
            now = arrived(delivery, now_ns)
            _say_delivered(now, answer)
        else:
            now = failed(delivery, answer.failure, answer.reason, now_ns, random.random())
            _say_failed(now, answer.failure, is_only_channel=len(self._channels) == 1)
        if now.ended or delivery.key in self._store.undelivered:  # else somebody dropped it meanwhile
            self._store.note_delivery(now)


def _say_delivered(delivery: Delivery, answer: Answer) -> None:
    log.log(
        NOTICE,
        "alert delivered: event %s, attempt %d%s",
        delivery.event_id,
        delivery.attempts,
        "" if answer.status is None else f", HTTP {answer.status}",
        extra=journal_fields(
            MessageId.ALERT_DELIVERED,
            event_id=delivery.event_id,
            channel=delivery.channel,
            attempt=delivery.attempts,
            status=answer.status,
        ),
    )


def _say_failed(delivery: Delivery, failure: Failure, *, is_only_channel: bool) -> None:
    event_id, reason = delivery.event_id, delivery.last_error
    if failure is Failure.UNSET:
        log.log(
            logging.WARNING if is_only_channel else logging.DEBUG,
            "alert not sent, there is nowhere to send it (set alerts.webhook_url): event %s: %s",
            event_id,
            plain(delivery.notification.body[:SHOWN]),
            extra=journal_fields(MessageId.ALERT_SET_ASIDE, event_id=event_id, channel=delivery.channel, reason=reason),
        )
        return
    if delivery.set_aside_ns is not None:
        log.error(
            "alert set aside at attempt %d, it is not sent again: event %s, %s: %s",
            delivery.attempts,
            event_id,
            reason,
            plain(delivery.notification.body[:SHOWN]),
            extra=journal_fields(MessageId.ALERT_SET_ASIDE, event_id=event_id, channel=delivery.channel, reason=reason),
        )
        return
    hourly = failure is Failure.LATE and delivery.late >= LATE_SOON
    log.log(
        logging.WARNING if is_news(delivery, failure) else logging.DEBUG,  # not at every try
        "alert not delivered, will be tried again%s: event %s, %s",
        " in an hour" if hourly else "",
        event_id,
        reason,
        extra=journal_fields(
            MessageId.ALERT_DELAYED,
            event_id=event_id,
            channel=delivery.channel,
            attempt=delivery.attempts,
            reason=reason,
        ),
    )
