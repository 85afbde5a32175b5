"""Root holds what the Docker SDK lists against what the helper says: with an engine that plays both, and with a real one."""

import json
import os
import pwd
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heartbeatd.config.load import DEFAULT_PATH
from heartbeatd.ctl import service
from heartbeatd.ctl.check import containers_sdk
from heartbeatd.ctl.check.finding import Finding, Verdict
from tests.ctl.check.conftest import situation
from tests.support.engine import containers_helper, own_engine

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root compares")


def container(name: str) -> dict[str, object]:
    return {"Id": "0123456789abcdef", "Names": [f"/{name}"], "State": "running", "Status": "Up"}


@contextmanager
def engine_of(folder: Path, to_helper: list[str], to_sdk: list[str], answers: int) -> Iterator[Path]:
    """An engine that lists these to whoever asks as the helper does, by HTTP/1.0, and those to the SDK."""
    path = folder / "engine.sock"

    def serve() -> None:
        for _ in range(answers):
            connection, _ = listening.accept()
            with connection:
                asked = connection.recv(4096)
                said: object = [container(name) for name in (to_helper if b"HTTP/1.0" in asked else to_sdk)]
                if b"/version" in asked:
                    said = {"ApiVersion": "1.41"}
                body = json.dumps(said).encode()
                head = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
        listening.shutdown(socket.SHUT_RDWR)  # who asks once more is refused

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join(60)
        assert not thread.is_alive(), "it was not asked as often as it was to be"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, in which only root can put something."""
    with tempfile.TemporaryDirectory(prefix="hb-sdk-", dir="/run") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(autouse=True)
def as_much_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child begins with all that the tests' process has reserved by then, where heartbeatctl has reserved next to nothing."""
    reserved = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(containers_sdk, "LARGEST_MEMORY_BYTES", containers_sdk.LARGEST_MEMORY_BYTES + reserved)


def compared(engine: Path, folder: Path) -> list[Finding]:
    """By the service's configuration, with a helper that answers whoever asks in the child."""
    try:
        user = pwd.getpwnam(service.USER).pw_name
    except KeyError:
        user = "root"
    given = situation(DEFAULT_PATH, docker={"socket": f"unix://{engine}", "timeout_seconds": 10})
    with containers_helper(folder, engine, user) as (helper, _):
        helper.chmod(0o666)
        return list(containers_sdk.check(given, helper))


@as_root
def test_the_same(folder: Path) -> None:
    """Whatever the order: one line, with the number."""
    with engine_of(folder, ["web", "db"], ["db", "web"], answers=3) as engine:
        (finding,) = compared(engine, folder)
    assert finding.verdict is Verdict.OK
    assert finding.text == "the Docker SDK lists the same as the helper: 2 running containers"


@as_root
def test_others_each_time(folder: Path) -> None:
    """Looked at three times before it is said; who lists what is named."""
    with engine_of(folder, ["web", "ghost"], ["web", "db"], answers=3 * containers_sdk.TRIES) as engine:
        (finding,) = compared(engine, folder)
    assert finding.verdict is Verdict.WARNING
    assert finding.text.endswith("only the helper: ghost; only the SDK: db")


@as_root
def test_without_the_sdk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where python3-docker is not installed: said, and nothing is wrong."""
    monkeypatch.setitem(sys.modules, "docker", None)  # type: ignore[misc]  # that is how Python is told of none
    with engine_of(folder, ["web"], [], answers=1) as engine:
        (finding,) = compared(engine, folder)
    assert finding == containers_sdk.not_compared(containers_sdk.NO_SDK)


@as_root
def test_an_engine_that_the_sdk_cannot_ask(folder: Path) -> None:
    """It answers the helper, and then nobody any more: why is said."""
    with engine_of(folder, ["web"], [], answers=1) as engine:
        (finding,) = compared(engine, folder)
    assert finding.verdict is Verdict.OK
    assert finding.text.startswith("not compared with what the Docker SDK lists: ")


@as_root
def test_where_others_could_put_a_socket(folder: Path) -> None:
    """Root asks nobody there."""
    folder.chmod(0o777)
    with engine_of(folder, ["web"], [], answers=1) as engine:
        (finding,) = compared(engine, folder)
    assert finding == containers_sdk.not_compared(containers_sdk.not_roots(engine))


@as_root
def test_nothing_to_compare(folder: Path) -> None:
    """No engine, no helper, switched off, another configuration than the service's: others say what there is to say."""
    here = folder / "none.sock"
    assert compared(here, folder) == []
    on = {"socket": f"unix://{here}"}
    assert list(containers_sdk.check(situation(DEFAULT_PATH, docker=on), folder / "nobody")) == []
    assert list(containers_sdk.check(situation(DEFAULT_PATH), folder / "nobody")) == []
    assert list(containers_sdk.check(situation(folder / "other.toml", docker=on), folder / "nobody")) == []


@pytest.mark.docker
def test_a_real_engine(folder: Path) -> None:
    """Running and paused ones, not those that ended."""
    with own_engine() as engine:
        engine.docker("rename", engine.run_container(), "web")
        engine.docker("pause", engine.run_container())
        engine.docker("run", "--network=none", "busybox:test", "/busybox", "true")
        (finding,) = compared(engine.socket, folder)
    assert finding.text == "the Docker SDK lists the same as the helper: 2 running containers"
