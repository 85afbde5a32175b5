"""The service under a real systemd: starting, reloading, dying, hanging, stopping."""

import re
import time
from typing import Any

import pytest

from tests.support.receiver import SILENCE, WEBHOOK, WORKER, Receiver
from tests.system.conftest import MEASURE_ONLY, configure, state, wait_active
from tests.system.host import BootedHost

DROP_IN = "/run/systemd/system/heartbeatd.service.d/test.conf"


@pytest.fixture
def running(installed: BootedHost) -> BootedHost:
    """A host on which the service runs, every second, with no counts of earlier tests."""
    configure(installed, MEASURE_ONLY)
    installed.run("systemctl stop heartbeatd; systemctl reset-failed heartbeatd || true; systemctl start heartbeatd")
    return installed


@pytest.mark.timing
def test_it_is_ready_in_well_under_a_second(installed: BootedHost) -> None:
    """From `systemctl start` to READY=1 takes less than a second, on a machine that has other things to do as well."""
    configure(installed, MEASURE_ONLY)
    began = time.monotonic()
    installed.run("systemctl start heartbeatd")
    assert time.monotonic() - began < 1
    assert state(installed, "ActiveState") == "active"


def test_status_says_what_the_last_cycle_saw(running: BootedHost) -> None:
    """`systemctl status` shows one live line that goes on from cycle to cycle."""
    running.wait_for("a first cycle", lambda: "waiting for the first" not in state(running, "StatusText"))
    first = state(running, "StatusText")
    assert "next" in first
    assert f'Status: "{first[:20]}' in running.out("systemctl status heartbeatd") or first != state(
        running, "StatusText"
    )
    running.wait_for("another status", lambda: state(running, "StatusText") != first)


def test_the_journal_has_a_line_with_fields_for_each_cycle(running: BootedHost) -> None:
    """Each cycle is one entry of heartbeatd with HEARTBEAT_* fields, which journalctl can be asked for and can explain."""
    running.wait_for("three cycles", lambda: len(cycles(running)) >= 3)
    assert all(0 <= float(value) <= 100 for value in cycles(running))
    assert "the values are in the HEARTBEAT_ fields of this entry" in running.journal("--unit=heartbeatd", "--catalog")


def test_what_it_measures_is_the_host(running: BootedHost) -> None:
    """Inside the sandbox the figures are those of the host: its root filesystem and its memory, as root sees them."""
    running.wait_for("a cycle", lambda: cycles(running))
    disk, ram = running.out(
        "python3 -c 'import psutil; print(psutil.disk_usage(\"/\").percent, psutil.virtual_memory().percent)'"
    ).split()
    query = "SELECT disk_percent, ram_percent FROM metrics ORDER BY rowid DESC LIMIT 1"
    row = running.out(f"sqlite3 -readonly -separator ' ' /var/lib/heartbeat/metrics.db '{query}'").split()
    assert float(row[0]) == pytest.approx(float(disk), abs=1)
    assert float(row[1]) == pytest.approx(float(ram), abs=5)


def test_reload_takes_a_good_file(running: BootedHost) -> None:
    """`systemctl reload` puts a changed file into force in the same process."""
    pid = state(running, "MainPID")
    configure(running, MEASURE_ONLY.replace("interval_seconds = 1", "interval_seconds = 2"))
    running.run("systemctl reload heartbeatd")
    running.wait_for("the word of it", lambda: "configuration reloaded" in running.journal("--unit=heartbeatd"))
    assert state(running, "MainPID") == pid
    assert state(running, "ActiveState") == "active"


def test_reload_refuses_a_bad_file(running: BootedHost) -> None:
    """`systemctl reload` fails on a bad file, the journal says why, once, and the service goes on with what it had."""
    pid = state(running, "MainPID")
    configure(running, MEASURE_ONLY.replace("interval_seconds", "intervall_seconds"))
    assert running.run("systemctl reload heartbeatd", check=False).returncode != 0
    assert running.journal("--unit=heartbeatd", "--lines=20").count("agent.intervall_seconds") == 1
    assert state(running, "MainPID") == pid
    assert state(running, "ActiveState") == "active"
    before = len(cycles(running))
    running.wait_for("more cycles", lambda: len(cycles(running)) > before + 1)


def test_a_killed_daemon_is_started_again(running: BootedHost) -> None:
    """After SIGKILL systemd starts the daemon anew within seconds."""
    running.run("systemctl kill --signal=KILL heartbeatd")
    running.wait_for("a restart", lambda: state(running, "NRestarts") == "1")
    wait_active(running)


def test_a_hanging_daemon_is_ended_and_leaves_its_stacks(running: BootedHost) -> None:
    """A daemon that stops finishing cycles is aborted by the watchdog, leaves the stack of each thread, and is started again."""
    running.path(DROP_IN).parent.mkdir(parents=True, exist_ok=True)
    running.path(DROP_IN).write_text("[Service]\nWatchdogSec=4s\n")
    running.run("systemctl daemon-reload; systemctl restart heartbeatd; sleep 5")
    assert state(running, "NRestarts") == "0"  # while it runs, it satisfies even so short a watchdog
    running.run("kill -STOP $(systemctl show --property=MainPID --value heartbeatd)")
    running.wait_for("a restart", lambda: state(running, "NRestarts") == "1")
    wait_active(running)
    running.run(f"rm {DROP_IN}; systemctl daemon-reload")
    said = running.journal("--unit=heartbeatd")
    assert "Watchdog timeout" in said
    assert "Fatal Python error: Aborted" in said
    assert re.search(r'File ".*/heartbeatd/loop\.py", line \d+ in run', said)


def test_a_refused_file_keeps_it_down(running: BootedHost) -> None:
    """With a bad file the daemon ends with status 78, says all that is wrong, and systemd does not start it again."""
    configure(running, '[agent]\ninterval_seconds = 7\n[heartbeat]\ntimeout_seconds = "long"\n')
    assert running.run("systemctl restart heartbeatd", check=False).returncode != 0
    assert state(running, "ExecMainStatus") == "78"
    time.sleep(6)  # RestartSec= is 5 s
    assert state(running, "ActiveState") == "failed"
    assert state(running, "NRestarts") == "0"
    said = running.journal("--unit=heartbeatd", "--lines=20")
    assert "interval_seconds" in said
    assert "timeout_seconds" in said


@pytest.mark.timing
def test_it_stops_within_two_seconds_while_a_request_hangs(running: BootedHost, receiver: Receiver) -> None:
    """`systemctl stop` takes less than two seconds although the Worker never answers, and counts as a clean end."""
    receiver.answer(WORKER, SILENCE)
    slow = f'[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\ntimeout_seconds = 30\n'
    configure(running, MEASURE_ONLY + slow)
    running.run("systemctl restart heartbeatd")
    running.wait_for("a request that hangs", lambda: receiver.received(WORKER))
    began = time.monotonic()
    running.run("systemctl stop heartbeatd")
    assert time.monotonic() - began < 2
    assert state(running, "Result") == "success"
    assert state(running, "ActiveState") == "inactive"


def told(receiver: Receiver) -> list[dict[str, Any]]:
    """The details of the alerts received; the first may be that an agent which an earlier test had fail runs again."""
    return [alert.body["details"] for alert in receiver.received(WEBHOOK)]


def test_a_worker_may_be_slower_than_the_watchdog(running: BootedHost, receiver: Receiver) -> None:
    """A watchdog of 3 s and a Worker that is given 6: it lives, and the outage is announced."""
    receiver.answer(WORKER, 200, SILENCE)
    running.path(DROP_IN).parent.mkdir(parents=True, exist_ok=True)
    running.path(DROP_IN).write_text("[Service]\nWatchdogSec=3s\n")
    worker = f'[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\ntimeout_seconds = 6\n'
    configure(running, f'{MEASURE_ONLY}{worker}[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n')
    running.run("systemctl daemon-reload; systemctl restart heartbeatd")
    running.wait_for("the problem", lambda: [x for x in told(receiver) if x["event"] == "problem"])
    assert [x["cause"] for x in told(receiver) if x["event"] == "problem"] == ["timeout"]
    assert state(running, "NRestarts") == "0"
    running.run(f"systemctl stop heartbeatd; rm {DROP_IN}; systemctl daemon-reload")
    assert state(running, "Result") == "success"


def test_the_host_is_renamed(running: BootedHost, receiver: Receiver) -> None:
    """hostnamectl, and a reload: the next heartbeat carries the new name, although the sandbox has a copy of the old one."""
    configure(running, f'{MEASURE_ONLY}[heartbeat]\nurl = "{receiver.url(WORKER)}"\nsecret_key = "k"\n')
    running.run("systemctl restart heartbeatd")
    running.wait_for("a beat", lambda: receiver.received(WORKER))
    old = receiver.received(WORKER)[-1].body["host"]
    running.run("hostnamectl set-hostname kitchen; systemctl reload heartbeatd")
    running.wait_for("the new name", lambda: receiver.received(WORKER)[-1].body["host"] == "kitchen")
    assert f"goes by the name kitchen from now on; before, it was {old}" in running.journal("--unit=heartbeatd")
    running.run(f"hostnamectl set-hostname {old}; systemctl stop heartbeatd")


def test_it_comes_up_with_the_machine(installed: BootedHost) -> None:
    """Enabled, the service is wanted by multi-user.target and depends on nothing that waits for a network."""
    installed.run("systemctl enable heartbeatd")
    assert "heartbeatd.service" in installed.out("systemctl list-dependencies --plain multi-user.target")
    assert "network-online.target" not in installed.out("systemctl list-dependencies --plain heartbeatd.service")


def cycles(host: BootedHost) -> list[str]:
    """The disk figure of each cycle since the service was started last, from the journal's fields."""
    invocation = state(host, "InvocationID")
    match = f"_SYSTEMD_INVOCATION_ID={invocation} MESSAGE_ID=a65b5f9cdbd94af1873c68598951c22b"
    return host.journal("--output=cat", "--output-fields=HEARTBEAT_DISK_PERCENT", match).split()
