"""Whether the internet check passes."""

from collections.abc import Iterator

from heartbeatd import components
from heartbeatd.core.redact import redact_url
from heartbeatd.ctl.check.finding import Finding, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.net.http import Client
from heartbeatd.probes.internet import Internet, Ping
from heartbeatd.runtime import Runtime


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """Asked and judged as in each cycle."""
    settings = situation.config.internet
    client = Client(runtime.resolver, components.USER_AGENT)
    try:
        ping = Internet(client, settings.url).check(settings.timeout_seconds, runtime.cancel)
    finally:
        client.close()
    yield classify(redact_url(settings.url), ping)


def classify(shown: str, ping: Ping) -> Finding:
    """`shown` is the address without its secrets."""
    if ping.ok:
        return ok("internet", f"{shown} is reachable (it answered within {ping.ms:.0f} ms)")
    hint = "is this host online? If it is, choose another internet.url"
    if ping.detail.startswith("HTTP"):
        hint = "choose another internet.url: only an answer of 2xx or 3xx counts as reachable"
    return warning("internet", f"{shown}: {ping.detail}, which counts as no internet", hint)
