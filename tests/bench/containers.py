"""Measures the ways to count containers: `make bench` as root, or `python3 -m tests.bench.containers`.

Each way counts the same ten sleeping containers of an engine of its own. CPU is that of whoever counts, not the engine's.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.usage import cpu_ms, fields
from tests.support.agent import CHECKOUT
from tests.support.engine import containers_helper, count_by, own_engine

CONTAINERS = 10
CALLS = 200
GROUPS = tuple(Path("/sys/fs/cgroup", name) for name in ("pids/docker", "docker", "system.slice"))
SDK = """
import sys, docker
from pathlib import Path
api = docker.APIClient(base_url=f"unix://{sys.argv[1]}", version="auto")
api.containers(quiet=True)
for _ in sys.stdin:
    print(len(api.containers(quiet=True)), flush=True)
"""
ONCE = """
import sys
sys.path.insert(0, sys.argv[1])
from heartbeatd.containers import engine
print(len(engine.answer(sys.argv[2])["containers"]))
"""


def main() -> None:
    """Print one line a way."""
    print(f"counting {CONTAINERS} containers: CPU for a count, and PSS of what stays between two counts")
    with own_engine() as engine, tempfile.TemporaryDirectory() as folder:
        ids = {engine.run_container() for _ in range(CONTAINERS)}
        with containers_helper(Path(folder), engine.socket) as (path, pid):
            _measure("helper, resident", pid, CALLS, lambda: count_by(path, engine.socket))
        words = [sys.executable, "-IS", "-c", ONCE, str(CHECKOUT), str(engine.socket)]
        _measure("helper, started each time", None, CALLS // 10, lambda: int(subprocess.check_output(words)))
        with subprocess.Popen(
            [sys.executable, "-c", SDK, str(engine.socket)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sdk:
            _measure("Docker SDK, resident", sdk.pid, CALLS, lambda: _ask(sdk))
            sdk.terminate()
        group = next(p for p in GROUPS if p.exists() and _in_group(p, ids))
        _measure("control groups", None, CALLS, lambda: _in_group(group, ids))


def _in_group(group: Path, ids: set[str]) -> int:
    """How many of the containers have a control group in that one, by the driver cgroupfs or systemd."""
    return sum(1 for entry in group.iterdir() if entry.name.removeprefix("docker-").removesuffix(".scope") in ids)


def _ask(sdk: "subprocess.Popen[str]") -> int:
    assert sdk.stdin is not None
    assert sdk.stdout is not None
    sdk.stdin.write("\n")
    sdk.stdin.flush()
    return int(sdk.stdout.readline())


def _measure(name: str, pid: int | None, calls: int, count: Callable[[], int]) -> None:
    """`pid` is who counts; without one it is this process and its children."""
    assert count() == CONTAINERS
    before_ms = _cpu_ms(pid)
    for _ in range(calls):
        assert count() == CONTAINERS
    each_ms = (_cpu_ms(pid) - before_ms) / calls
    memory = f"{_pss_mib(pid):5.1f} MiB" if pid else "none"
    print(f"{name:<26} {each_ms:7.3f} ms   {memory:>10}", flush=True)


def _cpu_ms(pid: int | None) -> float:
    """CPU time so far; for ourselves with that of children that have ended."""
    if pid is None:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() * 1000 + (ended.ru_utime + ended.ru_stime) * 1000
    return cpu_ms(pid)


def _pss_mib(pid: int) -> float:
    return fields(Path(f"/proc/{pid}/smaps_rollup"))["Pss"] / 1024


if __name__ == "__main__":
    main()
