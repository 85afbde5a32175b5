"""Whether containers can be counted: what is there, who may, and what to do where nobody can."""

import grp
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from heartbeatd.ctl.check import containers
from heartbeatd.ctl.check.finding import Finding, Verdict
from heartbeatd.ctl.check.situation import EngineSocket
from heartbeatd.ctl.service import Service
from tests.ctl.check.conftest import Found, found_by_nobody, situation, unit
from tests.support.engine import containers_helper

# The helper's socket at $0 is the one that is asked, in a /run of its own.
ASKED = (
    "mount -t tmpfs -o mode=755 tmpfs /run; touch /run/heartbeatd-containers.sock;"
    ' mount --bind "$0" /run/heartbeatd-containers.sock; exec "$@"'
)


def looked_at(path: Path, *prefix: str | Path, service: Service | None = None) -> Finding:
    """What the user nobody finds about an engine at `path`."""
    given = situation(service=service, docker={"socket": f"unix://{path}", "timeout_seconds": 3})
    (finding,) = found_by_nobody(given, prefix=prefix)["docker"]
    return finding


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that everybody may enter."""
    made = Path(f"/var/tmp/hbd-docker-{os.getpid()}")
    made.mkdir(exist_ok=True)
    made.chmod(0o755)
    for file in made.iterdir():
        file.unlink()
    yield made
    shutil.rmtree(made)


def socket_at(path: Path, mode: int = 0o660, group: int = 0) -> Path:
    """A socket at which nobody listens any more."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    path.chmod(mode)
    os.chown(path, 0, group)
    return path


def test_switched_off(found: Found) -> None:
    """Nothing is wrong with that."""
    (finding,) = found(containers.check, situation())
    assert finding.verdict is Verdict.OK
    assert "switched off" in finding.text


def test_no_docker(found: Found, tmp_path: Path) -> None:
    """Or with that."""
    (finding,) = found(containers.check, situation(docker={"socket": f"unix://{tmp_path}/none.sock"}))
    assert finding.verdict is Verdict.OK
    assert "not installed" in finding.text


@pytest.mark.namespaces
def test_before_the_first_start(folder: Path) -> None:
    """The helper's socket comes with the service: nothing is wrong before; with the service up, something is."""
    engine = socket_at(folder / "e.sock")
    finding = looked_at(engine)
    assert finding.verdict is Verdict.OK
    assert "counted once the agent runs" in finding.text
    finding = looked_at(engine, service=unit())
    assert finding.verdict is Verdict.WARNING
    assert finding.hint.startswith("`systemctl start heartbeatd-containers.socket`")


@pytest.mark.namespaces
def test_what_the_helper_says(folder: Path) -> None:
    """It is asked, as the user the agent is, and its words are shown: an engine that is down, and another one than it reads."""
    engine, other = socket_at(folder / "e.sock"), socket_at(folder / "o.sock")
    with containers_helper(folder, engine, "nobody") as (helper, _):
        helper.chmod(0o666)
        prefix = ("unshare", "--mount", "sh", "-ec", ASKED, helper)
        down, wrong = looked_at(engine, *prefix, service=unit()), looked_at(other, *prefix, service=unit())
    assert down.verdict is wrong.verdict is Verdict.WARNING
    assert "connection refused" in down.text
    assert "systemctl status docker" in down.hint
    assert f"reads {engine}, not {other}" in wrong.text
    assert "in the drop-in for heartbeatd-containers.service" in wrong.hint


DENIED = "permission denied: the user heartbeat-containers has no rights on it"
GROUP = grp.getgrgid(1)  # daemon, everywhere


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("mode", "group", "hint"),
    [
        (0o660, GROUP.gr_gid, f"`adduser heartbeat-containers {GROUP.gr_name}`"),
        (0o660, 0, "for its owner alone"),
        (0o600, GROUP.gr_gid, "for its owner alone"),
    ],
)
def test_the_helper_has_no_rights(folder: Path, mode: int, group: int, hint: str) -> None:
    """By whose the socket is: another group would help, or only another user."""
    engine = socket_at(folder / "e.sock", mode, group)
    assert hint in containers.hint(DENIED, engine, EngineSocket.at(engine), asked=folder)


@pytest.mark.parametrize(
    ("detail", "hint"),
    [
        (DENIED, "Podman's, or rootless"),  # it cannot be seen from here
        ("it is a link to /run/user/1/d.sock, which the user x cannot see", "is the engine rootless?"),
        ("no answer in time", "docker.timeout_seconds"),
        ("it takes no more connections (does the Docker engine hang?)", "docker info"),
        ("the engine answers HTTP 500", "journalctl -u heartbeatd-containers"),
    ],
)
def test_other_hints(tmp_path: Path, detail: str, hint: str) -> None:
    """Each by what the helper says."""
    assert hint in containers.hint(detail, tmp_path / "none", EngineSocket.at(tmp_path / "none"), asked=tmp_path)
