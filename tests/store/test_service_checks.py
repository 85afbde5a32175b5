"""What the checks of services came to is kept, shown and pruned."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.sample import Readings
from heartbeatd.core.service import HEALTHY, ServiceCheck, without_answer
from heartbeatd.core.timefmt import from_iso
from heartbeatd.store.buffer import READINGS_MOST, Buffer, StoreOptions
from heartbeatd.store.database import Database
from heartbeatd.store.reader import Reader
from heartbeatd.store.results import StoredCheck
from tests.support.rows import NOW_NS, keep_from, row

REFUSED = without_answer(Cause.REFUSED, "Connection refused")


def checked(number: int, *checks: ServiceCheck) -> Readings:
    """As the cycle of that row brings them."""
    return Readings(row(number).timestamp_lima, {}, checks)


def at_ns(number: int) -> int:
    return from_iso(row(number).timestamp_lima)


def test_the_last_of_each_is_known(path: Path) -> None:
    """With its state, how long it took, and why; what this host's internet explains is unknown."""
    with closing(Database.open(path, NOW_NS)) as store:
        for number in (1, 2):
            web = ServiceCheck("web", at_ns(number), HEALTHY, 12.34)
            db = ServiceCheck("db", at_ns(number), REFUSED, outside=True)
            away = replace(db, name="away", explained=True)
            store.record([row(number)], (), (), flush=False, readings=[checked(number, web, db, away)])
        with closing(Reader.open(path)) as reader:
            assert sorted(reader.last_checks(), key=lambda one: one.name) == [
                StoredCheck("away", at_ns(2), "unknown", None, "no internet"),
                StoredCheck("db", at_ns(2), "down", None, "refused"),
                StoredCheck("web", at_ns(2), "healthy", 12.3, None),
            ]


def test_they_are_kept_as_long_as_the_rows(path: Path) -> None:
    """To the hour."""
    with closing(Database.open(path, NOW_NS)) as store:
        for number in (0, 3600, 7200, 7300):
            check = ServiceCheck("web", at_ns(number), HEALTHY, 1.0)
            store.record([row(number)], (), (), flush=False, readings=[checked(number, check)])
        store.record((), (), (), flush=False, keep=keep_from(7250))
    with closing(sqlite3.connect(path)) as reader:
        found = [at for (at,) in reader.execute("SELECT at FROM service_checks ORDER BY at")]
    assert found == [at_ns(7200) // 10**9, at_ns(7300) // 10**9]


def test_no_more_wait_in_memory_than_may(path: Path) -> None:
    """The oldest are given up."""
    buffer = Buffer(StoreOptions(10))
    many = [ServiceCheck(f"s{n}", NOW_NS, HEALTHY, 1.0) for n in range(100)]
    for number in range(READINGS_MOST // 100 + 10):
        buffer.note(row(number), (), (), checked(number, *many), states_known=True)
    assert sum(map(len, buffer.readings)) == READINGS_MOST
