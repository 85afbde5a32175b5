"""What is allowed in a configuration and may not be what was meant."""

from typing import Any

import pytest

from heartbeatd.config.load import parse
from heartbeatd.config.remarks import remarks

BEAT = {"url": "https://worker.example/", "secret_key": "hidden-key"}
GOOD: dict[str, dict[str, Any]] = {
    "heartbeat": BEAT,
    "alerts": {"webhook_url": "https://n8n.example/webhook/x", "alert_after": 2},
}
OPEN = "http://worker.example/"


def remarks_on(*, host: str = "kitchen", tells: bool = True, **sections: Any) -> list[str]:
    """The remarks on a good configuration with these changes."""
    mapping = {name: {**GOOD.get(name, {}), **sections.get(name, {})} for name in {**GOOD, **sections}}
    made = remarks(parse(mapping), host, tells=tells)
    assert "hidden" not in "".join(map(str, made))
    return [str(remark) for remark in made]


def test_nothing_to_remark_on() -> None:
    """Not even a path that only looks like the test address, or http to this host itself."""
    assert remarks_on() == []
    assert remarks_on(alerts={"webhook_url": "https://n8n.example/webhook/webhook-tests"}) == []


@pytest.mark.parametrize(
    ("sections", "key", "text"),
    [
        ({"heartbeat": {"url": ""}}, "heartbeat.url", "no heartbeats are sent"),
        ({"alerts": {"webhook_url": "http://127.0.0.1:5678/webhook-test/x"}}, "alerts.webhook_url", "works once"),
        ({"alerts": {"webhook_url": "https://n8n.example/n8n/webhook-test/x"}}, "alerts.webhook_url", "Production URL"),
        ({"heartbeat": {"url": OPEN}}, "heartbeat.url", "the key goes over the network in the clear"),
        ({"heartbeat": {"url": "http://192.0.2.10:8787/"}}, "heartbeat.url", "in the clear"),
        ({"heartbeat": {"url": "http://[2001:db8::1]/"}}, "heartbeat.url", "in the clear"),
        ({"heartbeat": {"url": "http://127.0.0.1.evil.example/"}}, "heartbeat.url", "in the clear"),
        ({"alerts": {"webhook_url": "http://u:hidden@n8n.example/x"}}, "alerts.webhook_url", "its password goes"),
        ({"alerts": {"webhook_url": "http://n8n.example/x?token=hidden"}}, "alerts.webhook_url", "its query goes"),
        ({"internet": {"url": "http://u:hidden@site.example/"}}, "internet.url", "its password goes"),
        ({"heartbeat": {"timeout_seconds": 9}}, "agent.interval_seconds", "slots will be missed"),
        ({"alerts": {"alert_after": 1}}, "alerts.alert_after", "a single lost heartbeat is announced"),
    ],
)
def test_a_remark(sections: dict[str, Any], key: str, text: str) -> None:
    """One, that names the setting."""
    (remark,) = remarks_on(**sections)
    assert remark.startswith(f"{key}: ")
    assert text in remark


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "x.localhost", "127.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_what_stays_on_this_host_is_not_in_the_clear(host: str) -> None:
    """A loopback by name or address."""
    alerts = {"webhook_url": f"http://u:hidden@{host}:5678/webhook/x?y=hidden"}
    assert remarks_on(heartbeat={"url": f"http://{host}:8787/"}, alerts=alerts) == []


def test_http_without_a_secret_is_nothing_to_remark_on() -> None:
    """The shipped internet check is plain http, and so may a webhook be that has none."""
    assert remarks_on(alerts={"webhook_url": "http://n8n.example/webhook/x"}) == []


def test_a_name_that_does_not_identify() -> None:
    """Of several hosts with the same one, alerts cannot be told apart."""
    (remark,) = remarks_on(host="raspberrypi")
    assert remark.startswith("agent.hostname: this host is called raspberrypi")
