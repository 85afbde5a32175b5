"""What is allowed in a configuration and may not be what was meant. Said at each load, and by `heartbeatctl check`."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from heartbeatd.config.model import Config
from heartbeatd.core.hostname import unhelpful_name
from heartbeatd.errors import Problem

TEST_PATH = "webhook-test"  # n8n's, unless N8N_ENDPOINT_WEBHOOK_TEST says otherwise
_LOOPBACK = r"(::ffff:)?127(\.[0-9]+){1,3}|::1"


def remarks(config: Config, host: str, *, tells: bool) -> tuple[Problem, ...]:
    """Each with the setting it is about; `host` is the name this host goes by, `tells` whether there may be a channel."""
    return (*_sent(config, tells=tells), *_in_the_clear(config), *_timing(config), *_name(host))


def _sent(config: Config, *, tells: bool) -> Iterator[Problem]:
    """So that nobody waits for heartbeats or alerts that were never asked for."""
    webhook = config.alerts.webhook_url.reveal()
    if not config.heartbeat.url:
        yield Problem(
            "heartbeat.url",
            "not set: measuring and storing only, no heartbeats are sent",
            "set heartbeat.url and a key",
        )
    elif not tells:
        yield nowhere()
    yield from test_address(webhook)


def test_address(webhook: str) -> Iterator[Problem]:
    """If the webhook's URL is n8n's for a test."""
    if TEST_PATH in urlsplit(webhook).path.split("/"):
        yield Problem(
            "alerts.webhook_url",
            "this is n8n's test address, which works once, and only while somebody listens in the editor",
            "use the Production URL of the Webhook node (/webhook/ in place of /webhook-test/), and activate the workflow",
        )


def nowhere() -> Problem:
    """There is neither a webhook nor another channel."""
    return Problem("alerts.webhook_url", "not set: changes of the Worker are only logged", "set alerts.webhook_url")


def _in_the_clear(config: Config) -> Iterator[Problem]:
    """Secrets that everybody on the way can read."""
    if _is_open(config.heartbeat.url) and config.heartbeat.secret_key:
        yield Problem("heartbeat.url", "the key goes over the network in the clear", "use https:// in heartbeat.url")
    for key, url in (("alerts.webhook_url", config.alerts.webhook_url.reveal()), ("internet.url", config.internet.url)):
        parts = urlsplit(url)
        if _is_open(url) and (parts.username or parts.password or parts.query):
            held = "password" if parts.username or parts.password else "query"
            yield Problem(key, f"its {held} goes over the network in the clear", f"use https:// in {key}")


def _timing(config: Config) -> Iterator[Problem]:
    if config.longest_cycle_s >= config.agent.interval_seconds:
        yield Problem(
            "agent.interval_seconds",
            f"{config.agent.interval_seconds}, and a cycle may wait {config.longest_cycle_s:g} s: slots will be missed when "
            "others are slow",
            "lower heartbeat.timeout_seconds, internet.timeout_seconds or docker.timeout_seconds",
        )
    if config.alerts.alert_after == 1:
        yield Problem("alerts.alert_after", "1: a single lost heartbeat is announced", "2 waits for a second one")


def _name(host: str) -> Iterator[Problem]:
    if unhelpful_name(host):
        yield Problem(
            "agent.hostname",
            f"this host is called {host}",
            "set it, or alerts of several hosts cannot be told apart",
        )


def _is_open(url: str) -> bool:
    """True for http to anywhere but this host."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    name = host.rstrip(".")
    return name == "localhost" or name.endswith(".localhost") or re.fullmatch(_LOOPBACK, host) is not None
