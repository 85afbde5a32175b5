"""What a database costs by its size: to open, to write, to read, to prune. All of it through the product's own functions.

One process, one database, warm pages; each function goes on with what the one before it has left.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from time import monotonic_ns, process_time_ns, time_ns
from typing import ParamSpec

from heartbeatd.core.retention import NS_PER_DAY, RetentionCutoff
from heartbeatd.core.sample import Row
from heartbeatd.core.timefmt import to_lima
from heartbeatd.store.database import Database, WriteResult
from heartbeatd.store.pruning import FORGET_EVERY, PRUNE_ROWS
from heartbeatd.store.read_only import open_to_read
from heartbeatd.store.reader import Reader
from heartbeatd.store.rollups import DAY, HOUR
from tests.bench.databases import STEP_NS, rows
from tests.bench.figures import Figure, p99, took_ms
from tests.bench.usage import written_bytes

TIMES = 20  # what can be done again as it was
STORED = 2000  # some fifteen checkpoints
FIRST = 50  # rows that fit into a WAL that was empty: from them its growth can be told
FLUSHED = 20
KEEP_DAYS = 400  # the default: nothing is too old
STEPS = 20  # passes over what has become too old since the one before, as in operation
P = ParamSpec("P")
README_QUERY = "SELECT * FROM metrics ORDER BY timestamp_lima DESC LIMIT 20"


def starting(path: Path) -> Iterator[Figure]:
    """How long the database's part in a start takes."""
    took = []
    for _ in range(TIMES):
        opened: list[Database] = []
        took.append(took_ms(_start, path, opened))
        opened[0].close()
    yield Figure("start: open, begin_run, track", median(took), "ms", most=2)


def writing(store: Database) -> Iterator[Figure]:
    """What it takes to store a row, on a store just opened, with whatever checkpoints SQLite makes meanwhile."""
    number = FIRST + STORED + FLUSHED
    coming = list(rows(number, time_ns() + number * STEP_NS, seed=2))
    yield Figure("a row: grows the WAL by", _wal_growth_bytes(store, coming[:FIRST]) / 1024, "KiB", flat=True)
    written, cpu_ns = written_bytes(), process_time_ns()
    took = [took_ms(store.record, [row], (), (), flush=False) for row in coming[FIRST : FIRST + STORED]]
    cpu_ns, written = process_time_ns() - cpu_ns, written_bytes() - written
    yield Figure("a row: written, checkpoints too", written / 1024 / STORED, "KiB", flat=True)
    yield Figure("a row: CPU", cpu_ns / 1e6 / STORED, "ms", flat=True)
    yield Figure("a row: median", median(took), "ms", flat=True)
    yield Figure("a row: p99", p99(took), "ms")
    yield Figure("a row: most, with a checkpoint", max(took), "ms")
    flushed = [took_ms(_flush, store, row) for row in coming[FIRST + STORED :]]
    yield Figure("a row that is flushed, each minute", median(flushed), "ms", flat=True)


def reading(path: Path) -> Iterator[Figure]:
    """What heartbeatctl's and the README's queries take, while a writer has the database open."""
    with closing(open_to_read(path)) as connection:
        latest = _median_ms(lambda: connection.execute(README_QUERY).fetchall())
        yield Figure("README: the latest 20 rows", latest, "ms", most=5)
    with closing(Reader.open(path)) as reader:
        for name, period, days, most in (
            ("history: 24 hours by the hour", HOUR, 1, 1),
            ("history: 30 days by the hour", HOUR, 30, 30),
            ("history: a year by the day", DAY, 365, 15),
        ):
            since, until = (period.start(to_lima(time_ns() - ago * NS_PER_DAY)) for ago in (days, 0))
            yield Figure(name, _median_ms(reader.history, period, since, until, 24 * days + 2), "ms", most=most)


def looking_for_old(store: Database) -> Iterator[Figure]:
    """What a look at what is too old takes where nothing is."""
    keep = RetentionCutoff(time_ns(), KEEP_DAYS)
    yield Figure("prune: nothing too old", _median_ms(_prune, store, keep), "ms", flat=True)


def pruning(path: Path, number: int, until_ns: int, progress: Callable[[int], None]) -> Iterator[Figure]:
    """What it takes to delete a third of the `number` rows that end at `until_ns`, and what is left of the file.

    Nobody has it open before or after, so all that was written is in the file. `progress` is told how many rows have gone.
    """
    full_bytes, history = path.stat().st_size, _roll_ups(path)
    oldest_ns = until_ns - number * STEP_NS
    with closing(Database.open(path, time_ns())) as store:
        steps = [_before(oldest_ns + step * FORGET_EVERY * STEP_NS) for step in range(1, STEPS + 1)]
        few = [took_ms(_prune, store, keep) for keep in steps]
        many = list(_all_passes(store, _before(oldest_ns + number // 3 * STEP_NS), progress))
    yield Figure(f"prune: {FORGET_EVERY} rows, median of {STEPS} passes", median(few), "ms")
    yield Figure(f"prune: {PRUNE_ROWS} rows, median of all", median(many), "ms")
    yield Figure(f"prune: {PRUNE_ROWS} rows, most", max(many), "ms")
    yield Figure("file: before", full_bytes / 2**20, "MiB")
    yield Figure("file: a third of its rows less", path.stat().st_size / 2**20, "MiB")
    yield Figure("file: left of it", 100 * path.stat().st_size / full_bytes, "%", most=70)
    yield Figure("roll-ups: changed by it", len(history ^ _roll_ups(path)), "rows", most=0)


def _all_passes(store: Database, keep: RetentionCutoff, progress: Callable[[int], None]) -> Iterator[float]:
    """The ms of each pass that deletes as much as may go at once."""
    gone = STEPS * FORGET_EVERY
    while True:
        began_ns = monotonic_ns()
        if not _prune(store, keep).more_to_prune:
            return
        yield (monotonic_ns() - began_ns) / 1e6
        gone += PRUNE_ROWS
        progress(gone)


def _prune(store: Database, keep: RetentionCutoff) -> WriteResult:
    return store.record((), (), (), flush=False, keep=keep)


def _start(path: Path, opened: list[Database]) -> None:
    store = Database.open(path, time_ns())
    opened.append(store)
    store.begin_run("bench")
    store.states()


def _flush(store: Database, row: Row) -> None:
    store.verify_on_disk()
    store.record([row], (), (), flush=True)


def _wal_growth_bytes(store: Database, coming: list[Row]) -> float:
    """A row's; the WAL is empty before, and written over from its beginning only after the first checkpoint."""
    wal = Path(f"{store.path}-wal")
    before = wal.stat().st_size if wal.exists() else 0
    for row in coming:
        store.record([row], (), (), flush=False)
    return (wal.stat().st_size - before) / len(coming)


def _before(at_ns: int) -> RetentionCutoff:
    """What is before that moment is too old."""
    return RetentionCutoff(at_ns + NS_PER_DAY, days=1)


def _roll_ups(path: Path) -> set[tuple[object, ...]]:
    """All of them, with all that they say."""
    with closing(open_to_read(path)) as connection:
        return set(connection.execute("SELECT * FROM rollups"))


def _median_ms(run: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> float:
    """Median ms of several times, after one that does not count."""
    run(*arguments, **named)
    return median(took_ms(run, *arguments, **named) for _ in range(TIMES))
