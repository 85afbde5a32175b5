"""Whether the names in the configuration can be resolved."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from heartbeatd.config import Config
from heartbeatd.ctl.check.finding import Finding, error, ok, warning
from heartbeatd.net.answer import NoAnswer
from heartbeatd.process import Process
from heartbeatd.waiting import seconds_from_now


def look(config: Config, process: Process) -> Iterator[Finding]:
    """Each host that would be asked."""
    urls = {
        "heartbeat.url": config.heartbeat.url,
        "alerts.webhook_url": config.alerts.webhook_url.reveal(),
        "internet.url": config.internet.url,
    }
    for key, url in urls.items():
        parts = urlsplit(url)
        if not parts.hostname:
            continue
        try:
            found = process.resolver.lookup(parts.hostname, parts.port or 443, seconds_from_now(5), process.waiter)
        except NoAnswer as failed:
            bad = warning if key == "internet.url" else error
            yield bad("names", f"{key}: {failed.detail}", "look at the name, /etc/resolv.conf and `resolvectl status`")
        else:
            yield ok("names", f"{key}: {parts.hostname} is {', '.join(sorted({a.sockaddr[0] for a in found}))}")
