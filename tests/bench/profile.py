"""Where a cycle's work goes: `make profile`, or `python3 -m tests.bench.profile`.

By callgrind, the instructions of each shared object and of the first C functions; by cProfile, the Python functions, with
their calls a cycle and own CPU time. What a start takes is in `tests.bench.imports`.
"""

import pstats
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import instructions
from tests.bench.stage import say, temporary_worker
from tests.support.agent import CHECKOUT, AgentProcess

TOP = 20
PYTHON_CYCLES = 30
_LINE = re.compile(r"^\s*([\d,]+) \(\s*[\d.]+%\)\s+(.+?)(?: \[(.+)\])?$")
# Runs `-m heartbeatd` with a profile of each thread, of its CPU time: the main thread's cycles, all else whole.
PROFILED = """
import cProfile, runpy, sys, threading, time
from heartbeatd.cycle import Cycle
into, sys.argv = sys.argv[1], ["heartbeatd", *sys.argv[5:]]
profiles = [cProfile.Profile(time.thread_time)]
def begin(*event):
    sys.setprofile(None)
    profiles.append(cProfile.Profile(time.thread_time))
    profiles[-1].enable()
plain = Cycle.run
def run(self, *arguments):
    profiles[0].enable()
    try:
        plain(self, *arguments)
    finally:
        profiles[0].disable()
Cycle.run = run
threading.setprofile(begin)
try:
    runpy.run_module("heartbeatd", run_name="__main__", alter_sys=True)
finally:
    for number, profile in enumerate(profiles):
        profile.dump_stats(f"{into}/{number}.profile")
"""


# (file, line, name) → primitive calls, calls, own s, cumulative s, callers
_Stats = dict[tuple[str, int, str], tuple[int, int, float, float, object]]


@dataclass(frozen=True, slots=True)
class Function:
    """One Python function: calls and own CPU time for a cycle."""

    where: str
    calls: float
    own_us: float


def main() -> None:
    """Print three tables."""
    if not shutil.which("callgrind_annotate"):
        sys.exit("valgrind is not installed")
    with tempfile.TemporaryDirectory() as folder, temporary_worker(instructions.INTERVAL_S, containers=False) as toml:
        say(f"callgrind, {instructions.CYCLES} cycles")
        _show_instructions(instructions.counted(Path(folder), toml, instructions.CYCLES), instructions.CYCLES)
    with tempfile.TemporaryDirectory() as folder, temporary_worker(1, containers=False) as toml:
        say(f"cProfile, {PYTHON_CYCLES} cycles")
        _show_functions(list(functions(Path(folder), toml, PYTHON_CYCLES)))


def _show_instructions(dump: Path, cycles: int) -> None:
    by_object: Counter[str] = Counter()
    by_function: Counter[str] = Counter()
    for count, function, shared_object in _annotated(dump):
        by_object[Path(shared_object).name] += count
        by_function[f"{function} [{Path(shared_object).name}]"] += count
    whole = by_object.total()
    print(f"\ninstructions a cycle: {whole // cycles:,}")
    for title, counter in (("shared object", by_object), ("C function", by_function)):
        print(f"\n{'a cycle':>12} {'share':>6}  {title}")
        for name, count in counter.most_common(TOP):
            print(f"{count // cycles:>12,} {count / whole:>6.1%}  {name}")


def _annotated(dump: Path) -> Iterator[tuple[int, str, str]]:
    """Own instructions of each function: the count, its name, and the shared object it is in."""
    words = ["callgrind_annotate", "--threshold=100", "--auto=no", "--show-percs=yes", str(dump)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for line in said.splitlines():
        if (found := _LINE.match(line)) and found[2] != "PROGRAM TOTALS":
            yield int(found[1].replace(",", "")), found[2].removeprefix("???:"), found[3] or "?"


def functions(folder: Path, toml: str, cycles: int) -> Iterator[Function]:
    """The Python functions of a run of so many cycles, the most expensive first."""
    with AgentProcess(folder, toml, prefix=(sys.executable, "-c", PROFILED, str(folder))) as agent:
        agent.ready().cycles(cycles)
        agent.stop()
    first, *more = sorted(map(str, folder.glob("*.profile")))
    stats: _Stats = pstats.Stats(first, *more).stats  # type: ignore[attr-defined]  # what pstats itself prints from
    for (file, line, name), (_, calls, own_s, *_) in sorted(stats.items(), key=lambda item: -item[1][2]):
        where = f"{file.removeprefix(f'{CHECKOUT}/')}:{line} {name}" if line else name
        yield Function(where, calls / cycles, own_s * 1e6 / cycles)


def _show_functions(found: list[Function]) -> None:
    own_us, calls = sum(f.own_us for f in found), sum(f.calls for f in found)
    print(f"\nPython: {calls:.0f} calls and {own_us:.0f} µs a cycle, with the profiler's own cost in it")
    print(f"{'own µs':>8} {'calls':>7}  function")
    for function in found[: 2 * TOP]:
        print(f"{function.own_us:>8.1f} {function.calls:>7.1f}  {function.where}")


if __name__ == "__main__":
    main()
