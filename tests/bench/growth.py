"""Measures that a cycle does not become dearer with the years: `python3 -m tests.bench.growth`, three to four minutes.

Databases of no row, a month's and a year's are made and measured in the folder for temporary files (TMPDIR), where they need
1.2 GiB; on a real disk, since nothing that goes to a tmpfs counts as written. What a figure may be stands beside it; `flat`
is no more than a quarter above the first. Run it on an idle machine.
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, time_ns

from heartbeatd.store.database import Database
from tests.bench import storing
from tests.bench.beating import cycles_cpu_ms
from tests.bench.databases import ROW_BYTES, make
from tests.bench.figures import Figure, table
from tests.bench.stage import say

ROWS = (0, 300_000, 3_150_000)  # the last is a year of cycles ten seconds apart
ROOM_BYTES = 64 << 20  # beside the rows: the WAL, and the agent's log
FEWEST_TO_PRUNE = 10_000
TURNS = 3  # what else happens on the machine meets each size alike


@dataclass(frozen=True, slots=True)
class FilledDatabase:
    """One with `number` rows that end at `until_ns`, in `folder` as the agent of the tests looks for it."""

    folder: Path
    number: int
    until_ns: int

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / "data/metrics.db"


def main() -> int:
    """Print a table. Exit status: 0 done, 1 there is no room, 130 interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="sizes (default: 0, a month, a year)")
    parser.add_argument("--cycles", type=int, default=30, help="of the agent on each (default: %(default)s)")
    wanted = parser.parse_args()
    sizes = sorted(set(wanted.rows))
    began_s = monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="hb-growth-") as folder:
            lacking = _lacking(Path(folder), sum(sizes))
            if lacking:
                print(lacking, file=sys.stderr)
                return 1
            os.environ["SQLITE_TMPDIR"] = folder  # it would sort in /var/tmp
            columns = _columns(Path(folder), sizes, wanted.cycles)
    except KeyboardInterrupt:
        say("interrupted; nothing is left behind")
        return 130
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}"
    )
    print(table([f"{number:,} rows" for number in sizes], columns))
    print(f"measured in {monotonic() - began_s:.0f} s")
    return 0


def _columns(folder: Path, sizes: Sequence[int], cycles: int) -> list[list[Figure]]:
    """All figures of each size."""
    made = [_made(folder / str(number), number) for number in sizes]
    cpu_ms: list[list[float]] = [[] for _ in made]
    each = max(1, cycles // TURNS)
    for turn in range(TURNS):
        say(f"the agent on each of them, {each} cycles of a second, turn {turn + 1} of {TURNS}")
        for database, found in zip(made, cpu_ms, strict=True):
            found += cycles_cpu_ms(database.folder, each)
    return [[*_cycle(found), *_storage(database)] for database, found in zip(made, cpu_ms, strict=True)]


def _made(folder: Path, number: int) -> FilledDatabase:
    database = FilledDatabase(folder, number, time_ns())
    database.path.parent.mkdir(parents=True)
    progress = _progress(f"{number:,} rows: making them", number)
    for done in make(database.path, number, database.until_ns):
        progress(done)
    return database


def _cycle(cpu_ms: list[float]) -> Iterator[Figure]:
    yield Figure("a cycle of the agent: CPU, median", median(cpu_ms), "ms")
    # What a busy neighbour does to a median of so few is not the database's doing.
    yield Figure("a cycle of the agent: CPU, least", min(cpu_ms), "ms", flat=True)


def _storage(database: FilledDatabase) -> Iterator[Figure]:
    """The figures of one database, which is gone afterwards."""
    path, number = database.path, database.number
    say(f"{number:,} rows: starting, storing, reading")
    yield from storing.starting(path)
    with closing(Database.open(path, time_ns())) as store:
        yield from storing.writing(store)
        yield from storing.reading(path)
        yield from storing.looking_for_old(store)
    if number >= FEWEST_TO_PRUNE:
        progress = _progress(f"{number:,} rows: pruning a third", number // 3)
        yield from storing.pruning(path, number, database.until_ns, progress)
    shutil.rmtree(database.folder)


def _lacking(folder: Path, number: int) -> str:
    """What to say if there is no room for so many rows; nothing if there is."""
    needed, free = number * ROW_BYTES + ROOM_BYTES, shutil.disk_usage(folder).free
    if free >= needed:
        return ""
    return f"{folder.parent} has {free / 2**20:,.0f} MiB free, {needed / 2**20:,.0f} are needed: set TMPDIR to a roomier one"


def _progress(what: str, whole: int) -> Callable[[int], None]:
    """Told how many of the `whole` are done, it says so every fifth of the way."""
    fifths = 0

    def tell(done: int) -> None:
        nonlocal fifths
        if 5 * done // whole > fifths:
            fifths = 5 * done // whole
            say(f"{what}, {20 * fifths} %")

    return tell


if __name__ == "__main__":
    sys.exit(main())
