"""What the processes of a control group use: of a unit, so that children count, also those that came and went.

Read from outside the host: process numbers in its `cgroup.procs` are translated for whoever reads.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.usage import fields, written_bytes

INTERVAL_S = 10
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU used so far by the whole group; switches by thread and bytes written by process; what it holds now."""

    cpu_us: int
    switches: Mapping[int, int]
    written_bytes: Mapping[int, int]
    pss_bytes: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One subject's row: memory and threads between two cycles, all else for one cycle of ten seconds."""

    pss_mib: float
    rss_mib: float
    threads: int
    cpu_ms: float
    switches: float
    written_kib: float


def measure(groups: Mapping[str, Path], cycles: int) -> dict[str, Figures]:
    """What each group used in so many cycles, from the middle of one cycle to the middle of another."""
    to_middle_of_cycle()
    before = {name: look(group) for name, group in groups.items()}
    time.sleep((cycles - 1) * INTERVAL_S)
    to_middle_of_cycle()
    return {name: _figures(before[name], look(group), cycles) for name, group in groups.items()}


def to_middle_of_cycle() -> None:
    """Sleep until the wall clock is half-way between two slots."""
    time.sleep(INTERVAL_S - (time.time() + INTERVAL_S / 2) % INTERVAL_S)


def look(group: Path) -> Usage:
    """A control group as it is now."""
    switches: dict[int, int] = {}
    written: dict[int, int] = {}
    pss = rss = 0
    for pid in members(group):
        with suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
            written[pid] = written_bytes(pid)
            rollup = fields(Path(f"/proc/{pid}/smaps_rollup"))
            pss, rss = pss + rollup["Pss"] * 1024, rss + rollup["Rss"] * 1024
            for task in Path(f"/proc/{pid}/task").iterdir():
                found = fields(task / "status")
                switches[int(task.name)] = found["voluntary_ctxt_switches"] + found["nonvoluntary_ctxt_switches"]
    return Usage(cpu_us(group), switches, written, pss, rss)


def members(group: Path) -> list[int]:
    """The group's processes."""
    return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]


def cpu_us(group: Path) -> int:
    """CPU the group has used so far in µs (cpu.stat, which needs no controller)."""
    found = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(found["usage_usec"])


def _figures(before: Usage, after: Usage, cycles: int) -> Figures:
    return Figures(
        pss_mib=after.pss_bytes / _MIB,
        rss_mib=after.rss_bytes / _MIB,
        threads=len(after.switches),
        cpu_ms=(after.cpu_us - before.cpu_us) / 1000 / cycles,
        switches=_grown(before.switches, after.switches) / cycles,
        written_kib=_grown(before.written_bytes, after.written_bytes) / 1024 / cycles,
    )


def _grown(before: Mapping[int, int], after: Mapping[int, int]) -> int:
    """How much more there is; of a thread or process that is new, all it has."""
    return sum(value - before.get(key, 0) for key, value in after.items())
