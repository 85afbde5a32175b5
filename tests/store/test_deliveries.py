"""How far each delivery is, as the database keeps it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from heartbeatd.core.delivery import Delivery, Failure, arrived, failed
from heartbeatd.core.queued import QueuedNotification
from heartbeatd.store import deliveries
from heartbeatd.store.migrations import migrate

NOW_NS = 1_764_000_000_000_000_000


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """One of today, in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        migrate(made, NOW_NS)
        yield made


def delivery(number: int, channel: str = "mail") -> Delivery:
    return Delivery(
        QueuedNotification(f"event-{number}", NOW_NS + number, f'{{"n": {number}}}', boot_id="b", booted_ns=7), channel
    )


def keys(database: sqlite3.Connection) -> list[tuple[str, str]]:
    return [found.key for found in deliveries.waiting(database)]


def test_what_is_put_is_found(database: sqlite3.Connection) -> None:
    """Each value of it; in the order of the notifications, however late a state of one was put."""
    second, first = delivery(2), failed(delivery(1), Failure.LATE, "not answered", NOW_NS, 0.5)
    deliveries.put(database, [delivery(1), second])
    deliveries.put(database, [first])
    assert deliveries.waiting(database) == (first, second)
    assert deliveries.waiting(database, most=1) == (first,)


def test_one_channel_knows_nothing_of_another(database: sqlite3.Connection) -> None:
    deliveries.put(database, [delivery(1, "mail"), delivery(1, "phone")])
    deliveries.put(database, [arrived(delivery(1, "mail"), NOW_NS)])
    assert keys(database) == [("event-1", "phone")]
    assert database.execute("SELECT count(*) FROM notifications").fetchone() == (1,)


def test_what_has_ended_stays_so(database: sqlite3.Connection) -> None:
    """Also if somebody who did not hear of it puts it as waiting; unless it was moved to another database, and comes back."""
    dropped = replace(delivery(1), set_aside_ns=NOW_NS, last_error="dropped by hand")
    moved = replace(delivery(2), set_aside_ns=NOW_NS, last_error=f"{deliveries.MOVED_TO}/srv/other.db")
    deliveries.put(database, [dropped, moved, arrived(delivery(3), NOW_NS)])
    deliveries.put(database, [delivery(1), delivery(2), delivery(3)])
    assert deliveries.waiting(database) == (delivery(2),)


def test_a_damaged_count_holds_nothing_up(database: sqlite3.Connection) -> None:
    deliveries.put(database, [delivery(1)])
    database.execute("UPDATE deliveries SET attempts = 'many', next_try_ns = x'ff'")
    assert deliveries.waiting(database) == (delivery(1),)


def test_what_ended_long_ago_goes(database: sqlite3.Connection) -> None:
    """With its notification, unless another channel still waits for that."""
    deliveries.put(database, [arrived(delivery(n), NOW_NS + n) for n in (1, 2)])
    deliveries.put(database, [delivery(1, "phone"), delivery(3)])
    deliveries.prune(database, NOW_NS + 10, most=100)
    assert keys(database) == [("event-1", "phone"), ("event-3", "mail")]
    assert database.execute("SELECT event_id FROM notifications ORDER BY 1").fetchall() == [("event-1",), ("event-3",)]
    assert database.execute("SELECT count(*) FROM deliveries").fetchone() == (2,)


def test_of_too_many_the_oldest_of_each_channel_go(database: sqlite3.Connection) -> None:
    deliveries.put(database, [delivery(n) for n in range(5)] + [delivery(n, "phone") for n in range(2)])
    assert deliveries.give_up_oldest(database, most=3) == 2
    assert keys(database) == [
        ("event-0", "phone"),
        ("event-1", "phone"),
        ("event-2", "mail"),
        ("event-3", "mail"),
        ("event-4", "mail"),
    ]
