"""The queue of alerts, on a thread of its own: sending never delays a cycle.

The contract: at least once, with the same event id each time, and in order as far as possible. What is queued is in the
database and survives restarts, crashes and power cuts; the first try after a start comes at once. What follows a try that failed:

- the webhook takes nothing (no connection, 5xx, 404, 401, 403, 408, 425, 429): all wait, and the oldest is tried again after
  2 s, 4 s, 8 s … up to `CAP_S`, each shortened by up to a fifth at random so that many hosts do not knock at once, for as long
  as it takes;
- it broke off over this alert (500, or the connection ended): the same, `ERRORS_IN_ORDER` times; from then on the alert is tried
  by itself, and those behind it are no longer held up;
- it refuses this alert (any other 4xx): those behind it go on, and it is tried again with the same pauses by itself,
  `REFUSED_MOST` times in all. Then it is set aside;
- it was sent and not answered in time: those behind it go on, and it is tried again with the same pauses by itself,
  `LATE_SOON` times, and then every hour, `LATE_MOST` times in all: each may have arrived. Then it is set aside;
- what is stored is no alert at all: set aside at once.

What is set aside is logged, stays in the database with the reason, and is not sent again. Of more than `QUEUE_MOST` the oldest
are given up. While the database cannot be read, what is known of it is sent all the same.
"""

import contextlib
import logging
import random
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.clock import Clock, booted_ns
from heartbeatd.core.notification import QueuedNotification, by_this_clock, with_attempt
from heartbeatd.core.plain import plain
from heartbeatd.core.retention import QUEUE_MOST
from heartbeatd.errors import StoreError
from heartbeatd.journal import NOTICE, MessageId, journal_fields
from heartbeatd.notify.backoff import LATE_PAUSE_S, Tries, backoff_s
from heartbeatd.notify.webhook import Failure, NotDelivered, Webhook

_NS = 1_000_000_000

log = logging.getLogger(__name__)


class Queue(Protocol):
    """The alerts in the database. Each call raises StoreError if it cannot be used now."""

    def undelivered(self) -> tuple[QueuedNotification, ...]:
        """What is still to be delivered, the oldest first."""

    def mark_attempt(self, alert: QueuedNotification, reason: str) -> None:
        """A try failed."""

    def mark_delivered(self, alert: QueuedNotification, at_ns: int) -> None:
        """It has arrived."""

    def set_aside(self, alert: QueuedNotification, at_ns: int, reason: str) -> None:
        """It is not sent any more."""


@dataclass(frozen=True, slots=True)
class _Done:
    """An alert that is not sent again, since when, and why not if it never arrived."""

    alert: QueuedNotification
    at_ns: int
    reason: str | None = None


class Outbox:
    """Delivers what is pending in the database, and what was posted and is not in there yet."""

    def __init__(self, queue: Queue, webhook: Webhook, clock: Clock, boot_id: str = "") -> None:
        self._queue, self._webhook, self._clock, self._boot_id = queue, webhook, clock, boot_id
        self._cancel = CancelToken(clock)
        self._lock = threading.Lock()
        self._posted: dict[str, QueuedNotification] = {}
        self._stored: dict[str, QueuedNotification] = {}  # as of the last look
        self._done: dict[str, _Done] = {}  # the database does not know it yet
        self._tries: dict[str, Tries] = {}
        self._failures = 0
        self._news = True
        self._next_try_ns = 0
        self._count = 0
        self._died = False
        self._thread = threading.Thread(target=self._serve, name="outbox", daemon=True)

    @property
    def alive(self) -> bool:
        """False once nothing will be delivered any more, by something unforeseen."""
        return not self._died

    @property
    def waiting(self) -> int:
        """How many alerts have not arrived yet."""
        return self._count

    def start(self) -> None:
        """Begin to deliver."""
        try:
            self._thread.start()
        except RuntimeError:  # no further thread may be started
            self._die()

    def post(self, alerts: tuple[QueuedNotification, ...]) -> None:
        """Hand over new alerts; an empty hand has the database looked at again."""
        with self._lock:
            self._posted.update((alert.event_id, alert) for alert in alerts)
            _bound(self._posted)
        self._news = True
        self._cancel.wake()

    def close(self, patience_s: float = 0.5) -> None:
        """Break off a try under way and end the thread. What is undelivered stays in the database."""
        self._cancel.cancel()
        if self._thread.ident is not None:
            self._thread.join(patience_s)

    def _serve(self) -> None:
        try:
            while not self._cancel.cancelled:
                next_ns = self.deliver_next()
                if next_ns is not None:
                    self._cancel.wait(lambda: self._news, next_ns)
        except Cancelled:
            pass
        except BaseException:  # noqa: BLE001 - whatever it was: `alive` says so, and the log what
            self._die()
        finally:
            self._note_done()

    def _die(self) -> None:
        log.exception("alerts are not delivered any more", extra=journal_fields(MessageId.DELIVERY_ENDED))
        self._died = True

    def deliver_next(self) -> int | None:
        """Try to deliver the first alert that may be tried. If there is none: when to come again, unless there is news before."""
        self._news = False
        waiting = self._undelivered()
        self._count = len(waiting)
        now_ns = self._clock.monotonic_ns()
        due = next((alert for alert in waiting if self._tries_of(alert).not_before_ns <= now_ns), None)
        if due is None:
            return min((self._tries_of(alert).not_before_ns for alert in waiting), default=now_ns + 3600 * _NS)
        if now_ns < self._next_try_ns:
            return self._next_try_ns
        self._deliver(due)
        return None

    def _undelivered(self) -> list[QueuedNotification]:
        """What is to be delivered, the oldest first."""
        self._note_done()
        with self._lock:
            posted = dict(self._posted)
        with contextlib.suppress(StoreError):  # the cycle's store says what is wrong with it
            self._stored = {alert.event_id: alert for alert in self._queue.undelivered()}
            self._tries = {
                event_id: self._tries[event_id] for event_id in self._tries.keys() & {*self._stored, *posted}
            }
        merged = self._stored | posted  # the order of the database, then of posting
        return [alert for event_id, alert in merged.items() if event_id not in self._done]

    def _note_done(self) -> None:
        """Have the database know what is not sent again, as far as it can be written."""
        with contextlib.suppress(StoreError):
            for event_id, done in list(self._done.items()):
                if done.reason is None:
                    self._queue.mark_delivered(done.alert, done.at_ns)
                else:
                    self._queue.set_aside(done.alert, done.at_ns, done.reason)
                del self._done[event_id]
                self._stored.pop(event_id, None)
                with self._lock:
                    self._posted.pop(event_id, None)

    def _deliver(self, alert: QueuedNotification) -> None:
        try:
            now_ns = self._clock.now_ns()
            dated = self._dated(alert, now_ns)
            status = self._webhook.send(dated, now_ns, self._cancel)
        except NotDelivered as error:
            self._failed(alert, str(error), error.failure)
            return
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 - a try that failed like any other: it must not be the last one
            log.warning("trying to deliver an alert failed: event %s", alert.event_id, exc_info=True)
            self._failed(alert, f"{type(error).__name__}", Failure.ERROR)
            return
        self._failures, self._next_try_ns = 0, 0
        log.log(
            NOTICE,
            "alert delivered: event %s, attempt %d, HTTP %d",
            alert.event_id,
            alert.attempts + 1,
            status,
            extra=journal_fields(
                MessageId.ALERT_DELIVERED, event_id=alert.event_id, attempt=alert.attempts + 1, status=status
            ),
        )
        self._finish(_Done(alert, self._clock.now_ns()))

    def _dated(self, alert: QueuedNotification, now_ns: int) -> QueuedNotification:
        try:
            return by_this_clock(alert, now_ns, self._boot_id, booted_ns(self._clock))
        except (TypeError, ValueError):
            raise NotDelivered("what is stored has no moment", Failure.UNREADABLE) from None

    def _failed(self, alert: QueuedNotification, reason: str, failure: Failure) -> None:
        tries = self._tries_of(alert)
        news = tries.after(failure)
        if tries.over or failure is Failure.UNREADABLE:
            self._set_aside(with_attempt(alert), reason)
            return
        now_ns, jitter = self._clock.monotonic_ns(), random.random()
        alone_s = tries.alone_s(failure, jitter)
        if alone_s is not None:
            tries.not_before_ns = now_ns + int(alone_s * _NS)
        else:
            self._failures += 1
            news = self._failures == 1
            self._next_try_ns = now_ns + int(backoff_s(self._failures, jitter) * _NS)
        log.log(
            logging.WARNING if news else logging.DEBUG,  # not at every try
            "alert not delivered, will be tried again%s: event %s, %s",
            " in an hour" if alone_s == LATE_PAUSE_S else "",
            alert.event_id,
            reason,
            extra=journal_fields(
                MessageId.ALERT_DELAYED, event_id=alert.event_id, attempt=alert.attempts + 1, reason=reason
            ),
        )
        with self._lock:
            if alert.event_id in self._posted:
                self._posted[alert.event_id] = with_attempt(alert)
        with contextlib.suppress(StoreError):
            self._queue.mark_attempt(alert, reason)

    def _set_aside(self, alert: QueuedNotification, reason: str) -> None:
        log.error(
            "alert set aside at attempt %d, it is not sent again: event %s, %s: %s",
            alert.attempts,
            alert.event_id,
            reason,
            plain(alert.body[:_SHOWN]),
            extra=journal_fields(MessageId.ALERT_SET_ASIDE, event_id=alert.event_id, reason=reason),
        )
        self._finish(_Done(alert, self._clock.now_ns(), reason))

    def _finish(self, done: _Done) -> None:
        self._done[done.alert.event_id] = done
        _bound(self._done)
        self._note_done()

    def _tries_of(self, alert: QueuedNotification) -> Tries:
        return self._tries.setdefault(alert.event_id, Tries())


_SHOWN = 300  # characters of an alert that nobody else will show


def _bound(kept: dict[str, Any]) -> None:
    """Drop the oldest beyond `QUEUE_MOST`: the database has taken nothing for very long."""
    while len(kept) > QUEUE_MOST:
        del kept[next(iter(kept))]
