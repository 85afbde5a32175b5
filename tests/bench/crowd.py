"""Measures a count of containers by how many there are: `python3 -m tests.bench.crowd` as root, within a minute or two.

An engine of its own runs 1, then 50, then 200 sleeping containers, of which each takes some 10 MiB of memory (the engine's own
process beside it). The helper is measured from outside; asking it is what the agent does, and is measured in this process.
"""

import argparse
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from statistics import median
from time import process_time_ns

import docker

from heartbeatd.containers import engine as counting
from tests.bench.figures import Figure, table, took_ms
from tests.bench.stage import say
from tests.bench.usage import cpu_ms
from tests.support.engine import Engine, containers_helper, count_by, own_engine

SIZES = (1, 50, 200)
CALLS = 200
TIMEOUT_S = 5.0
STARTED_AT_ONCE = 4


def main() -> int:
    """Print a table. Exit status: 0 done, 130 interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--containers", type=int, nargs="+", default=SIZES, help="how many (default: 1 50 200)")
    sizes = sorted(parser.parse_args().containers)
    try:
        with own_engine() as engine, tempfile.TemporaryDirectory() as folder:
            columns = list(_columns(engine, Path(folder), sizes))
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    print(table([f"{number} running" for number in sizes], columns))
    return 0


def _columns(engine: Engine, folder: Path, sizes: list[int]) -> Iterator[list[Figure]]:
    ids: list[str] = []
    try:
        with containers_helper(folder, engine.socket) as (path, pid):
            for size in sizes:
                say(f"starting {size - len(ids)} containers")
                with ThreadPoolExecutor(STARTED_AT_ONCE) as pool:
                    ids += pool.map(lambda _: engine.run_container(), range(size - len(ids)))
                say(f"counting {size}")
                yield list(_figures(engine.socket, path, pid, size))
    finally:
        say(f"removing {len(ids)} containers")
        with suppress(AssertionError):  # all at once; what is left is the engine's to remove, one by one
            engine.docker("rm", "--force", *ids)


def _figures(engine: Path, path: Path, pid: int, size: int) -> Iterator[Figure]:
    """What a count of `size` containers costs, at the helper behind `path`, which is the process `pid`, and at the engine."""
    before_ms = cpu_ms(pid)
    asking_ms, took = _counted(lambda: count_by(path, engine, TIMEOUT_S), size)
    helper_ms = (cpu_ms(pid) - before_ms) / (CALLS + 1)
    yield Figure("helper: CPU", helper_ms, "ms")
    yield Figure("agent that asks it: CPU", asking_ms, "ms")
    yield Figure("agent that asks it: waits, median", median(took), "ms")
    yield Figure("agent that asks it: waits, most", max(took), "ms")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        answer = connection.makefile("rb").read()
    yield Figure("the helper's answer", len(answer), "B")
    yield Figure("the engine's answer to it", len(counting.ask(str(engine))), "B")
    with closing(docker.APIClient(base_url=f"unix://{engine}", version="auto", timeout=TIMEOUT_S)) as sdk:
        sdk_ms, took = _counted(lambda: len(sdk.containers(quiet=True)), size)
    yield Figure("agent with the SDK instead: CPU", sdk_ms, "ms")
    yield Figure("agent with the SDK: waits, median", median(took), "ms")


def _counted(count: Callable[[], int], size: int) -> tuple[float, list[float]]:
    """CPU ms of this process for a count, and the ms that each took, after one that does not count."""
    assert count() == size
    cpu_ns = process_time_ns()
    took = [took_ms(count) for _ in range(CALLS)]
    return (process_time_ns() - cpu_ns) / 1e6 / CALLS, took


if __name__ == "__main__":
    sys.exit(main())
