"""Runs of an agent that stores a row every ten seconds of a hand-set clock, and tells of the time before it.

As a program (`python -m tests.support.runs DATABASE BOOT_ID WALL_NS BOOT_NS CYCLES`) it is killed after so many cycles.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heartbeatd.core.delivery import Delivery
from heartbeatd.core.gap import ExitRecord, Start
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.queued import to_queue
from heartbeatd.core.sample import Sample, row_of
from heartbeatd.core.subject import Subject
from heartbeatd.gaps import GapOptions, Gaps, nobody
from heartbeatd.newid import new_id
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.buffered_store import BufferedStore
from tests.support.clocks import FakeClock

INTERVAL_S = 10
ALERT_S = 5


class RunOfAgent:
    """One run: the store and what tells of gaps, as the agent puts them together."""

    def __init__(
        self, path: Path, clock: FakeClock, start: Start, silenced: Callable[[Subject, int], bool] = nobody
    ) -> None:
        self.store = BufferedStore(path, clock, StoreOptions(INTERVAL_S), boot_id=start.boot_id)
        self.told: list[dict[str, Any]] = []
        self._clock = clock
        self.store.open()
        agent = AgentInfo("nas", "0", clock.now_ns())
        options = GapOptions(INTERVAL_S, ALERT_S)
        url = "https://worker.example/"
        self._gaps = Gaps(self.store.buffer, start, clock, options, agent, url, notifies=True, silenced=silenced)

    def cycles(self, number: int) -> None:
        """So many, and the ten seconds after each."""
        for _ in range(number):
            notifications = self._gaps.tell()
            at_ns = self._clock.now_ns()
            row = row_of(Sample(at_ns), new_id(at_ns), None, 1.0)
            self.store.record(row, (), tuple(Delivery(to_queue(told), "webhook") for told in notifications))
            self.told += [dict(told.details) for told in notifications]
            self._clock.pass_s(INTERVAL_S)

    def stop(self) -> None:
        """In good order."""
        self.store.close()


def run(
    path: Path, clock: FakeClock, boot_id: str, cycles: int, ending: ExitRecord | None = None
) -> list[dict[str, Any]]:
    """A whole run, stopped in good order; what it told of gaps."""
    agent = RunOfAgent(path, clock, Start(boot_id, ending))
    agent.cycles(cycles)
    agent.stop()
    return agent.told


def main() -> None:
    """Ends by SIGKILL."""
    path, boot_id, wall_ns, boot_ns, cycles = sys.argv[1:]
    agent = RunOfAgent(Path(path), FakeClock(int(wall_ns), int(boot_ns)), Start(boot_id))
    agent.cycles(int(cycles))
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
