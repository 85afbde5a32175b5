"""A service that stops is told once, in time and with a reason, from the agent's sandbox; and its recovery with its length."""

import json
from typing import Any

import pytest

from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.system.conftest import configure, reporting
from tests.system.host import BootedHost

SERVE = "systemd-run --quiet --collect --unit=shop python3 -m http.server --bind 127.0.0.1 --directory /srv/shop 8099"
SERVICES = """
[[service]]
name = "shop"
check = "http://127.0.0.1:8099/"
text = "it is ok"
every = "1s"
timeout = "1s"
for = "3s"
[[service]]
name = "bus"
check = "unit:dbus.service"
every = "1s"
timeout = "1s"
[[service]]
name = "broken"
check = "unit:broken.service"
every = "1s"
timeout = "1s"
for = "1s"
"""


@pytest.fixture
def host(installed: BootedHost, receiver: Receiver) -> BootedHost:
    """A host whose agent watches a web server, a unit that runs, and one that is made to fail."""
    installed.run("systemctl stop heartbeatd shop broken || true; systemctl reset-failed; mkdir -p /srv/shop")
    installed.run("rm --force /var/lib/heartbeat/*")
    installed.path("/srv/shop/index.html").write_text("it is ok")
    installed.run(SERVE)
    installed.run("systemd-run --quiet --unit=broken sleep infinity")
    configure(installed, reporting(receiver, "key") + SERVICES)
    installed.run("systemctl start heartbeatd")
    return installed


def test_a_service_that_stops(host: BootedHost, receiver: Receiver) -> None:
    """One alert within its time and what a check takes, one recovery; heartbeats, status and check say the same."""
    healthy = {name: {"status": "healthy"} for name in ("shop", "bus", "broken")}
    host.wait_for("health", lambda: beats(receiver) and beats(receiver)[-1] == healthy)
    said = host.out("heartbeatctl check", timeout_s=90)
    assert "ok       services       bus (unit:dbus.service) is healthy" in said
    assert "ok       services       shop (http://127.0.0.1:8099/) is healthy" in said
    host.run("systemctl stop shop")
    host.wait_for("the alert", lambda: alerts(receiver), timeout_s=20)
    (told,) = alerts(receiver)
    assert told["details"]["subject"] == "service:shop"
    assert (told["details"]["current"], told["details"]["cause"]) == ("down", "refused")
    assert "No connection to http://127.0.0.1:8099/ can be made (Connection refused)." in told["message"]
    assert beats(receiver)[-1] == {**healthy, "shop": {"status": "down"}}
    assert (
        json.loads(host.run("heartbeatctl status --json", check=False).stdout)["services"]["shop"]["status"] == "down"
    )
    host.run(SERVE)
    host.wait_for("the recovery", lambda: len(alerts(receiver)) > 1)
    recovery = alerts(receiver)[1]["details"]
    assert (recovery["event"], recovery["subject"], recovery["current"]) == ("recovery", "service:shop", "ok")
    assert 1 <= recovery["duration_seconds"] <= 60
    seen = len(beats(receiver))
    host.wait_for("more cycles", lambda: len(beats(receiver)) > seen + 5)
    assert len(alerts(receiver)) == 2


def test_a_unit_that_fails(host: BootedHost, receiver: Receiver) -> None:
    """Is told with systemd's own word for why; the agent needs no right for that."""
    host.wait_for("health", lambda: beats(receiver) and len(beats(receiver)[-1]) == 3)
    host.run("systemctl kill --signal=SEGV broken")
    host.wait_for("the alert", lambda: alerts(receiver))
    (told,) = alerts(receiver)
    assert (told["details"]["subject"], told["details"]["current"]) == ("service:broken", "error")
    assert "systemd says of unit:broken.service: failed, signal." in told["message"] or "core-dump" in told["message"]
    assert "warning  rules          unit:other.service: unit other.service has failed" in host.out(
        "systemd-run --quiet --unit=other false; sleep 1; heartbeatctl check", timeout_s=90
    )
    host.run("systemctl reset-failed")


def beats(receiver: Receiver) -> list[dict[str, dict[str, str]]]:
    """The services in each heartbeat."""
    return [beat.body["services"] for beat in receiver.received(WORKER)]


def alerts(receiver: Receiver) -> list[dict[str, Any]]:
    """What was told."""
    return [alert.body for alert in receiver.received(WEBHOOK)]
