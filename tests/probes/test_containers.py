"""Counting containers: against sockets that are no engine, and against a real Docker engine in all its moods."""

import contextlib
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from heartbeatd.cancel import CancelToken, SerialWorker
from heartbeatd.containers.listed import containers_in
from heartbeatd.core.container import Container, Watched
from heartbeatd.core.policy import Policy
from heartbeatd.core.rule import RuleSettings, Seen
from heartbeatd.core.sample import ProbeStatus, Sample
from heartbeatd.core.subject import Subject
from heartbeatd.probes.base import EACH_CYCLE, Probe
from heartbeatd.probes.collector import Probes
from heartbeatd.probes.containers import Containers
from heartbeatd.rules.container import rule
from tests.support.agent import run_python
from tests.support.engine import Engine, containers_helper, own_engine
from tests.support.wait import wait_until

Count = Callable[[], Sample]


@contextlib.contextmanager
def counting(path: Path | str, timeout_s: float) -> Iterator[Count]:
    """Counts at the socket `path`, each count within `timeout_s`, as cycles would."""
    thread, cancel = SerialWorker("docker"), CancelToken()
    probe = Containers(thread, f"unix://{path}" if path else "")
    probes = Probes((Probe("containers", EACH_CYCLE, timeout_s, probe.read),))

    def count() -> Sample:
        return probes.collect(lambda: 0, cancel)

    yield count
    thread.close(patience_s=60)


def test_no_engine(tmp_path: Path) -> None:
    """Switched off, or not installed: there is nothing to read, which is no failure."""
    for path in (tmp_path / "docker.sock", tmp_path / "no/docker.sock"):
        with counting(path, 2) as count:
            assert count().reports[0].status is ProbeStatus.NO_DATA
    with counting("", 2) as count:
        assert count().reports[0].status is ProbeStatus.OFF


def test_not_a_socket(tmp_path: Path) -> None:
    """A file, and a socket that nobody serves any more: failed, with what to look at."""
    (tmp_path / "file").write_text("")
    with counting(tmp_path / "file", 2) as count:
        assert "is not a socket" in count().reports[0].detail
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    with counting(tmp_path / "left", 2) as count:
        (report,) = count().reports
        assert report.status is ProbeStatus.FAILED
        assert "connection refused" in report.detail


# As an agent that is not root: what it finds at the engine's socket, asking the helper at the other.
AS_DAEMON = """
import os, pwd, sys
from heartbeatd.probes.base import EACH_CYCLE, Probe
from heartbeatd.probes.collector import Probes
from heartbeatd.probes.containers import Containers
from heartbeatd.cancel import CancelToken, SerialWorker
from pathlib import Path
os.setgroups([]); os.setgid(1); os.setuid(pwd.getpwnam("daemon").pw_uid)
probe = Containers(SerialWorker("docker"), f"unix://{sys.argv[1]}", Path(sys.argv[2]))
sample = Probes((Probe("containers", EACH_CYCLE, 60, probe.read),)).collect(lambda: 0, CancelToken())
print(sample.container_count, sample.reports[0].status, sample.reports[0].detail)
"""


def as_daemon(engine: Path, helper: Path) -> str:
    """Value, status and detail, as one line."""
    done = run_python("-c", AS_DAEMON, engine, helper)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a helper with more rights than the agent")
def test_a_socket_that_the_agent_cannot_look_at() -> None:
    """Podman's, in a folder that is root's alone: the helper is asked, who may look, and what it says is said."""
    with tempfile.TemporaryDirectory(prefix="hb-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "podman").mkdir(mode=0o700)
        link, real = folder / "docker.sock", folder / "podman/podman.sock"
        link.symlink_to(real)
        with helper_for_all(folder, link) as helper:
            assert "absent" in as_daemon(link, helper)
            with socket.socket(socket.AF_UNIX) as engine:
                engine.bind(str(real))
                engine.listen()
                thread = threading.Thread(target=answer_one, args=(engine,))
                thread.start()
                assert as_daemon(link, helper) == "1 read"
                thread.join()
            assert "fault" in as_daemon(link, helper)
            assert "connection refused" in as_daemon(link, helper)
        assert "not there to be asked" in as_daemon(link, folder / "nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a user to be")
def test_without_docker_nobody_is_asked() -> None:
    """No socket, no folder: nothing to read, and no word about the helper, which is not there."""
    for path in (Path("/run/no-docker-here.sock"), Path("/run/no-folder-here/docker.sock")):
        assert (
            as_daemon(path, Path("/nobody"))
            == f"None absent there is no {path}: Docker is not installed or not running"
        )


@contextlib.contextmanager
def helper_for_all(folder: Path, engine: Path) -> Iterator[Path]:
    """A helper, run by root, that answers the user daemon."""
    with containers_helper(folder, engine, user="daemon") as (path, _):
        path.chmod(0o666)
        yield path


def answer_one(engine: socket.socket) -> None:
    """One container, to whoever asks first."""
    connection, _ = engine.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b'HTTP/1.0 200 OK\r\n\r\n[{"Id":"a"}]')


def test_an_engine_that_never_answers(tmp_path: Path) -> None:
    """Each cycle goes on at its deadline; it is not asked again beside itself; connections do not pile up."""
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(tmp_path / "docker.sock"))
        hung.listen(64)
        with counting(tmp_path / "docker.sock", 0.5) as count:
            for _ in range(6):
                began_s = time.monotonic()
                reading = count()
                assert time.monotonic() - began_s < 30
                assert reading.reports[0].status is ProbeStatus.FAILED
            hung.setblocking(False)
            taken = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    taken.append(hung.accept()[0])
            assert taken
            assert sum(is_open(connection) for connection in taken) <= 1
        for connection in taken:
            connection.close()


def is_open(connection: socket.socket) -> bool:
    """False once the other side has closed it; what it had sent is read."""
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while connection.recv(4096):
            pass
        return False
    return True


def test_an_engine_that_talks_rubbish(tmp_path: Path) -> None:
    """Failed, and no exception."""
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind(str(tmp_path / "docker.sock"))
        odd.listen()

        def serve() -> None:
            for _ in range(2):
                connection, _ = odd.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nrubbish!")

        thread = threading.Thread(target=serve)
        thread.start()
        with counting(tmp_path / "docker.sock", 5) as count:
            assert [count().reports[0].status for _ in range(2)] == [ProbeStatus.FAILED] * 2
        thread.join()


@pytest.mark.docker
def test_running_containers_are_counted(engine: Engine) -> None:
    """Those that run, and no others: not those that exited, were killed or only created."""
    with counting(engine.socket, 10) as count:
        assert count().container_count == 0
        first, second = engine.run_container(), engine.run_container()
        engine.docker("create", "--network=none", "busybox:test", "/busybox", "true")
        engine.docker("run", "--network=none", "busybox:test", "/busybox", "true")
        assert count().container_count == 2
        engine.docker("kill", first)
        assert count().container_count == 1
        engine.docker("rm", "--force", second)
        assert count().container_count == 0


@pytest.mark.docker
def test_one_request_a_cycle(engine: Engine, tmp_path: Path) -> None:
    """However many containers run, a cycle asks once, whatever the API version is."""
    engine.run_container()
    engine.run_container()
    with Relay(tmp_path / "relay", engine.socket) as relay, counting(tmp_path / "relay", 10) as count:
        for _ in range(5):
            assert count().container_count == 2
        assert relay.connections == 5
        assert relay.requests == ["GET /containers/json HTTP/1.0"] * 5


@pytest.mark.docker
def test_an_engine_that_stands_still(engine: Engine) -> None:
    """SIGSTOP: unknown, each time within the deadline; SIGCONT: counted again, without a restart of ours."""
    with counting(engine.socket, 1) as count:
        before = count().container_count
        assert before is not None
        engine.signal(signal.SIGSTOP)
        try:
            for _ in range(3):
                began_s = time.monotonic()
                assert count().container_count is None
                assert time.monotonic() - began_s < 30
        finally:
            engine.signal(signal.SIGCONT)
        wait_until(lambda: count().container_count == before)


@pytest.mark.docker
def test_an_engine_that_is_restarted() -> None:
    """Gone: unknown. Back: counted again."""
    with own_engine() as engine, counting(engine.socket, 5) as count:
        assert count().container_count is not None
        engine.stop()
        assert count().container_count is None
        engine.start()
        wait_until(lambda: count().container_count is not None)


class Relay:
    """Stands between a client and the engine, and counts what passes: connections, and the first line of each request."""

    def __init__(self, path: Path, to: Path) -> None:
        self.connections = 0
        self.requests: list[str] = []
        self._to = to
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(str(self._to))
            self._sockets += [client, engine]
            for source, sink, note in ((client, engine, True), (engine, client, False)):
                self._threads.append(threading.Thread(target=self._carry, args=(source, sink, note)))
                self._threads[-1].start()

    def _carry(self, source: socket.socket, sink: socket.socket, note: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if note:
                    self.requests += [line for line in data.decode().split("\r\n") if line.endswith("HTTP/1.0")]
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(
    "said", [b"[]", b'[{"name":"a\\u001b","state":"running","health":"odd"}]', b'[{"name":1}]', b"[[]]", b"{"]
)
def test_what_a_helper_may_say_of_containers(said: bytes) -> None:
    """Names are cleaned, health is one of three words; what is no list of containers is unknown."""
    expected = {b"[]": (), b'[{"name":"a\\u001b","state":"running","health":"odd"}]': (Container("a?", "running"),)}
    assert containers_in(said) == expected.get(said)


@pytest.mark.docker
def test_the_list_comes_with_the_count(engine: Engine) -> None:
    """Also that of many, which does not fit into the head of the answer."""
    for _ in range(3):
        engine.run_container()
    with counting(engine.socket, 10) as count:
        sample = count()
        assert sample.containers is not None
        assert len(sample.containers) == sample.container_count
        assert {(one.state, one.health) for one in sample.containers} >= {("running", None)}


@pytest.mark.docker
def test_a_watched_container_of_a_real_engine(engine: Engine) -> None:
    """It is not there, started, paused and removed."""
    by = rule(RuleSettings(Policy(), "", "", containers=Watched(("watched",))))
    watched = Subject("container", "watched")

    def start() -> None:
        engine.docker(
            *("run", "--detach", "--network=none", "--name=watched"), *("busybox:test", "/busybox", "sleep", "600")
        )

    with counting(engine.socket, 10) as count:

        def state() -> str:
            sample = count()
            return next(one.state for one in by.observe(Seen(0, sample, None, {})) if one.subject == watched)

        assert state() == "stopped"
        start()
        assert state() == "restarting"  # in its first minute, of which nobody is told
        engine.docker("pause", "watched")
        assert state() == "stopped"
        engine.docker("rm", "--force", "watched")
        assert state() == "stopped"
