"""What this host is called."""

from collections.abc import Iterator

from heartbeatd.ctl.check.finding import Finding, ok
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.runtime import Runtime, host_name


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """The name in heartbeats and alerts. Whether it tells this host from others is one of the `remarks`."""
    config = situation.config
    origin = "agent.hostname" if config.agent.hostname else "the system's name"
    yield ok("host", f"this host is known as {host_name(config, runtime.names)} ({origin})")
