"""Table `service_checks`: what each look at a service found, by the second in which it ended.

It is made as `readings` is: added to at its end, in the commits of the cycles. A look takes some 35 bytes, so ten services that
are looked at once a minute take 0.5 MB a day. `status` has the words of the heartbeat; `cause` is a word for why it is not
healthy.
"""

import sqlite3
from collections.abc import Iterable

from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.service import ServiceCheck

_ADD = "INSERT OR IGNORE INTO service_checks (at, name, status, took_ms, cause) VALUES (?, ?, ?, ?, ?)"
_PRUNE = (
    "DELETE FROM service_checks WHERE (at, name) IN"
    " (SELECT at, name FROM service_checks WHERE at < ? ORDER BY at, name LIMIT ?)"
)
# The latest of each from second ?1 to second ?2: SQLite takes the others from the row that has the max().
LATEST = (
    "SELECT name, max(at), status, took_ms, cause FROM service_checks WHERE at > ? AND at <= ? GROUP BY name LIMIT ?"
)


def add(connection: sqlite3.Connection, checks: Iterable[ServiceCheck]) -> None:
    """In the transaction that is under way."""
    connection.executemany(
        _ADD,
        (
            (
                check.at_ns // NS_PER_S,
                check.name,
                check.told,
                None if check.took_ms is None else round(check.took_ms, 1),
                "no internet" if check.explained else check.outcome.reason,
            )
            for check in checks
        ),
    )


def prune(connection: sqlite3.Connection, before: int, most: int) -> int:
    """How many of those before that second went: the oldest, `most` at a time."""
    return connection.execute(_PRUNE, (before, most)).rowcount
