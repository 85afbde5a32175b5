"""The process that holds the Docker socket: what it says, to whom, and what it does when the engine does not answer."""

import json
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.containers import client
from heartbeatd.containers.engine import LARGEST_ANSWER_BYTES, EngineError, containers
from heartbeatd.core.sample import NoData, ProbeError
from tests.support.agent import CHECKOUT
from tests.support.clocks import FakeClock
from tests.support.engine import HELPER, Engine, containers_helper, count_by, engine_that, own_engine
from tests.support.wait import wait_until


def said(path: Path) -> bytes:
    """All that one connection is told."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.docker
def test_names_states_and_health_and_nothing_else(engine: Engine, tmp_path: Path) -> None:
    """Running and paused containers are listed, those of the last minute as recent, and ended ones are not.

    The count is that of the list.
    """
    run = ("run", "--detach", "--network=none")
    sleep = ("busybox:test", "/busybox", "sleep", "600")
    engine.docker(*run, "--name=plain", "--env=PASSWORD=hidden", "--label=secret=hidden", *sleep)
    engine.docker(*run, "--name=held", *sleep)
    engine.docker("pause", "held")
    engine.docker(*run, "--name=checked", "--health-cmd=/busybox true", "--health-interval=1s", *sleep)
    engine.docker("run", "--network=none", "--name=ended", "busybox:test", "/busybox", "true")
    with containers_helper(tmp_path, engine.socket) as (path, _):
        wait_until(lambda: b'"starting"' not in said(path))
        told = json.loads(said(path))
        assert told["engine"] == str(engine.socket)
        # No shell is in the image, and the health check needs one.
        assert sorted(told["containers"], key=lambda c: c["name"]) == [
            {"name": "checked", "state": "running", "health": "unhealthy", "recent": True},
            {"name": "held", "state": "paused", "health": None, "recent": True},
            {"name": "plain", "state": "running", "health": None, "recent": True},
        ]
        assert count_by(path, engine.socket) == 3
        assert b"hidden" not in said(path)


@pytest.mark.docker
def test_an_engine_that_stands_still_or_is_gone(tmp_path: Path) -> None:
    """Hung: failed within the deadline. Gone on: read again. Stopped: failed, and read again once it is back."""
    with own_engine() as engine, containers_helper(tmp_path, engine.socket) as (path, _):
        assert count_by(path, engine.socket) == 0
        engine.signal(signal.SIGSTOP)
        began_s = time.monotonic()
        try:
            with pytest.raises(ProbeError, match=f"{engine.socket}: no answer in time"):
                count_by(path, engine.socket, 2)
        finally:
            engine.signal(signal.SIGCONT)
        assert time.monotonic() - began_s < 30
        assert count_by(path, engine.socket) == 0
        engine.stop()
        with pytest.raises(ProbeError, match=r"No such file|refused"):
            count_by(path, engine.socket)
        engine.start()
        assert count_by(path, engine.socket) == 0


def test_nobody_else_is_answered(tmp_path: Path) -> None:
    """Whoever is not the user the helper was told gets nothing, root included."""
    with containers_helper(tmp_path, tmp_path / "no", user="daemon" if os.geteuid() == 0 else "root") as (path, _):
        assert said(path) == b""
        with pytest.raises(ProbeError, match="no answer"):
            count_by(path, tmp_path / "no", 2)


def test_the_agent_is_not_told_of_another_engine(tmp_path: Path) -> None:
    """What the helper says of one socket is not taken for what runs behind another; a link to it is the same socket."""
    whoami = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "link").symlink_to(tmp_path)
    with containers_helper(tmp_path, tmp_path / "engine", user=whoami) as (path, _):
        with pytest.raises(ProbeError, match=r"reads .*engine, not .*other"):
            count_by(path, tmp_path / "other", 2)
        with pytest.raises(ProbeError, match="No such file"):
            count_by(path, tmp_path / "link/engine", 2)


ODD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not HTTP"),
    "rubbish": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP"),
    "refusal": (b"HTTP/1.0 503 Busy\r\n\r\n", "HTTP 503"),
    "no JSON": (b"HTTP/1.0 200 OK\r\n\r\n[{", "not a list of containers"),
    "no list": (b'HTTP/1.0 200 OK\r\n\r\n{"message":"x"}', "not a list of containers"),
    "odd list": (b'HTTP/1.0 200 OK\r\n\r\n[{"Names":[]}]', "not a list of containers"),
    "very deep": (b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 100_000, "not a list of containers"),
    "endless": (b"x" * (LARGEST_ANSWER_BYTES + 100_000), "larger than 8 MiB"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_engine_that_answers_oddly(tmp_path: Path, name: str) -> None:
    """A failure that names what is wrong, and the helper goes on."""
    whoami = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    answer, reason = ODD[name]

    def answers(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    with engine_that(tmp_path, answers) as odd, containers_helper(tmp_path, odd, user=whoami) as (path, _):
        for _ in range(2):
            with pytest.raises(ProbeError, match=reason):
                count_by(path, odd)


def test_names_and_health_are_cut_to_size() -> None:
    """However long a name an engine invents; health is one of three words or none."""
    body = json.dumps([{"Names": ["/" + "n" * 9999], "State": "s" * 99, "Status": "Up (Paused)"}]).encode()
    (found,) = containers(body)
    assert found == {"name": "n" * 255, "state": "s" * 32, "health": None}
    status = {
        "Up 3 s (health: starting)": "starting",
        "Up 5 minutes (healthy)": "healthy",
        "Up 1 s (unhealthy)": "unhealthy",
    }
    for text, health in status.items():
        (found,) = containers(json.dumps([{"Names": ["/a"], "State": "running", "Status": text}]).encode())
        assert found["health"] == health
    for text, recent in {
        "Up Less than a second": True,
        "Up 59 seconds (healthy)": True,
        "Up About a minute": False,
    }.items():
        (found,) = containers(json.dumps([{"Names": ["/a"], "State": "running", "Status": text}]).encode())
        assert found.get("recent", False) is recent
    with pytest.raises(EngineError):
        containers(b"\xff")


def me() -> str:
    """Who runs the tests."""
    return pwd.getpwuid(os.geteuid()).pw_name


def http(body: bytes) -> bytes:
    """An engine's answer."""
    return b"HTTP/1.0 200 OK\r\n\r\n" + body


def test_a_container_without_a_name_is_counted() -> None:
    """No names, none at all, or of another kind: it goes by its id, and the others keep their names."""
    odd: list[dict[str, object]] = [
        {"Id": "0123456789abcdef", "Names": [], "State": "running", "Status": "Up"},
        {"Id": "1123456789abcdef", "Names": None, "State": "running", "Status": "Up"},
        {"Id": "2123456789abcdef", "Names": [None], "State": None},
        {"State": "running", "Names": "web"},
        {"Id": 3, "Names": ["/"]},
        {"Names": ["/web"], "State": "running", "Status": "Up"},
    ]
    found = [one["name"] for one in containers(json.dumps(odd).encode())]
    assert found == ["0123456789ab", "1123456789ab", "2123456789ab", "", "", "web"]


def test_a_list_may_look_as_json_may() -> None:
    """Blanks anywhere, nothing in it, more than a chunk of it; but nothing else than a list of objects."""
    one = {"Id": "a", "Names": ["/é…"], "State": "running", "Labels": {"a": "]},{["}}
    for body in (b"[]", b" [ ] \n", json.dumps([one]).encode(), json.dumps([one, one], indent=4).encode() + b"\r\n"):
        assert len(containers(body)) == body.count(b"Id")
    many = json.dumps([{**one, "Image": "x" * 3000}] * 200).encode()
    assert [c["name"] for c in containers(many)] == ["??"] * 200
    for wrong in (b"", b"{}", b"[", b"[{}", b"[{}]", b"[1]", b'[{"Id":1} {"Id":2}]', b'[{"Id":1},]', b"[,]", b"null"):
        with pytest.raises(EngineError, match="not a list of containers"):
            containers(wrong)


def test_as_long_as_the_asker_likes(tmp_path: Path) -> None:
    """An engine that takes two seconds is counted by whoever waits for that long, and not by who waits for less."""

    def answers(connection: socket.socket) -> None:
        connection.recv(4096)
        time.sleep(2)
        connection.sendall(http(b'[{"Id":"a"}]'))

    with engine_that(tmp_path, answers) as slow, containers_helper(tmp_path, slow, user=me()) as (path, _):
        assert count_by(path, slow) == 1
        with pytest.raises(ProbeError, match=f"{slow}: no answer in time"):
            count_by(path, slow, 0.5)


def test_a_hung_question_does_not_hold_up_the_next(tmp_path: Path) -> None:
    """The engine never answers the first; once who asked has hung up, by a word or without one, the next is answered."""
    asked: list[bytes] = []

    def answers(connection: socket.socket) -> None:
        asked.append(connection.recv(4096))
        if len(asked) % 2:
            connection.recv(1)  # until the helper gives up
        else:
            connection.sendall(http(b"[]"))

    with engine_that(tmp_path, answers) as odd, containers_helper(tmp_path, odd, user=me()) as (path, _):
        for _ in range(2):
            with pytest.raises(ProbeError, match="no answer in time"):
                count_by(path, odd, 0.5)
            assert count_by(path, odd) == 0
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(path))
            wait_until(lambda: len(asked) == 5)
        assert count_by(path, odd) == 0


def test_what_came_in_time_counts_whenever_it_is_looked_at(tmp_path: Path) -> None:
    """The internet check, which is waited for first, may take longer than the count may."""

    def answers(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(http(b'[{"Id":"a"}]'))

    with engine_that(tmp_path, answers) as engine, containers_helper(tmp_path, engine, user=me()) as (path, _):
        clock = FakeClock()
        cancel = CancelToken(clock)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            asked = client.ContainerQuery(connection, path, engine, cancel.deadline(3), cancel)
            wait_until(lambda: select.select([connection], [], [], 0)[0])
            clock.pass_s(3.1)
            assert asked.result() == 1


def test_no_engine_where_the_agent_cannot_look(tmp_path: Path) -> None:
    """The helper finds none: nothing to read, if the agent cannot see the socket; failed if it can."""
    cancel = CancelToken()
    with containers_helper(tmp_path, tmp_path / "none", user=me()) as (path, _):
        with pytest.raises(NoData, match="not installed or not running"):
            client.ask(tmp_path / "none", cancel.deadline(5), cancel, path, seen=False).result()
        with pytest.raises(ProbeError, match="No such file"):
            client.ask(tmp_path / "none", cancel.deadline(5), cancel, path, seen=True).result()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user than root for the helper")
def test_a_socket_that_the_helper_may_not_open(tmp_path: Path) -> None:
    """Said to be refused to the user the helper is: here `daemon`, in a folder that is root's alone."""
    (tmp_path / "private").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "private/engine.sock"))
        engine.listen()
        (tmp_path / "engine.sock").symlink_to(tmp_path / "private/engine.sock")
        words = [sys.executable, "-IS", "-c", AS_DAEMON, str(CHECKOUT), str(tmp_path / "engine.sock")]
        for folder in tmp_path.parents[:-1]:
            if folder.name.startswith(("pytest", "popen")):
                folder.chmod(0o755)
        tmp_path.chmod(0o755)
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["fault"] == "permission denied: the user daemon has no rights on it"


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user than root for the helper")
def test_a_link_into_what_the_sandbox_hides(tmp_path: Path) -> None:
    """A rootless engine under Docker's name: rights on the socket are not what is missing."""
    (tmp_path / "engine.sock").symlink_to("/run/user/1/engine.sock")
    words = [sys.executable, "-IS", "-c", AS_DAEMON, str(CHECKOUT), str(tmp_path / "engine.sock")]
    for folder in (tmp_path, *tmp_path.parents[:-1]):
        if folder == tmp_path or folder.name.startswith(("pytest", "popen")):
            folder.chmod(0o755)
    hidden = (
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mkdir -p /run/user && mount -t tmpfs -o mode=0 tmpfs /run/user && exec "$0" "$@"',
    )
    done = subprocess.run([*hidden, *words], capture_output=True, text=True, check=True)
    fault = json.loads(done.stdout)["fault"]
    assert fault == "it is a link to /run/user/1/engine.sock, which the user daemon cannot see"


AS_DAEMON = """
import json, os, pwd, sys
sys.path.insert(0, sys.argv[1])
from heartbeatd.containers import engine
os.setgroups([]); os.setgid(1); os.setuid(pwd.getpwnam("daemon").pw_uid)
print(json.dumps(engine.answer(sys.argv[2])))
"""

# A real container's entry is some 2 KiB: labels, mounts, ports, networks.
REAL = {
    "Id": "f" * 64,
    "Names": ["/shop-web-1"],
    "Image": "registry.example.org/shop/web:1.2.3",
    "ImageID": "sha256:" + "e" * 64,
    "Command": "/docker-entrypoint.sh nginx -g 'daemon off;'",
    "Created": 1_795_540_060,
    "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8000 + n, "Type": "tcp"} for n in range(4)],
    "Labels": {f"com.docker.compose.label-{n}": "some text of a usual length" for n in range(14)},
    "State": "running",
    "Status": "Up 5 minutes (healthy)",
    "HostConfig": {"NetworkMode": "shop_default"},
    "NetworkSettings": {"Networks": {"shop": {"IPAddress": "172.18.0.2", "MacAddress": "02:42:ac:12:00:02"}}},
    "Mounts": [{"Type": "volume", "Name": "d" * 64, "Destination": "/var/lib/data", "Mode": "z", "RW": True}] * 2,
}
MIB = 1 << 20
BODIES: dict[str, tuple[Callable[[], bytes], int | None]] = {
    "3,800 real containers": (lambda: json.dumps([REAL] * 3800).encode(), 3800),
    "empty lists": (lambda: b"[" + b"[]," * (8 * MIB // 3 - 10) + b"[]]", None),
    "empty lists in a container": (lambda: b'[{"Id":[' + b"[]," * (8 * MIB // 3 - 10) + b"[]]}]", None),
    "containers full of empty lists": (
        lambda: b"[" + b",".join([b'{"Id":[' + b"[]," * 80_000 + b"[]]}"] * 33) + b"]",
        33,
    ),
    "200,000 tiny containers": (lambda: b"[" + b'{"Id":"","State":"r"},' * 199_999 + b'{"Id":"b"}]', None),
    "a wide character": (lambda: json.dumps([{"Id": "\U0001f600" * 60_000}] * 30, ensure_ascii=False).encode(), 30),
    "10,000 long names": (
        lambda: json.dumps([{"Id": "", "Names": ["\U0001f600" * 190]}] * 10_000, ensure_ascii=False).encode(),
        10_000,
    ),
    "many keys": (lambda: b"[{" + b'"a":1,' * 500_000 + b'"b":1}]', None),
    "deep": (lambda: b"[" * 4 * MIB, None),
    "digits": (lambda: b"[" + b"9" * 4 * MIB + b"]", None),
}


@pytest.mark.parametrize("name", BODIES)
def test_memory(tmp_path: Path, name: str) -> None:
    """Whatever list an engine sends, up to the 8 MiB that are taken, the helper stays far below its MemoryMax= of 64 MiB."""
    make, count = BODIES[name]
    answer = http(make())

    def answers(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    assert len(answer) <= LARGEST_ANSWER_BYTES
    with engine_that(tmp_path, answers) as engine, containers_helper(tmp_path, engine, user=me()) as (path, pid):
        if count is None:
            with pytest.raises(ProbeError, match=r"not a list of containers|more than 10000 containers"):
                count_by(path, engine, 20)
        else:
            assert count_by(path, engine, 20) == count
        assert _peak_mib(pid) < 40


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


HEAD = b'{"engine":"/engine",'
SAID: dict[str, tuple[bytes, bytes]] = {
    "no end": (b"", b"x" * 65536),
    "no end of the list": (HEAD + b'"count":3,"containers":[', b'{"name":"a"},' * 1000),
    "no end of the head": (HEAD + b'"a":[', b"[]," * 1000),
    "no number": (HEAD + b'"count":"3","containers":[', b"[]," * 1000),
    "below nothing": (HEAD + b'"count":-1,"containers":[', b"[]," * 1000),
}


@pytest.mark.parametrize("name", SAID)
def test_a_helper_that_is_not_ours(tmp_path: Path, name: str) -> None:
    """Whatever it says, 4 KiB of its head and 256 KiB of its list are read at the most: a number, or why not, at once."""
    head, block = SAID[name]

    def answers(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(block)

    with engine_that(tmp_path, answers) as odd:
        began_s = time.monotonic()
        if name == "no end of the list":
            assert count_by(odd, Path("/engine")) == 3
        else:
            with pytest.raises(ProbeError, match="no answer"):
                count_by(odd, Path("/engine"))
        assert time.monotonic() - began_s < 30


def test_started_by_hand_it_says_how_it_is_started() -> None:
    """Exit status 2 and one line, without a socket from systemd or without its arguments."""
    for words, line in (((), "usage"), (("/run/docker.sock", "root"), "start heartbeatd-containers.socket")):
        done = subprocess.run(
            [*HELPER, *words],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert line in done.stderr
        assert "Traceback" not in done.stderr
