"""From a `Config` to its clients and probes, one at a time: for the agent, and for the commands that try what it would use."""

from heartbeatd import __version__
from heartbeatd.config.model import Config
from heartbeatd.core.payload import AgentInfo
from heartbeatd.net.heartbeat import Heartbeat
from heartbeatd.net.http import Client
from heartbeatd.notify.webhook import Webhook
from heartbeatd.probes.containers import Containers
from heartbeatd.probes.host import Disk
from heartbeatd.probes.internet import Internet
from heartbeatd.probes.registry import Probes, Timeouts
from heartbeatd.runtime import Runtime, host_name

DISK_TIMEOUT_S = 1.0
USER_AGENT = f"heartbeatd/{__version__}"


def agent_info(config: Config, runtime: Runtime) -> AgentInfo:
    return AgentInfo(host_name(config, runtime.names), __version__, runtime.started_ns, config.agent.timezone)


def probes(config: Config, runtime: Runtime) -> tuple[Probes, Client]:
    """The probes, and the client the internet check uses."""
    client = Client(runtime.resolver, USER_AGENT)
    found = Probes(
        Disk(runtime.lane("disk")),
        Containers(runtime.lane("docker"), config.docker.socket),
        Internet(client, config.internet.url),
        Timeouts(config.internet.timeout_seconds, config.docker.timeout_seconds, DISK_TIMEOUT_S),
    )
    return found, client


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
