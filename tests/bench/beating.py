"""The agent as a process of its own that beats once a second, with all steps of a cycle and no waiting for a network."""

import sys
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path

from tests.bench.stage import temporary_worker
from tests.bench.usage import cpu_ms
from tests.support.agent import AgentProcess

WARM_UP_CYCLES = 5


def cycles_cpu_ms(folder: Path, cycles: int) -> list[float]:
    """CPU ms of each cycle of an agent, of all its threads together, on the database `data/metrics.db` in `folder`.

    Containers are not counted: the engine's moods are not the database's.
    """
    # What goes wrong prints the agent's log: not into the table.
    with (
        redirect_stdout(sys.stderr),
        temporary_worker(1, containers=False) as toml,
        AgentProcess(folder, toml) as agent,
    ):
        agent.ready().cycles(WARM_UP_CYCLES)
        marks = [cpu_ms(agent.process.pid)]
        for _ in range(cycles):
            agent.cycles(1)
            marks.append(cpu_ms(agent.process.pid))
        agent.stop()
    return [after - before for before, after in pairwise(marks)]
