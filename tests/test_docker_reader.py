"""The process that holds the Docker socket: what it says, to whom, and what it does when the engine does not answer."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heartbeatd.docker_reader import LARGEST_ANSWER_BYTES, NotRead, containers
from heartbeatd.probes.base import Fault
from tests.agent import PACKAGE
from tests.engine import Engine, count_by, own_engine, reading


def said(path: Path) -> bytes:
    """All that one connection is told."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        return b"".join(iter(lambda: connection.recv(65536), b""))


@contextlib.contextmanager
def engine_that(folder: Path, answers: Callable[[socket.socket], None]) -> Iterator[Path]:
    """A socket on which each connection is treated as `answers` does."""
    path = folder / "engine.sock"
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    answers(connection)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(0.1)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            over.set()
            thread.join()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for the tests of this module."""
    with own_engine() as running:
        yield running


@pytest.mark.docker
def test_names_states_and_health_and_nothing_else(engine: Engine, tmp_path: Path) -> None:
    """Running and paused containers are listed with three facts each; the count is that of the list; ended ones are not in it."""
    run = ("run", "--detach", "--network=none")
    sleep = ("busybox:test", "/busybox", "sleep", "600")
    engine.docker(*run, "--name=plain", "--env=PASSWORD=hidden", "--label=secret=hidden", *sleep)
    engine.docker(*run, "--name=held", *sleep)
    engine.docker("pause", "held")
    engine.docker(*run, "--name=checked", "--health-cmd=/busybox true", "--health-interval=1s", *sleep)
    engine.docker("run", "--network=none", "--name=ended", "busybox:test", "/busybox", "true")
    with reading(tmp_path, engine.socket) as (path, _):
        deadline_s = time.monotonic() + 20
        while b'"starting"' in said(path) and time.monotonic() < deadline_s:
            time.sleep(0.2)
        told = json.loads(said(path))
        assert told["engine"] == str(engine.socket)
        # No shell is in the image, so the health check, which needs one, finds the container unhealthy in the end or is starting.
        assert sorted(told["containers"], key=lambda c: c["name"]) == [
            {"name": "checked", "state": "running", "health": told_health(told)},
            {"name": "held", "state": "paused", "health": None},
            {"name": "plain", "state": "running", "health": None},
        ]
        assert told_health(told) in ("healthy", "unhealthy", "starting")
        assert count_by(path, engine.socket, 5) == 3
        assert b"hidden" not in said(path)


def told_health(told: dict[str, list[dict[str, str]]]) -> str:
    """The health of the container that has a check."""
    return next(found["health"] for found in told["containers"] if found["name"] == "checked")


@pytest.mark.docker
def test_an_engine_that_stands_still_or_is_gone(tmp_path: Path) -> None:
    """Hung: a fault within the deadline. Gone on: read again. Stopped: a fault, and read again once it is back."""
    with own_engine() as engine, reading(tmp_path, engine.socket) as (path, _):
        assert count_by(path, engine.socket, 5) == 0
        engine.signal(signal.SIGSTOP)
        began_s = time.monotonic()
        try:
            with pytest.raises(Fault, match="no answer in time"):
                count_by(path, engine.socket, 5)
        finally:
            engine.signal(signal.SIGCONT)
        assert time.monotonic() - began_s < 4
        assert count_by(path, engine.socket, 5) == 0
        engine.stop()
        with pytest.raises(Fault, match=r"No such file|refused"):
            count_by(path, engine.socket, 5)
        engine.start()
        assert count_by(path, engine.socket, 5) == 0


def test_nobody_else_is_answered(tmp_path: Path) -> None:
    """Whoever is not the user the reader was told gets nothing, root included."""
    with reading(tmp_path, tmp_path / "no", user="daemon" if os.geteuid() == 0 else "root") as (path, _):
        assert said(path) == b""
        with pytest.raises(Fault, match="no answer"):
            count_by(path, tmp_path / "no", 2)


def test_the_agent_is_not_told_of_another_engine(tmp_path: Path) -> None:
    """What the reader says of one socket is not taken for what runs behind another; a link to it is the same socket."""
    whoami = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "link").symlink_to(tmp_path)
    with reading(tmp_path, tmp_path / "engine", user=whoami) as (path, _):
        with pytest.raises(Fault, match=r"reads .*engine, not .*other"):
            count_by(path, tmp_path / "other", 2)
        with pytest.raises(Fault, match="No such file"):
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
    """A fault that names what is wrong, and the reader goes on."""
    whoami = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    answer, reason = ODD[name]

    def answers(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    with engine_that(tmp_path, answers) as odd, reading(tmp_path, odd, user=whoami) as (path, _):
        for _ in range(2):
            with pytest.raises(Fault, match=reason):
                count_by(path, odd, 5)


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
    with pytest.raises(NotRead):
        containers(b"\xff")


def test_started_by_hand_it_says_how_it_is_started() -> None:
    """Exit status 2 and one line, without a socket from systemd or without its arguments."""
    for words, line in (((), "usage"), (("/run/docker.sock", "root"), "start heartbeatd-containers.socket")):
        done = subprocess.run(
            [sys.executable, "-IS", PACKAGE / "docker_reader.py", *words],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert line in done.stderr
        assert "Traceback" not in done.stderr
