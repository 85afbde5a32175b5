"""From a `Config` to its clients and probes, one at a time: for the agent, and for the commands that try what it would use."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from heartbeatd import __version__
from heartbeatd.catalogs import catalog
from heartbeatd.config.model import Config
from heartbeatd.config.notified import apprise_channels, has_credentials_elsewhere, may_have_webhook, webhook_channel
from heartbeatd.config.services import service_of
from heartbeatd.config.watching import limit_of
from heartbeatd.core.delivery import Channel
from heartbeatd.core.locale import Locale
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.policy import Policy
from heartbeatd.core.rule import RuleSettings
from heartbeatd.core.sample import Sample
from heartbeatd.net.heartbeat import Heartbeat
from heartbeatd.net.http import Client
from heartbeatd.notify.client import Notifier, SocketNotifier, SpawningNotifier
from heartbeatd.probes import registry
from heartbeatd.probes.collector import Probes
from heartbeatd.probes.service_checker import Checker
from heartbeatd.probes.services import Beside, Services
from heartbeatd.runtime import Runtime, host_name

USER_AGENT = f"heartbeatd/{__version__}"


def agent_info(config: Config, runtime: Runtime) -> AgentInfo:
    locale = Locale(config.agent.timezone, catalog(config.alerts.language))
    return AgentInfo(host_name(config, runtime.names), __version__, runtime.started_ns, locale)


def probes(config: Config, runtime: Runtime, *, with_services: bool = True) -> tuple[Probes, Client]:
    """The probes, and the client the internet check uses."""
    client = Client(runtime.resolver, USER_AGENT)
    looked_at = services(config, runtime) if with_services else None
    return Probes(registry.table(config, client, runtime.thread, looked_at)), client


def look_at_services(config: Config, runtime: Runtime, sample: Sample) -> Sample:
    """`sample`, with one look at each service, whose end is waited for."""
    make = services(config, runtime)
    if make is None:
        return sample
    found = make(Beside(lambda: sample.internet_ok is False, lambda: sample.containers)).all_now(runtime.cancel)
    return replace(sample, services=found, service_checks=found)


def services(config: Config, runtime: Runtime) -> Callable[[Beside], Services] | None:
    """What makes the probe of services; None without any."""
    if not config.services:
        return None
    checker = Checker(runtime.service_names, USER_AGENT, runtime.clock)
    watched = tuple(map(service_of, config.services))
    return lambda beside: Services(watched, runtime.services, checker, runtime.clock, beside)


def heartbeat(config: Config, runtime: Runtime) -> Heartbeat | None:
    """The heartbeat, or None if no Worker is configured. Raises ConfigError if `heartbeat.ca_file` cannot be used."""
    settings = config.heartbeat
    if not settings.url:
        return None
    client = Client(runtime.resolver, USER_AGENT, settings.ca_file)
    return Heartbeat(client, settings.url, settings.secret_key.reveal(), settings.timeout_seconds)


def rule_settings(config: Config, heartbeat_url: str, internet_url: str) -> RuleSettings:
    """What the rules are made from; the URLs are fit to be shown."""
    alerts = config.alerts
    return RuleSettings(
        Policy(alerts.alert_after, alerts.recover_after),
        heartbeat_url,
        internet_url,
        config.agent.interval_seconds,
        tuple(map(limit_of, config.rules)),
        registry.watched_containers(config),
        tuple(map(service_of, config.services)),
        registry.watched_units(config),
    )


def channels(config: Config, config_file: Path) -> tuple[Channel, ...]:
    """Where notifications go: the webhook, and each section [[channel]]. Where there is no webhook, the first try says so."""
    webhook = (webhook_channel(config.alerts),) if may_have_webhook(config, config_file) else ()
    return webhook + apprise_channels(config.channels)


def notifier(config_file: Path) -> Notifier:
    """What delivers: systemd's, which goes by the system's own configuration; a child of this process for any other."""
    if has_credentials_elsewhere(config_file):
        return SocketNotifier(SpawningNotifier(config_file, stands_in=True))
    return SpawningNotifier(config_file)
