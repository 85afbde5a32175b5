"""What a cycle and a start may cost, held as counts: those are the same on every machine, however busy it is.

The budgets are round numbers a little above what was measured last; what is measured is printed by `make bench`.
"""

import json
import subprocess
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from heartbeatd.clock import SystemClock
from heartbeatd.core.timefmt import from_iso
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.buffered_store import BufferedStore
from tests.bench.databases import rows
from tests.bench.instructions import INTERVAL_S, instructions_per_cycle
from tests.bench.stage import temporary_worker
from tests.bench.syscalls import Watcher
from tests.bench.usage import fields
from tests.support.agent import CHECKOUT, AgentProcess

pytestmark = pytest.mark.slow

INSTRUCTIONS = 2_350_000  # 2,200,000 to 2,260,000
# 66 to 76: a quarter of them futex(2), for what is handed to another thread and back, and as many as the scheduler makes of it.
SYSTEM_CALLS = 80
# The cycle, and one for all that may hang, as long as nothing does.
THREADS = 2
WRITTEN_BYTES = 6_500
HOURS, ROWS_AN_HOUR = 8, 360  # a midnight among them
# Slow to load, or large, and not needed before READY; those of the second line not at all.
AFTER_READY = {
    "bz2",
    "email",
    "heartbeatd.net.http",
    "heartbeatd.app",
    "http.client",
    "lzma",
    "psutil",
    "random",
    "shutil",
    "ssl",
    "subprocess",
}
NEVER = {
    "argparse",
    "asyncio",
    "chardet",
    "charset_normalizer",
    "concurrent",
    "ctypes",
    "decimal",
    "difflib",
    "docker",
    "fractions",
    "hashlib",
    "heartbeatd.containers.__main__",
    "heartbeatd.containers.engine",
    "heartbeatd.ctl",
    "heartbeatd.failure_alert",
    "html",
    "http.server",
    "importlib.metadata",
    "logging.config",
    "logging.handlers",
    "multiprocessing",
    "pickle",
    "pkg_resources",
    "requests",
    "socketserver",
    "statistics",
    "tarfile",
    "tempfile",
    "unittest",
    "urllib.request",
    "urllib3",
    "xml",
    "zipfile",
}
LOADED = """
import json, sys
from heartbeatd import __main__, run
before = sorted(sys.modules)
from heartbeatd import app
print(json.dumps([before, sorted(sys.modules)]))
"""


@pytest.mark.timing  # valgrind has two seconds for each cycle
def test_instructions(tmp_path: Path) -> None:
    """A cycle with a heartbeat over TLS, an internet check, a webhook and a row."""
    with temporary_worker(INTERVAL_S, containers=False) as toml:
        assert instructions_per_cycle(tmp_path, toml, cycles=5) <= INSTRUCTIONS


@pytest.mark.timing  # some are made where a thread has to wait for another
def test_system_calls_and_threads(tmp_path: Path) -> None:
    """The same, of all threads together."""
    with temporary_worker(1, containers=False) as toml, AgentProcess(tmp_path, toml) as agent:
        agent.ready().cycles(3)
        assert len(list(Path(f"/proc/{agent.process.pid}/task").iterdir())) <= THREADS
        with Watcher(tmp_path / "calls", [agent.process.pid]) as watcher:
            agent.cycles(10)
            calls = watcher.total()
        agent.stop()
    assert 10 < calls <= 10 * SYSTEM_CALLS


def test_written_bytes(tmp_path: Path) -> None:
    """A stored row with all its values, its share of the roll-ups of its hour and day, and of SQLite's checkpoints."""
    until_ns = from_iso("2026-11-23T03:00:00-05:00")
    coming = iter(rows(100 + HOURS * ROWS_AN_HOUR, until_ns))
    store = BufferedStore(tmp_path / "metrics.db", SystemClock(), StoreOptions(10, days=400))
    store.open()
    with closing(store):
        for row in islice(coming, 100):
            store.record(row, (), ())
        before = _written()
        for row in coming:
            store.record(row, (), ())
        after = _written()
    assert (after - before) / (HOURS * ROWS_AN_HOUR) <= WRITTEN_BYTES


def test_imports() -> None:
    """What is loaded before READY, and in all."""
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    before, loaded = (set(names) for names in json.loads(done.stdout))
    assert not before & AFTER_READY
    assert loaded >= AFTER_READY
    assert not loaded & NEVER


def _written() -> int:
    """Bytes this process has handed to write(2) and its like so far (proc(5)); a tmpfs counts, too."""
    return fields(Path("/proc/self/io"))["wchar"]
