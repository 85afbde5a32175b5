"""heartbeatd by itself, the peers stopped: its start, what reaches the device, and how late its cycles begin."""

import os
import re
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.bench.figures import p99
from tests.bench.stage import Disk, Stage, say, temporary_worker
from tests.bench.unit_usage import INTERVAL_S, look, to_middle_of_cycle
from tests.bench.usage import cpu_ms
from tests.support.agent import CHECKOUT, AgentProcess

UNIT = "heartbeatd.service"
STARTS = 10
_DROP_IN = "/run/systemd/system/heartbeatd.service.d/bench.conf"
_WARM_UP_CYCLES = 10


@dataclass(frozen=True, slots=True)
class Start:
    """From the process's start to READY=1: by the clock, and CPU used when READY=1 came."""

    wall_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long after their slots cycles began, in ms; of `rows` cycles in a row, how many slots were skipped."""

    load: str
    p50_ms: float
    p99_ms: float
    most_ms: float
    rows: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Alone:
    """What was found."""

    start: Start
    pss_mib: float
    device_kib: float  # a cycle of ten seconds
    lateness: tuple[Lateness, ...]


def measured(stage: Stage, cycles: int, late_cycles: int) -> Alone:
    """All of it; the agent is installed, and nothing but it runs on the host."""
    say(f"heartbeatd alone: {STARTS} starts")
    start = starts()
    say(f"heartbeatd alone: bytes at the device and memory, {cycles} cycles of {INTERVAL_S} s")
    _configure(stage, INTERVAL_S)
    to_middle_of_cycle()
    os.sync()
    before = stage.disk.written_bytes()
    time.sleep(cycles * INTERVAL_S)
    os.sync()  # what is still on its way to the device
    device_kib = (stage.disk.written_bytes() - before) / 1024 / cycles
    pss_mib = look(stage.group(UNIT)).pss_bytes / (1 << 20)
    return Alone(start, pss_mib, device_kib, tuple(_under_loads(stage, late_cycles)))


def starts() -> Start:
    """Medians of so many starts of the agent on this machine, modules compiled, every step of a cycle on.

    The system's authorities are trusted and no others, as nearly everywhere: that the Worker's is not one is noticed after READY.
    """
    with tempfile.TemporaryDirectory() as temporary, temporary_worker(INTERVAL_S) as toml:
        folder, plain = Path(temporary), re.sub("^ca_file = .*\n", "", toml, flags=re.MULTILINE)
        taken = [_start(folder, plain) for _ in range(STARTS + 1)][1:]  # the first one compiles
    return Start(statistics.median(s.wall_ms for s in taken), statistics.median(s.cpu_ms for s in taken))


def _start(folder: Path, toml: str) -> Start:
    began_s = time.monotonic()
    with AgentProcess(folder, toml, PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX=str(folder / "compiled")) as agent:
        agent.ready()
        wall_ms = (time.monotonic() - began_s) * 1000
        start = Start(wall_ms, cpu_ms(agent.process.pid))
        agent.stop()
    return start


def _under_loads(stage: Stage, cycles: int) -> Iterator[Lateness]:
    say(f"heartbeatd alone: lateness, {cycles} cycles of one second, idle")
    yield _lateness(stage, "idle", cycles)
    cores = os.cpu_count() or 1
    for number in range(cores):
        stage.host.run(f"systemd-run --unit=bench-busy-{number} sh -c 'while :; do :; done'")
    say("  … with every core busy")
    yield _lateness(stage, f"{cores} busy loops on {cores} cores", cycles)
    drop_in = stage.host.path(_DROP_IN)
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(CHECKOUT / "debian/examples/systemd/realtime.conf", drop_in)
    say("  … with every core busy, and the agent in the real-time class")
    yield _lateness(stage, "the same, with the drop-in realtime.conf", cycles)
    drop_in.unlink()
    stage.host.run("systemctl daemon-reload; systemctl stop heartbeatd 'bench-busy-*'")


def _configure(stage: Stage, interval_s: int) -> None:
    stage.host.path("/etc/heartbeat/config.toml").write_text(stage.toml(interval_s))
    stage.host.run("systemctl daemon-reload; systemctl restart heartbeatd")


def _lateness(stage: Stage, load: str, cycles: int) -> Lateness:
    _configure(stage, 1)
    time.sleep(_WARM_UP_CYCLES + cycles + 1)
    moments = [datetime.fromisoformat(str(at)) for (at,) in reversed(last_rows(stage.disk, "timestamp_lima", cycles))]
    late_ms = [moment.microsecond / 1000 for moment in moments]
    slots = round((moments[-1] - moments[0]).total_seconds()) + 1
    skipped = max(0, slots - len(moments))
    return Lateness(load, statistics.median(late_ms), p99(late_ms), max(late_ms), len(moments), skipped)


def last_rows(disk: Disk, columns: str, number: int) -> list[tuple[object, ...]]:
    """So many rows of the agent's database, the last one first."""
    with closing(sqlite3.connect(f"file:{disk.mount}/metrics.db?mode=ro", uri=True)) as db:
        return db.execute(f"SELECT {columns} FROM metrics ORDER BY rowid DESC LIMIT ?", (number,)).fetchall()
