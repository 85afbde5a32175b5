"""The queue of alerts, on a thread of its own: sending never delays a cycle.

The retry contract: alerts leave in order, the oldest first, and the next not before the one ahead of it has arrived. A try
that fails is followed by another after 2 s, 4 s, 8 s … up to `CAP_S`, each shortened by up to a fifth at random so that
many hosts do not knock at once. Tries never end, but the queue does: beyond `QUEUE_MOST` the oldest are given up. An alert
carries the same event id each time. What is queued is in the database and survives restarts, crashes and power cuts; the
first try after a start comes at once.
"""

import contextlib
import logging
import random
import threading
from collections.abc import Callable
from typing import Any

from heartbeatd.clock import Clock, booted_ns
from heartbeatd.core.events import NOTICE, MessageId, said
from heartbeatd.core.model import Alert
from heartbeatd.core.payload import by_this_clock, tried
from heartbeatd.core.retention import QUEUE_MOST
from heartbeatd.errors import StoreError
from heartbeatd.net.answer import Interrupted
from heartbeatd.sinks.store import Store
from heartbeatd.sinks.webhook import NotDelivered, Webhook
from heartbeatd.waiting import Waiter

FIRST_PAUSE_S = 2.0
CAP_S = 300.0
JITTER = 0.2
_NS = 1_000_000_000

log = logging.getLogger(__name__)


def pause_s(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures in a row (from 1); `jitter` 0–1 says how much of the fifth is taken off."""
    return min(CAP_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30)) * (1 - JITTER * jitter)


class Outbox:
    """Delivers what is pending in the database, and what was posted and is not in there yet."""

    def __init__(self, open_store: Callable[[], Store], webhook: Webhook, clock: Clock, boot_id: str = "") -> None:
        self._open_store, self._webhook, self._clock = open_store, webhook, clock
        self._boot_id = boot_id
        self._waiter = Waiter()
        self._lock = threading.Lock()
        self._posted: dict[str, Alert] = {}
        self._arrived: dict[str, tuple[Alert, int]] = {}  # delivered, when; the database does not know it yet
        self._store: Store | None = None
        self._failures = 0
        self._news = True
        self._next_try_ns = 0
        self._count = 0
        self._thread = threading.Thread(target=self._serve, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def post(self, alerts: tuple[Alert, ...]) -> None:
        """Hand over new alerts; an empty hand has the database looked at again."""
        with self._lock:
            self._posted.update((alert.event_id, alert) for alert in alerts)
            _bound(self._posted)
        self._news = True
        self._waiter.ring()

    @property
    def waiting(self) -> int:
        """How many alerts have not arrived yet."""
        return self._count

    @property
    def alive(self) -> bool:
        """False once the thread has ended: nothing is delivered any more."""
        return self._thread.is_alive()

    def close(self, patience_s: float = 0.5) -> None:
        """Break off a try under way and end the thread. What is undelivered stays in the database."""
        self._waiter.interrupt()
        self._thread.join(patience_s)

    def _serve(self) -> None:
        try:
            while not self._waiter.interrupted:
                self._news = False
                queue = self._queue()
                self._count = len(queue)
                if queue and self._clock.monotonic_ns() >= self._next_try_ns:
                    self._deliver(queue[0])
                    continue
                if not queue:
                    self._close_store()  # for days maybe, in which it would only take memory
                until_ns = self._next_try_ns if queue else self._clock.monotonic_ns() + 3600 * _NS
                self._waiter.wait(lambda: self._news, until_ns)
        except Interrupted:
            pass
        finally:
            self._close_store()

    def _queue(self) -> list[Alert]:
        """What is to be delivered, the oldest first."""
        with self._lock:
            posted = dict(self._posted)
        stored: tuple[Alert, ...] = ()
        store = self._usable_store()
        if store is not None:
            with contextlib.suppress(StoreError):  # the cycle's ledger says what is wrong with it
                for event_id, (alert, at_ns) in list(self._arrived.items()):
                    store.mark_delivered(alert, at_ns)
                    del self._arrived[event_id]
                    self._forget(event_id)
                    posted.pop(event_id, None)
                stored = store.pending()
        merged = {alert.event_id: alert for alert in stored} | posted  # the order of the database, then of posting
        return [alert for event_id, alert in merged.items() if event_id not in self._arrived]

    def _deliver(self, alert: Alert) -> None:
        try:
            now_ns = self._clock.now_ns()
            dated = by_this_clock(alert, now_ns, self._boot_id, booted_ns(self._clock))
            status = self._webhook.send(dated, now_ns, self._waiter)
        except NotDelivered as error:
            self._failed(alert, str(error))
            return
        if self._failures:
            self._failures, self._next_try_ns = 0, 0
        log.log(
            NOTICE,
            "alert delivered: event %s, attempt %d, HTTP %d",
            alert.event_id,
            alert.attempts + 1,
            status,
            extra=said(MessageId.ALERT_DELIVERED, event_id=alert.event_id, attempt=alert.attempts + 1, status=status),
        )
        self._arrived[alert.event_id] = alert, self._clock.now_ns()
        _bound(self._arrived)

    def _failed(self, alert: Alert, reason: str) -> None:
        self._failures += 1
        wait_s = pause_s(self._failures, random.random())
        self._next_try_ns = self._clock.monotonic_ns() + int(wait_s * _NS)
        level = logging.WARNING if self._failures == 1 else logging.DEBUG  # said once, not at every try
        log.log(
            level,
            "alert not delivered, will be tried again: event %s, %s",
            alert.event_id,
            reason,
            extra=said(MessageId.ALERT_DELAYED, event_id=alert.event_id, attempt=alert.attempts + 1, reason=reason),
        )
        with self._lock:
            if alert.event_id in self._posted:
                self._posted[alert.event_id] = tried(alert)
        store = self._usable_store()
        if store is not None:
            with contextlib.suppress(StoreError):
                store.mark_attempt(alert, reason)

    def _forget(self, event_id: str) -> None:
        with self._lock:
            self._posted.pop(event_id, None)

    def _usable_store(self) -> Store | None:
        """This thread's own connection, or None while there is no database to be had."""
        if self._store is not None and not self._store.in_place():
            self._close_store()
        if self._store is None:
            with contextlib.suppress(StoreError):
                self._store = self._open_store()
        return self._store

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def _bound(kept: dict[str, Any]) -> None:
    """Drop the oldest beyond `QUEUE_MOST`: the database has taken nothing for very long."""
    while len(kept) > QUEUE_MOST:
        del kept[next(iter(kept))]
