"""A disk that fills up while it is silenced, and one that is full while a booted Debian starts: told at the end, once."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.disk import own_filesystem
from tests.support.receiver import WEBHOOK, Receiver
from tests.system.conftest import MEASURE_ONLY, configure, install, state, wait_cycle
from tests.system.host import BootedHost
from tests.system.tree import PREPARED, SUITES

POINT = "/var/backups"
SUBJECT = f"disk:{POINT}"
RULE = f'[[rule]]\nmetric = "disk_used_percent"\nlabel = "{POINT}"\nabove = 50\nfor = "0s"\n'
FULL_BYTES = 20 << 20  # of 32 MiB
UNTOLD = f"{SUBJECT} went from ok to warning; not announced, as nobody is told of it for now"
# Part of the start of the system, which is not over before the agent has held back what it has to tell.
SLOW = f"""[Unit]
After=heartbeatd.service
[Service]
Type=oneshot
TimeoutStartSec=100
ExecStart=/bin/sh -c 'until journalctl --boot --unit=heartbeatd | grep -q "{SUBJECT} went from ok to"; do sleep 0.2; done'
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A filesystem that is two thirds full."""
    with ExitStack() as stack:
        made = stack.enter_context(own_filesystem(tmp_path_factory.mktemp("disk")))
        (made / "film").write_bytes(b"\0" * FULL_BYTES)
        yield made


@pytest.fixture(scope="module", params=SUITES)
def host(request: pytest.FixtureRequest, disk: Path, package: Path) -> Iterator[BootedHost]:
    """A booted Debian with it, and heartbeatd installed."""
    with BootedHost(request.param, [f"{disk}:{POINT}"], PREPARED) as booted:
        install(booted, package)
        yield booted


def told(receiver: Receiver) -> list[dict[str, Any]]:
    """The details of what the webhook got of the disk."""
    details = (got.body["details"] for got in receiver.received(WEBHOOK))
    return [one for one in details if one["subject"] == SUBJECT]


def configuration(receiver: Receiver, rules: str = "") -> str:
    """Every second; alerts go to `receiver`."""
    return f'{MEASURE_ONLY}[alerts]\nwebhook_url = "{receiver.url(WEBHOOK)}"\n{rules}'


def test_a_silence_lasts_over_restarts_and_what_is_still_true_is_told(host: BootedHost, receiver: Receiver) -> None:
    """The limit is lowered while the disk is silenced; the agent is started anew; one message, when the silence ends."""
    configure(host, configuration(receiver))
    host.run("systemctl start heartbeatd")
    wait_cycle(host)
    host.run(f"heartbeatctl silence '{SUBJECT}' --for 1h --comment 'a new disk'")
    configure(host, configuration(receiver, RULE))
    host.run("systemctl restart heartbeatd")  # filesystems are read at a start, and once a minute
    host.wait_for("it is observed", lambda: UNTOLD in host.journal("--unit=heartbeatd"))
    host.run("systemctl restart heartbeatd")
    wait_cycle(host)
    host.wait_for("it is in the status line", lambda: f"silenced: {SUBJECT} for " in state(host, "StatusText"))
    shown = host.run("heartbeatctl status", check=False).stdout
    assert f"silenced    {SUBJECT} until " in shown and ": a new disk" in shown
    (silence,) = json.loads(host.out("heartbeatctl silences --json"))
    assert (silence["pattern"], silence["who"]) == (SUBJECT, "root")
    assert told(receiver) == []
    host.run(f"heartbeatctl unsilence '{SUBJECT}'")
    host.wait_for("it is told", lambda: told(receiver), timeout_s=150)  # with the next reading
    (problem,) = told(receiver)
    assert (problem["event"], problem["severity"]) == ("problem", "warning")
    assert problem["since"] < problem["at"]
    host.run("systemctl stop heartbeatd && rm /var/lib/heartbeat/metrics.db*")


def test_while_the_system_starts_alerts_wait(host: BootedHost, receiver: Receiver) -> None:
    """A boot that is not over: what is bad then is held back, which the status line says, and is told once the boot is over."""
    configure(host, configuration(receiver, RULE))
    host.path("/etc/systemd/system/slow.service").write_text(SLOW)
    host.run("systemctl enable --quiet slow.service heartbeatd.service")
    host.power_off()
    host.boot_again(young=True)
    assert float(host.out("cut -d ' ' -f 1 /proc/uptime")) < 180
    assert UNTOLD in host.journal("--boot", "--unit=heartbeatd")
    host.wait_for("it is told", lambda: told(receiver), timeout_s=150)  # with the next reading
    (problem,) = told(receiver)
    assert (problem["event"], problem["severity"]) == ("problem", "warning")
    host.wait_for("nothing is held back", lambda: "alerts wait" not in state(host, "StatusText"))
