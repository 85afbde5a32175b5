"""Databases as years of cycles leave them, in minutes: the product's own schema, ids and roll-ups, rows that end now."""

import os
from collections.abc import Iterator
from contextlib import closing
from operator import attrgetter
from pathlib import Path
from random import Random
from sqlite3 import Connection, connect

from heartbeatd.core.ids import RANDOM_BYTES, uuid7
from heartbeatd.core.sample import Row
from heartbeatd.core.timefmt import to_lima
from heartbeatd.store import migrations, rollups
from heartbeatd.store.database import Database

INTERVAL_S = 10
STEP_NS = INTERVAL_S * 1_000_000_000
NS_PER_HOUR = 3_600_000_000_000
ROW_BYTES = 360  # 250 of file with both indexes and the roll-ups, and what SQLite sorts in while these are made
BATCH = 100_000
_VALUES = attrgetter(*(name for name, _ in migrations.METRICS))
_INSERT = f"INSERT INTO metrics VALUES ({', '.join('?' for _ in migrations.METRICS)})"


def row(at_ns: int, random: Random) -> Row:
    """What a cycle at `at_ns` may have seen on a small server: seven containers, one answer in a thousand missing."""
    reached = random.random() > 0.001
    ram_percent = round(22 + 4 * random.random(), 1)
    return Row(
        id=uuid7(at_ns, random.randbytes(RANDOM_BYTES)),
        timestamp_lima=to_lima(at_ns),
        cpu_percent=round(100 * random.random() ** 4, 1),
        ram_percent=ram_percent,
        ram_used_mb=ram_percent * 3936.42 / 100,
        disk_percent=41.3,
        container_count=7,
        internet_ok=int(reached),
        ping_ms=12 + 9 * random.random() ** 3 if reached else None,
        worker_status=200 if reached else None,
        cycle_duration_ms=40 + 30 * random.random(),
    )


def rows(number: int, until_ns: int, seed: int = 1) -> Iterator[Row]:
    """So many rows ten seconds apart, the last one less than ten before `until_ns`; late at the slot as an idle host is."""
    random = Random(seed)
    last_ns = until_ns // STEP_NS * STEP_NS
    for back in range(number - 1, -1, -1):
        yield row(last_ns - back * STEP_NS + random.randrange(150_000, 900_000), random)


def make(path: Path, number: int, until_ns: int) -> Iterator[int]:
    """Make the database at `path`; yields how many rows are in, now and then, so that somebody can watch.

    The roll-ups are made by what makes them of rows that waited: the same content as row by row (tests/store/test_rollups.py).
    """
    Database.open(path, until_ns).close()
    with closing(connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")  # nobody else looks, and what a crash leaves is thrown away
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -65536")
        source, hours = rows(number, until_ns), number * STEP_NS // NS_PER_HOUR + 1
        for begun in range(0, number, BATCH):
            _fill(connection, source, min(BATCH, number - begun))
            yield min(number, begun + BATCH)
        connection.execute("BEGIN")
        rollups.roll_up(connection, [to_lima(until_ns - hour * NS_PER_HOUR) for hour in range(hours, -1, -1)])
        connection.execute("COMMIT")
    Database.open(path, until_ns).close()  # back to a WAL
    with path.open("rb") as file:
        os.fsync(file.fileno())  # else the disk would still be busy with it while others are measured


def _fill(connection: Connection, source: Iterator[Row], number: int) -> None:
    connection.execute("BEGIN")
    connection.executemany(_INSERT, (_VALUES(next(source)) for _ in range(number)))
    connection.execute("COMMIT")
