"""Whether the internet check gets an answer."""

from collections.abc import Iterator

from heartbeatd import wiring
from heartbeatd.config import Config
from heartbeatd.core.redact import shown_url
from heartbeatd.ctl.check.finding import Finding, ok, warning
from heartbeatd.net.answer import NoAnswer
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target
from heartbeatd.process import Process


def look(config: Config, process: Process) -> Iterator[Finding]:
    """Asked as in each cycle."""
    url = config.internet.url
    client, shown = Client(process.resolver, wiring.USER_AGENT), shown_url(url)
    try:
        answer = client.send(Request("HEAD", Target.of(url)), config.internet.timeout_seconds, process.waiter)
    except NoAnswer as failed:
        yield warning("internet", f"{shown}: {failed}", "is this host online? if it is, choose another internet.url")
    else:
        yield ok(
            "internet", f"{shown} is reachable (it answers HEAD with HTTP {answer.status}, {answer.took_ms:.0f} ms)"
        )
    finally:
        client.close()
