"""Stops, crashes, reboots and power cuts of booted Debians, and what the webhook is told of them after the next start."""

import math
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from tests.support.receiver import WEBHOOK, Received, Receiver
from tests.system.conftest import configure, reporting, state, wait_active, wait_copied, wait_cycle
from tests.system.host import BootedHost


@pytest.fixture
def watched(installed: BootedHost, receiver: Receiver) -> Iterator[BootedHost]:
    """A host whose enabled agent has stored rows, and tells of every gap of more than two seconds."""
    configure(installed, reporting(receiver, "k").replace("[alerts]\n", "[alerts]\ngap_alert_seconds = 2\n"))
    installed.run("systemctl stop heartbeatd; rm -rf /var/lib/heartbeat/*; systemctl enable --now heartbeatd")
    wait_active(installed)
    installed.wait_for(
        "rows", lambda: installed.run(f"sqlite3 -readonly {DATABASE} '{ROWS}'", check=False).stdout > "1"
    )
    yield installed
    installed.run("systemctl stop heartbeatd")


DATABASE = "/var/lib/heartbeat/metrics.db"
ROWS = "SELECT count(*) FROM metrics"


def the_gap(host: BootedHost, receiver: Receiver) -> Received:
    """The one alert there is, which is of a gap, and of no worker."""
    host.wait_for("the gap", lambda: receiver.received(WEBHOOK))
    (alert,) = receiver.received(WEBHOOK)
    details = alert.body["details"]
    assert details["event"] == "gap"
    assert 2 < details["duration_seconds"] < 60
    return alert


def test_a_stop_by_the_administrator(watched: BootedHost, receiver: Receiver) -> None:
    """Stopped and started again: `stopped`, about the agent."""
    watched.run("systemctl stop heartbeatd; sleep 3; systemctl start heartbeatd")
    alert = the_gap(watched, receiver)
    assert (alert.body["details"]["subject"], alert.body["details"]["cause"]) == ("agent", "stopped")
    assert "stopped by the administrator" in alert.body["message"]
    assert not watched.path("/var/lib/heartbeat/last-stop").exists()


def test_a_crash(watched: BootedHost, receiver: Receiver) -> None:
    """Killed, and started again by systemd after five seconds: `crash`, with systemd's word for it."""
    watched.run("kill -SEGV $(systemctl show --property=MainPID --value heartbeatd)")
    alert = the_gap(watched, receiver)
    assert (alert.body["details"]["subject"], alert.body["details"]["cause"]) == ("agent", "crash")
    assert "core-dump" in alert.body["title"] or "signal" in alert.body["title"]


@pytest.mark.parametrize(
    ("end", "cause", "words"),
    [
        (BootedHost.power_off, "shutdown", "shut down in good order"),
        (BootedHost.power_cut, "power loss or crash", "unclean"),
    ],
    ids=["a reboot in good order", "a power cut"],
)
def test_the_host_goes_down(
    watched: BootedHost, receiver: Receiver, end: Callable[[BootedHost], None], cause: str, words: str
) -> None:
    """Off for two seconds, and booted: how it ended, about the host."""
    # nspawn is a container: with systemd 252 the sandbox has a /proc of its own, and in that the boot id of the machine outside.
    dropins = "/etc/systemd/system/heartbeatd.service.d"
    # On a new database: on a busy machine the restart itself may be long enough to be told.
    watched.run(
        f"systemctl stop heartbeatd; rm -rf /var/lib/heartbeat/*; mkdir -p {dropins}; "
        f"cp /usr/share/doc/heartbeatd/examples/systemd/lxc.conf {dropins}; "
        "systemctl daemon-reload; systemctl start heartbeatd"
    )
    wait_cycle(watched)
    end(watched)
    time.sleep(2)
    watched.boot_again()
    alert = the_gap(watched, receiver)
    assert (alert.body["details"]["subject"], alert.body["details"]["cause"]) == ("host", cause)
    assert words in f"{alert.body['title']} {alert.body['message']}"


def test_a_restart_is_no_gap(watched: BootedHost, receiver: Receiver) -> None:
    """A restart, as an upgrade makes one, tells nobody, and loses no more slots than it takes seconds."""
    # With the limit a few slots up, as the default is: how long a restart takes is the machine's affair.
    configure(watched, reporting(receiver, "k").replace("[alerts]\n", "[alerts]\ngap_alert_seconds = 30\n"))
    before_s = time.monotonic()
    watched.run("systemctl restart heartbeatd")
    took_s = time.monotonic() - before_s
    time.sleep(4)
    assert receiver.received(WEBHOOK) == []
    seconds = "SELECT DISTINCT strftime('%s', timestamp_lima) FROM metrics ORDER BY 1 DESC LIMIT 8"
    slots = [int(line) for line in watched.out(f'sqlite3 -readonly {DATABASE} "{seconds}"').splitlines()]
    assert max(a - b for a, b in pairwise(slots)) <= 2 + math.ceil(took_s)


def test_an_agent_that_is_given_up_is_told_of(watched: BootedHost, receiver: Receiver) -> None:
    """A configuration that is refused ends the agent for good: the webhook is told by heartbeatd-failed.service."""
    wait_copied(watched)
    configure(watched, reporting(receiver, "k") + "nonsense =\n")
    watched.run("systemctl restart heartbeatd", check=False)
    watched.wait_for("the failure", lambda: receiver.received(WEBHOOK))
    (alert,) = receiver.received(WEBHOOK)
    assert alert.body["details"]["event"] == "failure"
    assert "configuration refused" in alert.body["title"]
    assert state(watched, "ActiveState") == "failed"
    watched.wait_for(
        "its end", lambda: watched.out("systemctl show --property=Result --value heartbeatd-failed") == "success"
    )
    verified = watched.run("systemd-analyze verify --man=no heartbeatd-failed.service")
    assert verified.stdout + verified.stderr == ""
