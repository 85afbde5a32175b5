"""A cycle put together for tests, on edges that they hand in."""

from collections.abc import Callable, Container
from itertools import count

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import Clock
from heartbeatd.core.cyclelog import LogCycles
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.policy import Policy
from heartbeatd.core.rule import Rule, RuleSettings
from heartbeatd.core.subject import Subject
from heartbeatd.cycle import AlertQueue, Collector, Cycle, Edges, ServiceManager, Store
from heartbeatd.heartbeats import Heartbeats, HeartbeatSender
from heartbeatd.report import Reporter
from heartbeatd.rules import all_rules

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
    log_cycles: LogCycles = LogCycles.ALL,
    cancel: CancelToken | None = None,
    rules: tuple[Rule, ...] = (),
    held: Callable[[], Container[Subject]] = tuple,
) -> Cycle:
    """A cycle every ten seconds that announces at once, by the agent's rules and `rules`."""
    cancel = cancel or CancelToken()
    cycle = Cycle(
        Edges(probes, Heartbeats(sender, agent, count(1), clock, cancel), store, outbox, service, held),
        (*all_rules(RuleSettings(Policy(1, 1), URL, SITE)), *rules),
        Reporter(agent, 10, SITE, log_cycles),
        agent,
        URL,
        clock,
        cancel,
    )
    cycle.start()
    return cycle
