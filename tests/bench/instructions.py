"""Instructions a cycle, by callgrind: `python3 -m tests.bench.instructions`. Unlike milliseconds they hardly depend on the day.

The agent runs on this machine under valgrind, and only whole cycles in the middle of its run are counted, of all its threads.
Containers are not counted: what an engine answers would be counted with them.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.bench.stage import temporary_worker
from tests.support.agent import AgentProcess

INTERVAL_S = 2  # valgrind is slow
CYCLES = 20
SERVICES_S = 3 * INTERVAL_S  # as 30 s are with a cycle each 10 s
_WARM_UP_CYCLES = 5
_SETTLE_CYCLES = 2  # once instructions are looked at, all code is translated anew


def main() -> None:
    """Print the number."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.instructions", description=__doc__)
    parser.add_argument("--cycles", type=int, default=CYCLES, help="how many cycles to count (default: %(default)s)")
    cycles: int = parser.parse_args().cycles
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed")
    with tempfile.TemporaryDirectory() as folder, temporary_worker(INTERVAL_S, containers=False) as toml:
        print(f"instructions a cycle: {instructions_per_cycle(Path(folder), toml, cycles):,}")
        busy = toml + much_to_watch(toml)
        print(
            f"with 20 rules, and 10 services in every third cycle: {instructions_per_cycle(Path(folder), busy, cycles):,}"
        )


def much_to_watch(toml: str) -> str:
    """Sections for 20 rules, and for 10 services looked at in every third cycle where the internet check of `toml` asks."""
    url = tomllib.loads(toml)["internet"]["url"]
    port = url.rstrip("/").rpartition(":")[2]
    checks = [f"tcp://127.0.0.1:{port}", url] * 5
    services = "".join(
        f'[[service]]\nname = "service-{number}"\ncheck = "{check}"\nevery = "{SERVICES_S}s"\n'
        for number, check in enumerate(checks)
    )
    rules = "".join(
        f'[[rule]]\nmetric = "disk_used_percent"\nlabel = "/srv/{number}*"\nabove = 95\nseverity = "{severity}"\n'
        for number in range(8)
        for severity in ("warning", "critical")
    )
    each_cycle = "".join(
        f'[[rule]]\nmetric = "{metric}"\nabove = 99\nseverity = "{severity}"\n'
        for metric in ("cpu_percent", "ram_percent")
        for severity in ("warning", "critical")
    )
    return rules + each_cycle + services


def instructions_per_cycle(folder: Path, toml: str, cycles: int = CYCLES) -> int:
    """How many instructions the agent needs for one cycle by this configuration; it runs in `folder`."""
    return total(counted(folder, toml, cycles)) // cycles


def counted(folder: Path, toml: str, cycles: int) -> Path:
    """What callgrind counted in so many cycles: its file, in `folder`."""
    out = folder / "callgrind.out"
    prefix = ("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}")
    # The order in a set or a dict of its own is then the same in each run.
    with AgentProcess(folder, toml, prefix=prefix, PYTHONHASHSEED="0") as agent:
        agent.ready().cycles(_WARM_UP_CYCLES)
        _tell(agent, "instrumentation on")
        agent.cycles(_SETTLE_CYCLES)
        _tell(agent, "zero")
        agent.cycles(cycles)
        _tell(agent, "dump")
        agent.stop()
    return out.with_suffix(".out.1")


def total(dump: Path) -> int:
    """All instructions in a file of callgrind's."""
    found = re.search(r"^totals: (\d+)$", dump.read_text(), re.MULTILINE)
    assert found, f"{dump} has no total"
    return int(found[1])


def _tell(agent: AgentProcess, command: str) -> None:
    """Give a running callgrind one of its monitor commands."""
    words = ["vgdb", f"--pid={agent.process.pid}", *command.split()]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    main()
