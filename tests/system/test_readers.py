"""As whom heartbeatctl reads, on an installed host: with the real user heartbeat, systemd, credentials and an agent that runs."""

import json

import pytest

from tests.support.receiver import WEBHOOK, WORKER, Receiver
from tests.system.conftest import configure, reporting
from tests.system.host import BootedHost

STATE = "/var/lib/heartbeat"
AS_HEARTBEAT = "setpriv --reuid=heartbeat --regid=heartbeat --init-groups"
AS_NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups"


@pytest.fixture
def other(installed: BootedHost, receiver: Receiver) -> str:
    """A second configuration, root's own, with the database of the first; and that database's folder, empty."""
    configure(installed, reporting(receiver, "k"))
    installed.run(f"rm -rf {STATE}; install -d -o heartbeat -g heartbeat -m 700 {STATE}")
    installed.run("install -m 600 /etc/heartbeat/config.toml /root/other.toml")
    return "/root/other.toml"


@pytest.mark.parametrize("verb", ["once --store", "status", "history", "test-alert"])
@pytest.mark.parametrize("planted", ["nologin metrics.db", "victim/metrics.db metrics.db"])
def test_root_follows_no_link_of_heartbeats(installed: BootedHost, other: str, verb: str, planted: str) -> None:
    """With any configuration: neither /etc/nologin, which would lock everybody out, nor another file of root's is made."""
    target, name = planted.split()
    installed.run(f"install -d /etc/victim; {AS_HEARTBEAT} ln -s /etc/{target} {STATE}/{name}")
    for config in ("", f"--config {other}"):
        done = installed.run(f"heartbeatctl {verb} {config}", check=False)
        if verb != "test-alert":
            assert done.returncode != 0
            assert "symbolic link" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert not installed.path("/etc/nologin").exists()
    assert list(installed.path("/etc/victim").iterdir()) == []


def test_root_reads_what_heartbeat_may(installed: BootedHost, other: str) -> None:
    """A database that is root's own is not read by root's rights: the agent could not read it either."""
    installed.run(f"heartbeatctl once --store; chown root:root {STATE}/metrics.db; chmod 600 {STATE}/metrics.db")
    for verb in ("status", "history"):
        for config in ("", f"--config {other}"):
            done = installed.run(f"heartbeatctl {verb} {config}", check=False)
            assert "the user heartbeat may not read it" in done.stdout + done.stderr
            assert done.returncode != 0


def test_what_root_stores_is_heartbeats(installed: BootedHost, other: str) -> None:
    """The agent can go on with it."""
    installed.run(f"heartbeatctl once --store; heartbeatctl once --store --config {other}; heartbeatctl history")
    assert set(installed.out(f"stat --format=%U {STATE}/*").splitlines()) == {"heartbeat"}


def test_who_has_no_rights_is_told_so_by_each_verb(installed: BootedHost, other: str) -> None:
    """In one line and with 77: nobody, and a member of the group heartbeat who cannot see the credentials."""
    installed.run("printf k | heartbeatctl set-secret --plain")
    toml = installed.path("/etc/heartbeat/config.toml")
    toml.write_text(toml.read_text().replace('secret_key = "k"\n', ""))
    member = "setpriv --reuid=nobody --regid=nogroup --groups=heartbeat"
    for who in (AS_NOBODY, member):
        for verb in (
            "check",
            "status",
            "status --json",
            "history",
            "once",
            "test-alert",
            "alerts",
            "set-secret",
        ):
            done = installed.run(f"{who} heartbeatctl {verb}", check=False)
            assert done.returncode == 77, (who, verb, done.stdout, done.stderr)
            (line,) = done.stderr.splitlines()
            assert line.startswith("heartbeatctl: not allowed: run it with sudo (")
    known = json.loads(installed.run(f"{AS_NOBODY} heartbeatctl status --json", check=False).stdout)
    assert known["service"]["active"] == "inactive"
    assert known["worker"]["configured"] is None
    assert known["alerts"]["queued"] is None
    installed.run("heartbeatctl set-secret --remove")


def test_the_service_as_status_shows_it(installed: BootedHost, other: str, receiver: Receiver) -> None:
    """No next slot while it is down; no alarm about an old row right after a start."""
    installed.run("heartbeatctl once --store; sleep 4")
    down = installed.run("heartbeatctl status", check=False)
    assert down.returncode == 3
    assert "next slot" not in down.stdout
    installed.run("systemctl start heartbeatd")
    up = installed.run("heartbeatctl status", check=False)
    assert "no newer row has been stored" not in up.stdout
    assert "next slot" in up.stdout
    installed.run("systemctl stop heartbeatd")
    configure(installed, "[agent]\nintervall = 1\n")
    installed.run("systemctl start heartbeatd", check=False)
    installed.wait_for("failed", lambda: installed.run("systemctl is-failed heartbeatd", check=False).returncode == 0)
    failed = installed.run("heartbeatctl status", check=False)
    assert failed.stdout.startswith("service     failed, ")
    assert "next slot" not in failed.stdout
    installed.run("systemctl reset-failed heartbeatd")


def test_alerts_by_hand(installed: BootedHost, other: str, receiver: Receiver) -> None:
    """A test goes past the queue, now or never; what waits is listed, tried again when told to, or dropped."""
    installed.run("systemctl restart heartbeatd")
    installed.wait_for("heartbeats", lambda: len(receiver.received(WORKER)) >= 2)
    receiver.answer(WEBHOOK, 404)
    receiver.answer(WORKER, 500)
    installed.wait_for("a failed try", lambda: "last try: " in installed.run("heartbeatctl status", check=False).stdout)
    failed = installed.run("heartbeatctl test-alert", check=False)
    assert failed.returncode == 1
    assert failed.stdout.startswith("webhook  not delivered: HTTP 404")
    assert [one["delivered"] for one in _alerts(installed)] == [None]
    assert "waits, " in installed.out("heartbeatctl alerts")
    assert "1 alert will be tried again" in installed.out("heartbeatctl alerts retry")
    receiver.answer(WEBHOOK, 200)
    assert installed.out("heartbeatctl test-alert") == "webhook  delivered (HTTP 200)"
    installed.wait_for("the alert", lambda: _queued(installed) == 0)
    assert sorted(_delivered(receiver)) == ["problem", "test"]
    receiver.answer(WEBHOOK, 404)
    receiver.answer(WORKER, 200)
    installed.wait_for("the recovery", lambda: _queued(installed) == 1)
    (recovery,) = [one for one in _alerts(installed) if not one["delivered"]]
    dropped = installed.out(f"heartbeatctl alerts drop {recovery['event_id'][-12:]}")
    assert dropped == "1 alert will not be sent"
    receiver.answer(WEBHOOK, 200)
    installed.wait_for("an empty queue", lambda: _queued(installed) == 0)
    assert installed.run("heartbeatctl alerts drop 0000", check=False).returncode == 1
    installed.run("systemctl stop heartbeatd")
    assert installed.out("heartbeatctl test-alert") == "webhook  delivered (HTTP 200)"
    assert sorted(_delivered(receiver)) == ["problem", "test", "test"]


def _alerts(host: BootedHost) -> list[dict[str, str]]:
    """As `heartbeatctl alerts` lists them for programs."""
    found: list[dict[str, str]] = json.loads(host.out("heartbeatctl alerts --json"))
    return found


def _delivered(receiver: Receiver) -> list[str]:
    """The events of what was answered 200."""
    return [alert.body["details"]["event"] for alert in receiver.received(WEBHOOK) if alert.answered == 200]


def _queued(host: BootedHost) -> int:
    told = json.loads(host.run("heartbeatctl status --json", check=False).stdout)
    queued: int = told["alerts"]["queued"]
    return queued
