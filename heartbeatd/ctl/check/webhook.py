"""Whether the webhook is there: it is asked, and nothing is started by that."""

from collections.abc import Iterator

from heartbeatd import wiring
from heartbeatd.config import Config
from heartbeatd.core.redact import shown_url
from heartbeatd.ctl.check.finding import Finding, error, ok, warning
from heartbeatd.net.answer import NoAnswer
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target
from heartbeatd.process import Process


def look(config: Config, process: Process) -> Iterator[Finding]:
    """OPTIONS starts no workflow, and any HTTP answer shows that somebody listens."""
    url = config.alerts.webhook_url.reveal()
    if not url:
        yield warning(
            "webhook", "alerts.webhook_url is not set: changes of the Worker are only logged", "set alerts.webhook_url"
        )
        return
    client, shown = Client(process.resolver, wiring.USER_AGENT), shown_url(url)
    try:
        answer = client.send(Request("OPTIONS", Target.of(url)), config.alerts.timeout_seconds, process.waiter)
    except NoAnswer as failed:
        yield error("webhook", f"{shown}: {failed}", "is n8n up, and alerts.webhook_url right?")
    else:
        yield ok(
            "webhook",
            f"{shown} is reachable (it answers OPTIONS with HTTP {answer.status}, {answer.took_ms:.0f} ms)",
            "`heartbeatctl test-alert` sends a real message",
        )
    finally:
        client.close()
