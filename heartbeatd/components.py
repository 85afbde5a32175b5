"""From a `Config` to its clients and probes, one at a time: for the agent, and for the commands that try what it would use."""

from heartbeatd import __version__
from heartbeatd.config.model import Config
from heartbeatd.core.payload import AgentInfo
from heartbeatd.net.heartbeat import Heartbeat
from heartbeatd.net.http import Client
from heartbeatd.notify.webhook import Webhook
from heartbeatd.probes import registry
from heartbeatd.probes.collector import Probes
from heartbeatd.runtime import Runtime, host_name

USER_AGENT = f"heartbeatd/{__version__}"


def agent_info(config: Config, runtime: Runtime) -> AgentInfo:
    return AgentInfo(host_name(config, runtime.names), __version__, runtime.started_ns, config.agent.timezone)


def probes(config: Config, runtime: Runtime) -> tuple[Probes, Client]:
    """The probes, and the client the internet check uses."""
    client = Client(runtime.resolver, USER_AGENT)
    return Probes(registry.table(config, client, runtime.thread)), client


def heartbeat(config: Config, runtime: Runtime) -> Heartbeat | None:
    """The heartbeat, or None if no Worker is configured. Raises ConfigError if `heartbeat.ca_file` cannot be used."""
    settings = config.heartbeat
    if not settings.url:
        return None
    client = Client(runtime.resolver, USER_AGENT, settings.ca_file)
    return Heartbeat(client, settings.url, settings.secret_key.reveal(), settings.timeout_seconds)


def webhook(config: Config, runtime: Runtime) -> Webhook | None:
    """The webhook, or None if none is configured."""
    url = config.alerts.webhook_url.reveal()
    return Webhook(Client(runtime.resolver, USER_AGENT), url, config.alerts.timeout_seconds) if url else None
