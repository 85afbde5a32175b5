"""Containers are counted without the agent holding the Docker socket: a real engine's socket, handed into a booted Debian."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine, own_engine
from tests.system.conftest import MEASURE_ONLY, configure, exposure, install, wait_active
from tests.system.host import BootedHost
from tests.system.tree import PREPARED, SUITES

COUNTING = MEASURE_ONLY.replace('socket = ""', "timeout_seconds = 2.0")
SOCKET = "/run/docker.sock"
HELPER = "heartbeatd-containers.service"
ASK = (
    "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(5); "
    "s.connect('/run/heartbeatd-containers.sock'); print(s.recv(65536).decode())"
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine on this machine, with two containers."""
    with own_engine() as running:
        running.run_container()
        running.run_container()
        yield running


@pytest.fixture(scope="module", params=SUITES)
def docked(request: pytest.FixtureRequest, engine: Engine, package: Path) -> Iterator[BootedHost]:
    """A booted Debian with that engine's socket where Docker has it, and heartbeatd running."""
    with BootedHost(request.param, [f"{engine.socket}:{SOCKET}"], PREPARED) as booted:
        install(booted, package)
        booted.run(f"chgrp docker {SOCKET}; chmod 660 {SOCKET}")
        configure(booted, COUNTING)
        booted.run("systemctl start heartbeatd")
        wait_active(booted)
        yield booted


def test_the_count_is_right_and_the_agent_has_no_rights_on_docker(docked: BootedHost) -> None:
    """Two containers are counted, by way of the helper; the agent's own user cannot open Docker's socket."""
    docked.wait_for("a count", lambda: count(docked) == "2")
    assert docked.out("id --groups --name heartbeat") == "heartbeat"
    assert docked.out("id --groups --name heartbeat-containers") == "heartbeat-containers docker"
    attempt = f"setpriv --reuid=heartbeat --regid=heartbeat --init-groups test -w {SOCKET}"
    assert docked.run(attempt, check=False).returncode != 0
    assert docked.out(f"systemctl show --property=User --value {HELPER}") == "heartbeat-containers"
    pid = docked.out(f"systemctl show --property=MainPID --value {HELPER}")
    assert docked.out(f"stat --format=%U /proc/{pid}") == "heartbeat-containers"
    said = docked.out("heartbeatctl check", timeout_s=90)
    assert "ok       docker         2 containers run" in said
    assert "the Docker SDK lists the same as the helper: 2 running containers" in said
    assert json.loads(docked.out("heartbeatctl status --json"))["container_count"] == 2


def test_the_helper_is_confined(docked: BootedHost) -> None:
    """systemd has nothing to remark in its units, and rates it at 1.0 of 10 at most."""
    verified = docked.run(f"systemd-analyze verify --man=no {HELPER} heartbeatd-containers.socket")
    assert verified.stdout + verified.stderr == ""
    assert exposure(docked, HELPER) <= 1.0
    # Without any network, twice over: nspawn, unlike a host, may refuse it a network namespace of its own.
    assert docked.out(f"systemctl show --property=PrivateNetwork --value {HELPER}") == "yes"
    assert docked.out(f"systemctl show --property=RestrictAddressFamilies --value {HELPER}") == "AF_UNIX"


def test_the_helper_answers_the_agent_alone(docked: BootedHost) -> None:
    """The agent's user gets the list; root gets nothing, and others cannot even connect."""
    ask = f'python3 -c "{ASK}"'
    as_agent = f"setpriv --reuid=heartbeat --regid=heartbeat --init-groups {ask}"
    assert len(json.loads(docked.out(as_agent))["containers"]) == 2
    assert docked.out(ask) == ""
    refused = docked.run(f"setpriv --reuid=nobody --clear-groups {ask}", check=False)
    assert "PermissionError" in refused.stderr


def test_the_helper_is_lean(docked: BootedHost) -> None:
    """It has loaded neither the Docker SDK nor requests nor TLS, and has one thread."""
    pid = docked.out(f"systemctl show --property=MainPID --value {HELPER}")
    maps = docked.out(f"cat /proc/{pid}/maps")
    assert "libpython" in maps or "python3" in maps
    assert [name for name in ("libssl", "libsqlite", "charset") if name in maps] == []
    assert docked.out(f"ls /proc/{pid}/task | wc -l") == "1"
    agent = docked.out("systemctl show --property=MainPID --value heartbeatd")
    assert "websocket" not in docked.out(f"ls -l /proc/{agent}/fd; cat /proc/{agent}/maps")


def test_a_hung_engine_is_unknown_and_then_counted_again(docked: BootedHost, engine: Engine) -> None:
    """Stopped still: NULL, not the old number, and cycles go on; once it goes on the count is right again; two lines say so."""
    engine.signal(signal.SIGSTOP)
    try:
        docked.wait_for("no count", lambda: count(docked) == "")
    finally:
        engine.signal(signal.SIGCONT)
    docked.wait_for("a count", lambda: count(docked) == "2")
    lines = docked.journal("--unit=heartbeatd", "--grep='^containers: '", "--output=cat").splitlines()
    assert 2 <= len(lines) <= 4, lines


def test_an_unhealthy_container_is_a_problem_until_it_is_gone(docked: BootedHost, engine: Engine) -> None:
    """Though nobody named it; the helper and its sandbox are what they were."""
    announced = (
        "sqlite3 -readonly /var/lib/heartbeat/metrics.db "
        "\"SELECT announced FROM alert_state WHERE subject = 'container:checked'\""
    )
    # No shell is in the image, and the health check needs one.
    sleep = ("busybox:test", "/busybox", "sleep", "600")
    check = ("--health-cmd=/busybox true", "--health-interval=1s", "--health-retries=1")
    engine.docker("run", "--detach", "--network=none", "--name=checked", *check, *sleep)
    try:
        docked.wait_for("a problem", lambda: docked.out(announced) == "unhealthy")
    finally:
        engine.docker("rm", "--force", "checked")
    docked.wait_for("its end", lambda: docked.out(announced) == "ok")
    docked.wait_for("a count", lambda: count(docked) == "2")


def test_one_that_must_run_is_told_with_the_reason(docked: BootedHost, engine: Engine) -> None:
    """The helper's child finds it out, in the helper's sandbox."""
    shell = ("busybox:test", "/busybox", "sh", "-c")
    configure(docked, COUNTING + '[containers]\nwatch = ["shop"]\n')
    engine.docker("run", "--detach", "--network=none", "--name=shop", *shell, "echo cannot open the till; exit 7")
    docked.run("systemctl reload heartbeatd")
    told = "journalctl --unit=heartbeatd --output=cat --grep='container shop does not run'"
    try:
        docked.wait_for("the reason", lambda: "Its exit code is 7." in docked.run(told, check=False).stdout)
        assert "cannot open the till" in docked.out(told)
    finally:
        engine.docker("rm", "--force", "shop")
        configure(docked, COUNTING)
        docked.run("systemctl reload heartbeatd")


def test_however_often_the_agent_is_restarted_containers_are_counted(docked: BootedHost) -> None:
    """systemd's limit on starts, which would leave the helper's socket failed, does not apply to it."""
    for _ in range(8):
        docked.run("systemctl restart heartbeatd")
    rows = "sqlite3 -readonly /var/lib/heartbeat/metrics.db 'SELECT count(*) FROM metrics'"
    before = docked.out(rows)
    docked.wait_for("a row", lambda: docked.out(rows) != before)
    assert count(docked) == "2"


def test_where_the_group_is_gone_the_units_start_and_say_what_to_do(docked: BootedHost) -> None:
    """Without group docker the count is NULL, nothing fails, and `check` names the command; after it the count is back."""
    # Debian 13 without passwd has no groupdel: as an administrator without it would.
    docked.run(f"chgrp root {SOCKET}; sed -i '/^docker:/d' /etc/group; systemctl restart heartbeatd")
    docked.wait_for("no count", lambda: count(docked) == "")
    assert docked.out(f"systemctl is-active heartbeatd {HELPER}") == "active\nactive"
    docked.run(f"echo docker:x:990: >> /etc/group; chgrp docker {SOCKET}")
    assert "adduser heartbeat-containers docker" in docked.out("heartbeatctl check", timeout_s=90)
    docked.run(f"sed -i s/^docker:.*/docker:x:990:heartbeat-containers/ /etc/group; systemctl restart {HELPER}")
    docked.wait_for("a count", lambda: count(docked) == "2")


# An engine with one container, as far as the helper can tell.
LITTLE_ENGINE = """
import contextlib, os, socket, sys
with contextlib.suppress(FileNotFoundError):
    os.unlink(sys.argv[1])
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
while True:
    # A helper that is stopped while it asks hangs up.
    with listening.accept()[0] as connection, contextlib.suppress(OSError):
        connection.recv(4096)
        connection.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n[{"Id": "a", "Names": null, "State": "running"}]')
"""
DROP_IN = "/etc/systemd/system/heartbeatd-containers.service.d/engine.conf"


def start_engine(docked: BootedHost, engine: str, user: str = "root") -> None:
    """Run it, at this socket; one that an earlier run of the test has left makes place for it."""
    docked.path("/srv/engine.py").write_text(LITTLE_ENGINE)
    docked.run(
        "systemctl stop little-engine 2>/dev/null || :; "
        f"systemd-run --collect --unit=little-engine --uid={user} python3 /srv/engine.py {engine}"
    )
    docked.wait_for("the engine", lambda: docked.run(f"test -S {engine}", check=False).returncode == 0)


def serve_by(docked: BootedHost, engine: str, *lines: str) -> None:
    """Have the helper ask this engine, with these lines in its drop-in, as heartbeatd(8) says."""
    command = f"/usr/libexec/heartbeatd/containers {engine} heartbeat"
    docked.path(DROP_IN).parent.mkdir(exist_ok=True)
    docked.path(DROP_IN).write_text("\n".join(["[Service]", "ExecStart=", f"ExecStart={command}", *lines, ""]))
    configure(docked, COUNTING.replace("[docker]", f'[docker]\nsocket = "unix://{engine}"'))
    docked.run(f"systemctl daemon-reload; systemctl stop {HELPER}; systemctl restart heartbeatd")


def test_an_engine_in_a_folder_of_roots(docked: BootedHost) -> None:
    """Podman's socket under Docker's name: the helper is asked, and says who has no rights; with User=root it counts."""
    docked.run("install -d -m 700 /run/podman; ln -sf /run/podman/podman.sock /run/engine.sock")
    start_engine(docked, "/run/podman/podman.sock")
    serve_by(docked, "/run/engine.sock")
    docked.wait_for("no count", lambda: count(docked) == "")
    denied = "permission denied: the user heartbeat-containers has no rights on it"
    docked.wait_for("a reason", lambda: denied in docked.journal("--unit=heartbeatd", "--output=cat"))
    serve_by(docked, "/run/engine.sock", "User=root")
    docked.wait_for("a count", lambda: count(docked) == "1")


def test_a_rootless_engine(docked: BootedHost) -> None:
    """A socket in a user's own folder, which the agent's sandbox may hide: counted by a helper that is that user."""
    docked.run("echo 'u alice 1001' | systemd-sysusers -; install -d -m 700 -o alice -g alice /run/user/1001")
    start_engine(docked, "/run/user/1001/docker.sock", "alice")
    serve_by(docked, "/run/user/1001/docker.sock")
    docked.wait_for("no count", lambda: count(docked) == "")
    serve_by(docked, "/run/user/1001/docker.sock", "User=alice", "Group=alice", "ProtectHome=read-only")
    docked.wait_for("a count", lambda: count(docked) == "1")
    docked.run(f"rm {DROP_IN}; systemctl daemon-reload")


def test_the_helper_goes_with_the_agent(docked: BootedHost) -> None:
    """Stopping heartbeatd stops the helper and takes its socket away."""
    docked.run("systemctl stop heartbeatd")
    states = f"systemctl is-active {HELPER} heartbeatd-containers.socket"
    docked.wait_for("their end", lambda: docked.run(states, check=False).stdout == "inactive\ninactive\n")
    assert not docked.path("/run/heartbeatd-containers.sock").exists()


def count(host: BootedHost) -> str:
    """The last row's container_count; empty for NULL."""
    query = "SELECT coalesce(container_count, '') FROM metrics ORDER BY rowid DESC LIMIT 1"
    return host.out(f'sqlite3 -readonly /var/lib/heartbeat/metrics.db "{query}"')
