"""What lives as long as the process, whatever the configuration, and what is there before anything else is loaded."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname

from heartbeatd.clock import Clock, SystemClock
from heartbeatd.config import Config
from heartbeatd.core.gap import Before
from heartbeatd.net.resolve import Resolver
from heartbeatd.sinks.ledger import Keeping, Ledger
from heartbeatd.sinks.systemd import Notifier, boot_id
from heartbeatd.waiting import Lane, Waiter


@dataclass(slots=True)
class Process:
    """Threads, clocks, counters, the waiter of the main loop, the service manager."""

    clock: Clock = field(default_factory=SystemClock)
    waiter: Waiter = field(default_factory=Waiter)
    resolver: Resolver = field(default_factory=Resolver)
    service: Notifier = field(default_factory=Notifier)
    sequence: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    lanes: dict[str, Lane] = field(default_factory=dict)
    before: Before = field(default_factory=lambda: Before(boot_id()))
    started_ns: int = 0

    def __post_init__(self) -> None:
        self.started_ns = self.clock.now_ns()

    def lane(self, name: str) -> Lane:
        """The lane of that name; the same one after a reload, so that what hangs on it is not started again."""
        return self.lanes.setdefault(name, Lane(name))

    def working(self) -> bool:
        """Called while the database is brought up to date: the service manager waits on. True if it should be broken off."""
        self.service.working("bringing the database up to date")
        return self.waiter.interrupted

    def close(self) -> None:
        """End the lanes; those that hang are left to the end of the process."""
        for lane in self.lanes.values():
            lane.close()
        self.service.close()


def host_name(config: Config) -> str:
    """The name this host goes by."""
    return config.agent.hostname or gethostname()


def keeping(config: Config) -> Keeping:
    """How the ledger is kept."""
    storage = config.storage
    return Keeping(config.agent.interval_seconds, storage.keep_days, flush_rows=storage.sync == "full")


def open_ledger(config: Config, process: Process) -> Ledger:
    """The ledger at the configured path, opened as far as it can be."""
    made = Ledger(Path(config.storage.path), process.clock, keeping(config), process.working)
    made.open()
    return made
