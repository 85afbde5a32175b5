"""A cycle put together for tests, on edges that they hand in."""

from itertools import count

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import Clock
from heartbeatd.core.cyclelog import LogCycles
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.policy import Policy
from heartbeatd.core.worker import WORKER
from heartbeatd.cycle import AlertQueue, Collector, Cycle, Edges, ServiceManager, Store
from heartbeatd.heartbeats import Heartbeats, HeartbeatSender
from heartbeatd.report import Reporter

URL = "https://worker.example/"
SITE = "http://internet.example"


def make_cycle(
    probes: Collector,
    sender: HeartbeatSender | None,
    store: Store,
    outbox: AlertQueue | None,
    service: ServiceManager,
    clock: Clock,
    agent: AgentInfo,
    *,
    boot_id: str = "boot",
    log_cycles: LogCycles = LogCycles.ALL,
    cancel: CancelToken | None = None,
) -> Cycle:
    """A cycle every ten seconds that announces at once."""
    cancel = cancel or CancelToken()
    cycle = Cycle(
        Edges(probes, Heartbeats(sender, agent, count(1), clock, cancel), store, outbox, service),
        {WORKER.kind: Policy(1, 1)},
        Reporter(agent, 10, URL, SITE, log_cycles),
        agent,
        URL,
        boot_id,
        clock,
        cancel,
    )
    cycle.start()
    return cycle
