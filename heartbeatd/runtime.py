"""What lives as long as the process, whatever the configuration, and what is there before anything else is loaded."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from heartbeatd.cancel import CancelToken, SerialWorker, SharedThreads
from heartbeatd.clock import Clock, SystemClock, boot_id
from heartbeatd.config.model import Config
from heartbeatd.core.hostname import HostNames, name_in_force
from heartbeatd.core.redact import Redactor
from heartbeatd.core.service import ServiceCheck
from heartbeatd.hostnames import host_names
from heartbeatd.net.resolve import Resolver
from heartbeatd.pool import MOST_THREADS, Pool
from heartbeatd.sdnotify import NotifySocket
from heartbeatd.store.background import BackgroundStore
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.buffered_store import BufferedStore


@dataclass(slots=True)
class Runtime:
    """Threads, clocks, counters, the token of the main thread, the service manager."""

    clock: Clock = field(default_factory=SystemClock)
    cancel: CancelToken = field(init=False)
    resolver: Resolver = field(init=False)
    # Looks at services have a resolver and threads of their own: names that hang must not take those of a heartbeat.
    service_names: Resolver = field(init=False)
    services: "Pool[ServiceCheck]" = field(init=False)
    redactor: Redactor = field(default_factory=Redactor)
    service: NotifySocket = field(init=False)
    sequence: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    shared: SharedThreads = field(default_factory=SharedThreads)
    threads: dict[str, SerialWorker] = field(default_factory=dict)
    boot_id: str = field(default_factory=boot_id)
    names: HostNames = field(default_factory=host_names)
    started_ns: int = 0

    def __post_init__(self) -> None:
        self.service = NotifySocket(self.redactor)
        self.cancel, self.resolver = CancelToken(self.clock), Resolver(self.clock)
        self.service_names = Resolver(self.clock, MOST_THREADS)
        self.services = Pool(self.clock)
        self.started_ns = self.clock.now_ns()

    def shift(self, by_ns: int) -> None:
        """The wall clock was stepped by so much."""
        self.started_ns += by_ns

    def thread(self, name: str) -> SerialWorker:
        """The worker of that name; the same one after a reload, so that what hangs there is not started again."""
        return self.threads.setdefault(name, SerialWorker(name, self.shared))

    def working(self) -> bool:
        """Called while the database is brought up to date: the service manager waits on. True if it should be broken off."""
        self.service.extend_timeout("bringing the database up to date")
        return self.cancel.cancelled

    def close(self) -> None:
        """End the threads; those that hang are left to the end of the process."""
        self.services.close()
        self.shared.close()
        self.service.close()


def host_name(config: Config, at_start: HostNames | None = None) -> str:
    """The name this host goes by, in plain ASCII. `at_start` are its names when the process started, if that was earlier."""
    now = host_names()
    return config.agent.hostname or name_in_force(at_start or now, now)


def store_options(config: Config) -> StoreOptions:
    """How the store is kept."""
    storage = config.storage
    return StoreOptions(config.agent.interval_seconds, storage.keep_days, flush_rows=storage.sync == "full")


def make_store(config: Config, runtime: Runtime, boot_id: str | None = None) -> BufferedStore:
    """The store at the configured path, not open yet. `boot_id`: see BufferedStore; only an agent gives one."""
    return BufferedStore(Path(config.storage.path), runtime.clock, store_options(config), runtime.working, boot_id)


def open_store(config: Config, runtime: Runtime) -> BackgroundStore:
    """The agent's, on another thread, opened as far as it can be. Raises InUseError if another agent has it."""
    store = make_store(config, runtime, runtime.boot_id)
    made = BackgroundStore(store, store_options(config), runtime.cancel, runtime.shared)
    try:
        made.open()
    except BaseException:
        made.close()
        raise
    return made
