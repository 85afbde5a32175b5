"""From a `Config` to all that runs by it: the one place where the agent is put together. To load it is to load nearly all."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from heartbeatd import components
from heartbeatd.config.model import Config
from heartbeatd.config.notified import has_credentials_elsewhere
from heartbeatd.core.cyclelog import LogCycles
from heartbeatd.core.gap import Start
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.redact import redact_url
from heartbeatd.core.schedule import Tick
from heartbeatd.cycle import Cycle, Edges
from heartbeatd.errors import ConfigError, Problem
from heartbeatd.gaps import GapOptions, Gaps
from heartbeatd.heartbeats import Heartbeats
from heartbeatd.holds import Holds
from heartbeatd.journal import NOTICE
from heartbeatd.net.heartbeat import Heartbeat
from heartbeatd.net.http import Client
from heartbeatd.notify.outbox import Outbox
from heartbeatd.probes.collector import Probes
from heartbeatd.report import Reporter
from heartbeatd.rules import all_rules
from heartbeatd.runtime import Runtime, open_store, store_options
from heartbeatd.steps import Steps
from heartbeatd.store.background import BackgroundStore

IDLE_S = 60.0
LAST_TRY_S = 0.5

log = logging.getLogger("heartbeatd")


@dataclass(frozen=True, slots=True)
class App:
    """The agent by one configuration. A reload makes the next one."""

    config: Config
    runtime: Runtime
    store: BackgroundStore
    found: Start
    agent: AgentInfo
    probes: Probes
    pinger: Client
    heartbeat: Heartbeat | None
    outbox: Outbox | None
    notifier_keeps_copy: bool
    cycle: Cycle
    gaps: Gaps
    steps: Steps

    @property
    def interval_s(self) -> int:
        return self.config.agent.interval_seconds

    @property
    def longest_cycle_s(self) -> float:
        return self.config.longest_cycle_s

    def start(self) -> None:
        """Take up what was announced, and show the notifier what it goes by from now on."""
        self.cycle.start()
        if self.outbox is not None and self.notifier_keeps_copy:
            self.outbox.show_configuration()

    def run(self, tick: Tick) -> None:
        """One cycle, and what is to be told of the time before this run, if that can be told now."""
        self.steps.take("look at what was silenced", self.store.look)
        told = self.steps.take("tell how long nothing ran before this start", self.gaps.tell)
        self.cycle.run(tick, told or ())

    def reload(self, config: Config, path: Path) -> "App":
        """The agent by that configuration, which is the one in the file `path`, started in place of this one.

        Raises HeartbeatdError if it cannot be; then this one goes on as if nobody had asked: until all of the new one is there,
        nothing of this one is touched. Once it is there, it takes over, whatever fails in letting go of this one.
        """
        store = self.store if config.storage.path == self.config.storage.path else self._other_store(config, path)
        try:
            new = build(config, path, self.runtime, store, self.found)
        except BaseException:
            if store is not self.store:
                store.close()
            raise
        self._hand_over(new)
        if new.agent.host != self.agent.host:
            log.log(
                NOTICE,
                "this host goes by the name %s from now on; before, it was %s",
                new.agent.host,
                self.agent.host,
            )
        return new

    @property
    def news(self) -> bool:
        """Whether there may be an alert to deliver."""
        return self.outbox is not None and self.outbox.news

    @property
    def watched(self) -> Mapping[int, Callable[[], None]]:
        """The descriptors of the tries under way."""
        return self.outbox.watched if self.outbox is not None else {}

    def step(self) -> int:
        """Start what is due. When to come again at the latest (monotonic ns)."""
        after_ns = self.runtime.cancel.deadline(IDLE_S)
        if self.outbox is None:
            return after_ns
        return self.steps.take("deliver alerts", self.outbox.step) or after_ns

    def close(self) -> None:
        """Let go of everything; what could not be stored so far is stored now."""
        self._stop()
        self.store.close()

    def shift(self, by_ns: int) -> None:
        """The wall clock was stepped by `by_ns`."""
        self.runtime.shift(by_ns)
        self.cycle.shift(by_ns)

    def distrust(self) -> None:
        """Go on with no connection, and no late answer of the resolver, of the time before."""
        self.runtime.resolver.forget()
        self.runtime.service_names.forget()
        for kept in (self.pinger, self.heartbeat):
            if kept is not None:
                kept.distrust()

    def _hand_over(self, new: "App") -> None:
        """There is no way back from here, so no failed step hides the next."""
        if self.outbox is not None:
            new.steps.take("end the tries of the old configuration", partial(self._finish_tries, self.outbox))
        new.steps.take("close the connections of the old configuration", self._close_connections)
        if new.store is not self.store:
            new.steps.take("move to the other database", partial(self.store.move_to, new.store))
        new.steps.take("keep rows by the new configuration", partial(new.store.adjust, store_options(new.config)))
        new.steps.take("take up what was announced", new.start)

    def _finish_tries(self, outbox: Outbox) -> None:
        """An alert that is just being delivered need not be delivered again."""
        cancel = self.runtime.cancel
        cancel.wait(lambda: not outbox.watched, cancel.deadline(LAST_TRY_S), outbox.watched, when_cancelled=True)
        outbox.close()

    def _other_store(self, config: Config, path: Path) -> BackgroundStore:
        """Raises HeartbeatdError if it cannot be written now."""
        store = open_store(config, self.runtime)
        if store.error:
            store.close()
            raise ConfigError(Problem(f"{path}: storage.path", store.error))
        return store

    def _stop(self) -> None:
        """Let go of all but the store, with which the next one may go on."""
        if self.outbox is not None:
            self._finish_tries(self.outbox)
        self._close_connections()

    def _close_connections(self) -> None:
        for kept in (self.heartbeat, self.pinger):
            if kept is not None:
                kept.close()


def build(config: Config, path: Path, runtime: Runtime, store: BackgroundStore, found: Start) -> App:
    """All that runs by `config`, which is that of the file `path`, built and not started. Raises ConfigError.

    `found`: what this process found at its start.
    """
    agent, interval_s = components.agent_info(config, runtime), config.agent.interval_seconds
    heartbeat_url = redact_url(config.heartbeat.url)
    internet_url = redact_url(config.internet.url)
    probes, pinger = components.probes(config, runtime)
    heartbeat, channels = components.heartbeat(config, runtime), components.channels(config, path)
    heartbeats = Heartbeats(heartbeat, agent, runtime.sequence, runtime.clock, runtime.cancel)
    notifier = components.notifier(path)
    outbox = Outbox(channels, notifier, store, runtime.clock, runtime.boot_id, agent.locale) if channels else None
    holds = Holds(store.silences, runtime.thread("system"), runtime.cancel, runtime.boot_id)
    cycle = Cycle(
        Edges(probes, heartbeats, store, outbox, runtime.service, holds.held, holds.notes),
        all_rules(components.rule_settings(config, heartbeat_url, internet_url)),
        Reporter(agent, interval_s, internet_url, LogCycles(config.agent.log_cycles)),
        agent,
        heartbeat_url,
        runtime.clock,
        runtime.cancel,
    )
    options = GapOptions(interval_s, config.alerts.gap_alert_seconds)
    gaps = Gaps(
        *(store, found, runtime.clock, options, agent, heartbeat_url),
        notifies=outbox is not None,
        silenced=holds.covers,
    )
    kept = has_credentials_elsewhere(path)
    return App(config, runtime, store, found, agent, probes, pinger, heartbeat, outbox, kept, cycle, gaps, Steps())
