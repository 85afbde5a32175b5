"""Notifications and their deliveries as SQLite has them: one row of `notifications` each, and one of `deliveries` for
each channel. `number` is the order in which notifications were made, and so the order of each channel.
"""

import sqlite3
from collections.abc import Iterable

from heartbeatd.core.delivery import Delivery
from heartbeatd.core.queued import QueuedNotification
from heartbeatd.core.retention import QUEUE_MOST

WAITING = "delivered_ns IS NULL AND set_aside_ns IS NULL"
MOVED_TO = "moved to "  # with the path of the database that has it now; it may come back from there
_COUNTS = ("attempts", "errors", "refused", "late", "next_try_ns")
_COLUMNS = (*_COUNTS, "last_error", "delivered_ns", "set_aside_ns")
_INSERT_NOTIFICATION = (
    "INSERT INTO notifications (event_id, queued_ns, body, boot_id, booted_ns) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (event_id) DO NOTHING"
)
# What has arrived, or was dropped by hand, stays so, whoever still has it as waiting.
_PUT = (
    f"INSERT INTO deliveries (number, channel, {', '.join(_COLUMNS)})"
    f" SELECT number, ?, {', '.join('?' for _ in _COLUMNS)} FROM notifications WHERE event_id = ?"
    f" ON CONFLICT (number, channel) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS)}"
    f" WHERE ({WAITING}) OR (delivered_ns IS NULL AND last_error LIKE '{MOVED_TO}%')"
)
_SELECT = (
    "SELECT event_id, queued_ns, body, boot_id, booted_ns, channel,"
    # A number that somebody damaged is 0, and holds nothing up.
    f" {', '.join(f'CAST({name} AS INTEGER)' for name in _COUNTS)}, last_error, delivered_ns, set_aside_ns"
    f" FROM deliveries JOIN notifications USING (number) WHERE {WAITING} ORDER BY number, channel LIMIT ?"
)


def put(connection: sqlite3.Connection, deliveries: Iterable[Delivery]) -> None:
    """Write how far these are, with their notifications if those are not there yet."""
    for delivery in deliveries:
        told = delivery.notification
        values = (told.event_id, told.queued_ns, told.body, told.boot_id, told.booted_ns)
        connection.execute(_INSERT_NOTIFICATION, values)
        counts = (delivery.attempts, delivery.errors, delivery.refused, delivery.late, delivery.next_try_ns)
        ends = (delivery.last_error, delivery.delivered_ns, delivery.set_aside_ns)
        connection.execute(_PUT, (delivery.channel, *counts, *ends, told.event_id))


def waiting(connection: sqlite3.Connection, most: int = QUEUE_MOST) -> tuple[Delivery, ...]:
    """Those that have not arrived and are still tried, in order."""
    return tuple(
        Delivery(QueuedNotification(event_id, queued_ns, body, boot_id=boot_id, booted_ns=booted_ns), *of_channel)
        for event_id, queued_ns, body, boot_id, booted_ns, *of_channel in connection.execute(_SELECT, (most,))
    )


def prune(connection: sqlite3.Connection, before_ns: int, most: int) -> None:
    """Delete so many of those that ended before this moment, and the notifications that are of no delivery any more."""
    connection.execute(
        "DELETE FROM deliveries WHERE (number, channel) IN (SELECT number, channel FROM deliveries"
        " WHERE coalesce(delivered_ns, set_aside_ns) < ? ORDER BY number LIMIT ?)",
        (before_ns, most),
    )
    connection.execute(
        "DELETE FROM notifications WHERE number IN (SELECT number FROM notifications"
        " WHERE queued_ns < ? AND number NOT IN (SELECT number FROM deliveries) ORDER BY number LIMIT ?)",
        (before_ns, most),
    )


def give_up_oldest(connection: sqlite3.Connection, most: int = QUEUE_MOST) -> int:
    """Delete those that wait behind the newest `most` of their channel; how many that were."""
    return connection.execute(
        "DELETE FROM deliveries WHERE (number, channel) IN (SELECT number, channel FROM"
        " (SELECT number, channel, row_number() OVER (PARTITION BY channel ORDER BY number DESC) AS place"
        f" FROM deliveries WHERE {WAITING}) WHERE place > ?)",
        (most,),
    ).rowcount
