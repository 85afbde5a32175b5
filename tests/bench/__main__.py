"""Measures what the README claims, on the agent as a process of its own: `make bench`, or `python3 -m tests.bench --cycles 600`.

The agent beats once a second at a Worker on loopback, with a kept connection, a webhook, an internet check and, where there
is one, a Docker engine: all steps of a cycle, and no waiting for a network. Run it on an idle machine.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.agent import AgentProcess
from tests.receiver import WEBHOOK, WORKER, Receiver

STARTS = 10
WARM_UP_CYCLES = 10
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cycles", type=int, default=120, help="how many cycles to measure (default: %(default)s)")
    cycles: int = parser.parse_args().cycles
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}"
    )
    with Receiver() as receiver, tempfile.TemporaryDirectory() as folder:
        toml = _configuration(receiver)
        _show("start to READY", [_start_ms(Path(folder), toml) for _ in range(STARTS)], "ms")
        with AgentProcess(Path(folder), toml) as agent:
            agent.ready().cycles(WARM_UP_CYCLES)
            print(f"measuring {cycles} cycles of one second …", flush=True)
            skip = len(agent.rows("id"))
            before = _usage(agent.process.pid)
            agent.cycles(cycles)
            after = _usage(agent.process.pid)
            rss_mb, threads = _memory(agent.process.pid)
            agent.stop()
            rows = agent.rows("timestamp_lima, cycle_duration_ms")[skip:]
        _show("late at the slot", [datetime.fromisoformat(str(at)).microsecond / 1000 for at, _ in rows], "ms")
        _show("cycle duration", [float(str(took)) for _, took in rows], "ms")
        cpu_ms, written = ((b - a) / cycles for a, b in zip(before, after, strict=True))
        print(f"{'CPU per cycle':<18} {cpu_ms:8.2f} ms")
        print(f"{'written per cycle':<18} {written / 1024:8.1f} KiB")
        print(f"{'memory (RSS)':<18} {rss_mb:8.1f} MiB in {threads} threads")


def _configuration(receiver: Receiver) -> str:
    return (
        f'[agent]\ninterval_seconds = 1\n[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\n'
        f'timeout_seconds = 0.4\n[internet]\nurl = "{receiver.url("/")}"\ntimeout_seconds = 0.3\n'
        f'[docker]\ntimeout_seconds = 0.3\n[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n'
    )


def _start_ms(folder: Path, toml: str) -> float:
    began_s = time.monotonic()
    with AgentProcess(folder, toml) as agent:
        agent.ready()
        took_s = time.monotonic() - began_s
        agent.stop()
    return took_s * 1000


def _usage(pid: int) -> tuple[float, float]:
    """CPU time so far in ms, and bytes handed to the disk (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    counters = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS_PER_S, float(counters["write_bytes"])


def _memory(pid: int) -> tuple[float, int]:
    """Resident MiB, and threads."""
    found = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(found["VmRSS"].split()[0]) / 1024, int(found["Threads"])


def _show(name: str, values: list[float], unit: str) -> None:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    print(f"{name:<18} {statistics.median(ordered):8.2f} {unit} median, {p99:8.2f} p99, {ordered[-1]:8.2f} most")


if __name__ == "__main__":
    main()
