"""From a `Config` to all that runs by it. The one place that knows every room.

To load it is to load nearly all there is, so the agent does that after it has said that it is ready.
"""

from heartbeatd import components
from heartbeatd.cancel import CancelToken
from heartbeatd.config.model import Config
from heartbeatd.core.cyclelog import LogCycles
from heartbeatd.core.gap import Start
from heartbeatd.core.policy import Policy
from heartbeatd.core.redact import redact_url
from heartbeatd.core.rule import RuleSettings
from heartbeatd.core.schedule import Tick
from heartbeatd.cycle import Cycle, Edges
from heartbeatd.gaps import GapOptions, Gaps
from heartbeatd.heartbeats import Heartbeats
from heartbeatd.notify.outbox import Outbox
from heartbeatd.report import Reporter
from heartbeatd.rules import all_rules
from heartbeatd.runtime import Runtime
from heartbeatd.steps import Steps
from heartbeatd.store.background import BackgroundStore


class Assembly:
    """A running configuration."""

    def __init__(self, config: Config, runtime: Runtime, store: BackgroundStore, start: Start) -> None:
        self._runtime = runtime
        self.interval_s, self.longest_cycle_s = config.agent.interval_seconds, config.longest_cycle_s
        self._resolver = runtime.resolver
        self._probes, self._pinger = components.probes(config, runtime)
        self._heartbeat = components.heartbeat(config, runtime)
        self._webhook = components.webhook(config, runtime)
        self._outbox: Outbox | None = None
        if self._webhook is not None:
            self._outbox = Outbox(store.queue(), self._webhook, runtime.clock, runtime.boot_id)
        who, interval_s = components.agent_info(config, runtime), config.agent.interval_seconds
        heartbeat_url = redact_url(config.heartbeat.url) if config.heartbeat.url else ""
        internet_url = redact_url(config.internet.url)
        announced_after = Policy(config.alerts.alert_after, config.alerts.recover_after)
        heartbeats = Heartbeats(self._heartbeat, who, runtime.sequence, runtime.clock, runtime.cancel)
        self._cycle = Cycle(
            Edges(self._probes, heartbeats, store, self._outbox, runtime.service),
            all_rules(RuleSettings(announced_after, heartbeat_url, internet_url)),
            Reporter(who, interval_s, internet_url, LogCycles(config.agent.log_cycles)),
            who,
            heartbeat_url,
            runtime.boot_id,
            runtime.clock,
            runtime.cancel,
        )
        self._gaps = Gaps(
            store,
            start,
            runtime.clock,
            GapOptions(interval_s, config.alerts.gap_alert_seconds),
            who,
            heartbeat_url,
            notifies=self._outbox is not None,
        )
        self._steps = Steps()

    def run(self, tick: Tick) -> None:
        """One cycle, and what is to be told of the time before this run, if that can be told now."""
        told = self._steps.take("tell how long nothing ran before this start", self._gaps.tell)
        self._cycle.run(tick, told or ())

    def shift(self, by_ns: int) -> None:
        """The wall clock was stepped by `by_ns`."""
        self._runtime.shift(by_ns)
        self._cycle.shift(by_ns)

    def distrust(self) -> None:
        """Go on with no connection, and no late answer of the resolver, of the time before."""
        self._resolver.forget()
        for kept in (self._pinger, self._heartbeat, self._webhook):
            if kept is not None:
                kept.distrust()

    def prepare(self, waiter: CancelToken) -> None:
        """What may take a moment and need not hold up the start."""
        self._probes.prepare(waiter)

    def start(self) -> None:
        """Take up what was announced, and begin to deliver alerts."""
        self._cycle.start()
        if self._outbox is not None:
            self._outbox.start()

    def stop(self) -> None:
        """Let go of all connections. The ledger is left open: the next configuration may go on with it."""
        if self._outbox is not None:
            self._outbox.close()
        if self._webhook is not None:
            self._webhook.close()
        if self._heartbeat is not None:
            self._heartbeat.close()
        self._pinger.close()
        self._probes.close()
