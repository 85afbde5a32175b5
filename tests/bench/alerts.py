"""Measures what one alert costs, by webhook and by Apprise: `make bench`, or `python3 -m tests.bench.alerts`, in two minutes.

The agent beats once a second, its Worker fails and recovers in turn, and each change is told. The notifier is its child, as in
`make run` (`tests.bench.alerts_installed` has systemd start it). Its code is compiled, as the package's is.
"""

import argparse
import compileall
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from tests.bench.figures import Figure, table
from tests.bench.stage import say
from tests.bench.usage import fields
from tests.support.agent import PACKAGE, AgentProcess, environment, python
from tests.support.notifier import about
from tests.support.receiver import WORKER, Receiver
from tests.support.scripted import Connection, Scripted

ARRIVES_MS = 500  # at a webhook on this machine
CHANGES = 6  # in one life of the agent: more would be held back as flapping
KIB_IN_MIB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process of the notifier: CPU, and memory while it waits for the answer."""

    cpu_ms: float
    pss_mib: float
    rss_mib: float


def main() -> int:
    """Print a table. Exit status: 0 done, 130 interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--lives", type=int, default=4, help=f"of the agent, {CHANGES} alerts each (default: %(default)s)"
    )
    lives = parser.parse_args().lives
    try:
        with tempfile.TemporaryDirectory(prefix="hb-alerts-") as folder:
            code = _compiled(Path(folder))
            columns = [list(_figures(Path(folder), code, name, lives)) for name in ("webhook", "json")]
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    print(table(["webhook", "json://"], columns))
    return 0


def _compiled(folder: Path) -> dict[str, str]:
    """The environment in which Python takes our code from a compiled copy."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder, quiet=1)
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def _figures(folder: Path, code: dict[str, str], channel: str, lives: int) -> Iterator[Figure]:
    say(f"{channel}: {lives * CHANGES} alerts")
    late_ms: list[float] = []
    with_alert_ms: list[float] = []
    without_ms: list[float] = []
    shapes = []
    for number in range(lives):
        life = _life(folder / f"{channel}-{number}", code, channel)
        late_ms += life.late_ms
        with_alert_ms += life.with_alert_ms
        without_ms += life.without_ms
        shapes.append(life.shape)
    most = ARRIVES_MS if channel == "webhook" else None
    yield Figure("cycle's end to arrival: median", median(late_ms), "ms")
    yield Figure("cycle's end to arrival: most", max(late_ms), "ms", most)
    costs = [_cost(folder, code, channel) for _ in range(lives * CHANGES)]
    yield Figure("notifier: CPU", median(cost.cpu_ms for cost in costs), "ms")
    yield Figure("notifier: PSS while it waits", median(cost.pss_mib for cost in costs), "MiB")
    yield Figure("notifier: RSS at the most", max(cost.rss_mib for cost in costs), "MiB")
    yield Figure("agent: threads before the first", shapes[0].threads[0], "")
    yield Figure("agent: threads after the last", shapes[0].threads[1], "")
    yield Figure("agent: PSS before the first", median(shape.pss_mib[0] for shape in shapes), "MiB")
    yield Figure("agent: PSS after the last", median(shape.pss_mib[1] for shape in shapes), "MiB")
    yield Figure("agent: a cycle without an alert", median(without_ms), "ms")
    yield Figure("agent: a cycle that makes one", median(with_alert_ms), "ms")


@dataclass(frozen=True, slots=True)
class Shape:
    """The agent's threads and memory, before its first alert and after its last."""

    threads: tuple[int, int]
    pss_mib: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Life:
    """What one life of the agent has shown: how late its alerts were, and how long its cycles took."""

    late_ms: list[float]
    with_alert_ms: list[float]
    without_ms: list[float]
    shape: Shape


def channel_toml(channel: str, at: str) -> str:
    """Sections of the configuration that send alerts to `at`, by n8n's webhook or by Apprise."""
    if channel == "webhook":
        return f'[alerts]\nalert_after = 1\nwebhook_url = "{at}"\n'
    return f'[alerts]\nalert_after = 1\n[[channel]]\nname = "{channel}"\nurl = "{at.replace("http:", "json:")}"\n'


def _life(folder: Path, code: dict[str, str], channel: str) -> Life:
    """The Worker changes at every fourth beat: each alert has arrived when the next one is made."""
    folder.mkdir()
    with Receiver() as receiver:
        receiver.answer(WORKER, *[200] * 4, *([503] * 4 + [200] * 4) * (CHANGES // 2))
        toml = (
            f'[agent]\ninterval_seconds = 1\n[docker]\nsocket = ""\n[internet]\nurl = "{receiver.url("/")}"\n'
            f'[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\n{channel_toml(channel, receiver.url("/alert"))}'
        )
        with AgentProcess(folder, toml, **code) as agent:
            agent.ready().cycles(3)
            before = _threads(agent.process.pid), _pss_mib(agent.process.pid)
            ends_s: list[float] = []
            while len(receiver.received("/alert")) < CHANGES:
                agent.cycles(1)
                ends_s.append(time.monotonic())
            after = _threads(agent.process.pid), _pss_mib(agent.process.pid)
            agent.stop()
        arrivals_s = [alert.at_s for alert in receiver.received("/alert")]
    late_ms = [min(arrived_s - end_s for end_s in ends_s if end_s <= arrived_s) * 1000 for arrived_s in arrivals_s]
    rows = agent.rows("worker_status, cycle_duration_ms")
    changed = [float(str(now[1])) for then, now in pairwise(rows) if then[0] != now[0]]
    same = [float(str(now[1])) for then, now in pairwise(rows) if then[0] == now[0]]
    return Life(late_ms, changed, same, Shape((before[0], after[0]), (before[1], after[1])))


def _cost(folder: Path, code: dict[str, str], channel: str) -> Cost:
    """One process, asked by hand."""
    looks: list[tuple[float, float]] = []
    process: subprocess.Popen[bytes] | None = None
    started = threading.Event()

    def answer(connection: Connection) -> None:
        connection.read_request()
        started.wait()
        assert process is not None
        rollup = fields(Path(f"/proc/{process.pid}/smaps_rollup"))
        peak = fields(Path(f"/proc/{process.pid}/status"))["VmHWM"]
        looks.append((rollup["Pss"] / KIB_IN_MIB, peak / KIB_IN_MIB))
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with Scripted(answer) as server:
        config = folder / "config.toml"
        config.write_text(channel_toml(channel, server.url))
        ours, its = socket.socketpair()
        with closing(ours), closing(its):
            ours.sendall(about(channel).encode())
            process = subprocess.Popen(
                python("heartbeatd.notify", "--config", config), stdin=its.fileno(), env=environment(**code)
            )
            started.set()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert b'"delivered":true' in ours.recv(65536).replace(b" ", b"")
    return Cost((usage.ru_utime + usage.ru_stime) * 1000, *looks[0])


def _threads(pid: int) -> int:
    return fields(Path(f"/proc/{pid}/status"))["Threads"]


def _pss_mib(pid: int) -> float:
    return fields(Path(f"/proc/{pid}/smaps_rollup"))["Pss"] / KIB_IN_MIB


if __name__ == "__main__":
    sys.exit(main())
