"""The agent as a process of its own that beats once a second, with all steps of a cycle and no waiting for a network."""

import sys
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path

from tests.agent import AgentProcess
from tests.bench.usage import cpu_ms
from tests.receiver import WEBHOOK, WORKER, Receiver

WARM_UP_CYCLES = 5


def configuration(receiver: Receiver, docker: str | None = None) -> str:
    """Every edge on loopback; containers at `docker`, "" for nowhere, None for where the agent looks by default."""
    socket = "" if docker is None else f'socket = "{docker}"\n'
    return (
        f'[agent]\ninterval_seconds = 1\n[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\n'
        f'timeout_seconds = 0.4\n[internet]\nurl = "{receiver.url("/")}"\ntimeout_seconds = 0.3\n'
        f'[docker]\n{socket}timeout_seconds = 0.3\n[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n'
    )


def cycles_cpu_ms(folder: Path, cycles: int) -> list[float]:
    """CPU ms of each cycle of an agent, of all its threads together, on the database `data/metrics.db` in `folder`.

    Containers are not counted: the engine's moods are not the database's.
    """
    # What goes wrong prints the agent's log: not into the table.
    with (
        redirect_stdout(sys.stderr),
        Receiver() as receiver,
        AgentProcess(folder, configuration(receiver, "")) as agent,
    ):
        agent.ready().cycles(WARM_UP_CYCLES)
        marks = [cpu_ms(agent.process.pid)]
        for _ in range(cycles):
            agent.cycles(1)
            marks.append(cpu_ms(agent.process.pid))
        agent.stop()
    return [after - before for before, after in pairwise(marks)]
