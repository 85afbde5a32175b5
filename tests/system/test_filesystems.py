"""Each local filesystem of a booted Debian is looked at, also /home, which the sandbox hides; and nobody sees its files."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.disk import own_filesystem
from tests.system.conftest import MEASURE_ONLY, configure, exposure, install, wait_active
from tests.system.host import BootedHost
from tests.system.tree import PREPARED, SUITES

# Of each filesystem at the first reading, whatever the built-in limits say.
TELLING = (
    MEASURE_ONLY + '[[rule]]\nmetric = "disk_used_percent"\nabove = 50\nfor = "0s"\n'
    '[[rule]]\nmetric = "disk_inodes_percent"\nabove = 50\nfor = "0s"\n'
    '[[rule]]\nmetric = "disk_read_only"\nabove = 1\nclear = 0\nfor = "0s"\n'
)
HELPER = "heartbeatd-filesystems@test.service"
SOCKET = "heartbeatd-filesystems.socket"
FULL_BYTES = 20 << 20  # of 32 MiB


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Filesystems on loop devices: where they are to be mounted, and where they are here. /srv is nearly empty."""
    with ExitStack() as stack:
        made = {
            point: stack.enter_context(own_filesystem(tmp_path_factory.mktemp("disk")))
            for point in ("/home", "/srv/my disk", "/var/backups")
        }
        for point in ("/home", "/var/backups"):
            (made[point] / "film").write_bytes(b"\0" * FULL_BYTES)
        yield made


@pytest.fixture(scope="module", params=SUITES)
def host(request: pytest.FixtureRequest, disks: dict[str, Path], package: Path) -> Iterator[BootedHost]:
    """A booted Debian with these, and heartbeatd running."""
    with BootedHost(request.param, [f"{here}:{point}" for point, here in disks.items()], PREPARED) as booted:
        install(booted, package)
        configure(booted, TELLING)
        booted.run("systemctl start heartbeatd")
        wait_active(booted)
        yield booted


def test_those_that_fill_up_are_told_of(host: BootedHost) -> None:
    """/home, of which the agent can see nothing, as well as the others; what is not full is not told of."""
    host.wait_for("both are told of", lambda: {"/home", "/var/backups"} <= told(host).keys())
    assert "/srv/my disk" not in told(host)


def test_the_figures_are_those_of_df(host: BootedHost) -> None:
    """Which rounds them up."""
    for point in ("/home", "/var/backups"):
        (percent,) = host.out(f"df --output=pcent {point} | tail -n 1 | tr -d %").split()
        assert told(host)[point] == pytest.approx(int(percent) - 0.5, abs=0.6)


def test_one_that_has_become_read_only_is_told_of(host: BootedHost, disks: dict[str, Path]) -> None:
    """By the filesystem itself: in the agent's sandbox each is mounted read-only."""
    assert "is read-only" not in host.journal("--unit=heartbeatd", "--output=cat")
    with host.path("/etc/fstab").open("a") as fstab:
        fstab.write("/dev/none /srv/my\\040disk ext4 noauto,errors=remount-ro 0 0\n")
    subprocess.run(["mount", "-o", "remount,ro", disks["/srv/my disk"]], check=True)
    try:
        host.run("systemctl restart heartbeatd")
        told = "/srv/my disk is read-only"
        host.wait_for("it is told of", lambda: told in host.journal("--unit=heartbeatd", "--output=cat"))
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disks["/srv/my disk"]], check=True)


def test_the_agent_sees_nothing_of_home(host: BootedHost) -> None:
    """Neither a file nor the mount; nobody but the agent and root may ask, and what is answered has no file in it."""
    pid = host.out("systemctl show --property=MainPID --value heartbeatd")
    as_agent = f"nsenter --target {pid} --mount setpriv --reuid=heartbeat --regid=heartbeat --clear-groups"
    assert host.run(f"{as_agent} ls /home", check=False).returncode != 0
    assert " /home " not in host.out(f"grep ' - ext4 ' /proc/{pid}/mountinfo")
    ask = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/heartbeatd-filesystems.sock')"
    refused = host.run(f'setpriv --reuid=nobody --clear-groups python3 -c "{ask}"', check=False)
    assert "PermissionError" in refused.stderr


def test_the_helper_is_confined(host: BootedHost) -> None:
    """systemd has nothing to remark in its units, and rates it at 0.5 of 10 at most; it may run nothing but its own commands."""
    verified = host.run(f"systemd-analyze verify --man=no {HELPER} {SOCKET}")
    assert verified.stdout + verified.stderr == ""
    assert exposure(host, HELPER) <= 0.5
    pid = host.out(f"systemctl show --property=MainPID --value {instance(host)}")
    assert host.out(f"stat --format=%u /proc/{pid}") != "0"
    for command in ("id", "python3 --version"):
        assert host.run(f"nsenter --target {pid} --mount {command}", check=False).returncode == 126


def test_it_holds_no_filesystem_that_is_unmounted(host: BootedHost) -> None:
    """Neither does the agent: the device is free again."""
    host.run("umount /home /var/backups")
    assert host.run("grep -E ' /(home|var/backups) .* - ext4 ' /proc/[0-9]*/mountinfo", check=False).stdout == ""


def test_it_ends_with_the_agent(host: BootedHost) -> None:
    """And nothing of it has failed."""
    host.run("systemctl stop heartbeatd")
    host.wait_for("it has ended", lambda: not instance(host))
    assert host.run(f"systemctl is-active {SOCKET}", check=False).stdout == "inactive\n"
    assert host.out("systemctl --failed --plain --no-legend") == ""


def told(host: BootedHost) -> dict[str, float]:
    """How full each mount point is that the agent has told of."""
    said = host.journal("--unit=heartbeatd", "--output=cat")
    return {point: float(percent) for point, percent in re.findall(r"(/[\w/ ]+) is ([\d.]+) % full", said)}


def instance(host: BootedHost) -> str:
    """The helper that the agent's connection has started; "" if none runs."""
    return host.out("systemctl list-units --plain --no-legend 'heartbeatd-filesystems@*' | cut -d ' ' -f 1")
