"""Checks of services against servers that really listen, and misbehave; and what a cycle is told of them."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import SystemClock
from heartbeatd.core.container import Container
from heartbeatd.core.service import Expected, Service, ServiceCheck, ServiceKind
from heartbeatd.net.resolve import Resolver
from heartbeatd.pool import Pool
from heartbeatd.probes.base import EACH_CYCLE, Probe
from heartbeatd.probes.collector import Probes
from heartbeatd.probes.service_checker import BODY_BYTES, Checker
from heartbeatd.probes.services import Beside, Services
from tests.support import certificates
from tests.support.certificates import Authority
from tests.support.scripted import Script, Scripted, answers, endless, hangs_up, resets, says, silent, then
from tests.support.wait import wait_until

SLACK_S = 20.0  # on a busy machine; what is proved is that nothing hangs
CLOCK = SystemClock()


def http(url: str, **settings: object) -> Service:
    return replace(Service("web", ServiceKind.HTTP, url, timeout_s=10), **settings)  # type: ignore[arg-type]


def check(service: Service) -> ServiceCheck:
    """One check, in this thread."""
    began_s = time.monotonic()
    found = Checker(Resolver(), "test", CLOCK).at(service)(CancelToken())
    assert time.monotonic() - began_s < service.timeout_s + SLACK_S
    return found


def came_to(service: Service) -> tuple[str, str | None]:
    outcome = check(service).outcome
    return outcome.state, outcome.reason


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority of our own."""
    return certificates.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """It is one of the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


def test_an_answer_over_http() -> None:
    """Asked with GET on a connection of its own each time, and no redirect is followed."""
    with Scripted(answers(301, "Location: http://127.0.0.1:9/\r\n")) as server:
        assert came_to(http(server.url)) == ("error", "status")
        found = check(http(server.url, expected=Expected(((300, 399),))))
        assert (found.outcome.state, found.outcome.value, found.certificate_days, found.outside) == (
            *("healthy", 301, None),
            False,
        )
        assert found.took_ms is not None
        assert len(server.connections) == 2
        assert server.requests[0].startswith(b"GET / HTTP/1.1\r\n")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (answers(body=b"it is ok"), ("healthy", None)),
        (answers(body=b"it is not"), ("error", "text")),
        (says(CHUNKED + b"3\r\n o\r\n"[:3] + b" ok\r\n0\r\n\r\n"), ("healthy", None)),
        (says(b"HTTP/1.0 200 OK\r\n\r\nok"), ("healthy", None)),
        (answers(body=BODY_BYTES * b"x" + b"ok"), ("error", "text")),
        (endless(CHUNKED, b"400\r\n" + 1024 * b"x" + b"\r\n"), ("error", "text")),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"ok" + 4096 * b"x"), ("healthy", None)),
        (endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"), ("error", "protocol")),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\no"), ("error", "text")),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), ("error", "protocol")),
        (resets, ("error", "reset")),
        (hangs_up, ("error", "reset")),
    ],
)
def test_a_text_in_the_answer(script: Script, found: tuple[str, str | None]) -> None:
    """In the first 32 KiB of it, however it comes and however much there is."""
    with Scripted(script) as server:
        assert came_to(http(server.url, expected=Expected(text="ok"))) == found


@pytest.mark.parametrize(
    "script",
    [silent, endless(b"H", b"T", 0.05), then(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), silent)],
    ids=["silence", "a drip", "a body that does not come"],
)
def test_what_takes_too_long(script: Script) -> None:
    """Is over at the deadline."""
    with Scripted(script) as server:
        assert came_to(http(server.url, timeout_s=1, expected=Expected(text="x"))) == ("timeout", "timeout")


def test_a_certificate(trusted: Authority) -> None:
    """Its days are counted; one that has expired, or is another's, is an error with its reason; `resolve` keeps its name."""
    good = trusted.server("shop", san="DNS:shop.example")
    with Scripted(answers(), tls=good) as server:
        url = f"https://shop.example:{server.port}/"
        found = check(http(url, address="127.0.0.1"))
        assert found.outcome.state == "healthy"
        assert found.certificate_days is not None
        assert found.certificate_days > 20_000
        assert not found.outside
        assert f"Host: shop.example:{server.port}\r\n".encode() in server.requests[0]
        another = check(http(server.url)).outcome
        assert (another.state, another.reason) == ("error", "tls")
        assert "certificate refused" in another.detail
    with Scripted(answers(), tls=trusted.server("old", expired=True)) as server:
        expired = check(http(server.url)).outcome
        assert (expired.state, expired.reason) == ("error", "tls")
        assert "certificate has expired" in expired.detail


def test_a_port() -> None:
    """That takes connections, or refuses them; that of a name without an address, too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert came_to(Service("db", ServiceKind.TCP, f"127.0.0.1:{port}")) == ("healthy", None)
    refused = check(Service("db", ServiceKind.TCP, f"127.0.0.1:{port}"))
    assert (refused.outcome.state, refused.outcome.reason) == ("down", "refused")
    assert refused.took_ms is None
    assert came_to(Service("db", ServiceKind.TCP, "[::1]:1")) == ("down", "refused")
    nowhere = check(Service("db", ServiceKind.TCP, "nowhere.invalid:1"))
    assert (nowhere.outcome.state, nowhere.outcome.reason) == ("down", "dns")


@pytest.mark.parametrize(
    ("at", "address", "outside"),
    [
        ("192.0.2.1:1", "", False),  # reserved for documentation: nobody's
        ("1.1.1.1:1", "", True),
        ("shop.example.org:1", "", True),
        ("shop.example.org:1", "10.1.2.3", False),
        ("nas:1", "", False),
        ("nas.home.arpa:1", "", False),
        ("localhost:1", "", False),
        ("[fe80::1%lo]:1", "", False),
        ("[2606:4700::1111]:1", "", True),
    ],
)
def test_what_lies_outside(at: str, address: str, outside: bool) -> None:
    """What it takes the internet to get to: of a name that has never been looked up so far as it tells."""
    service = Service("x", ServiceKind.TCP, at, timeout_s=1, address=address)
    checker = Checker(NoNames(), "test", CLOCK)
    assert checker.at(service)(CancelToken()).outside is outside


class NoNames(Resolver):
    """A resolver that is not asked: whatever it is asked for, there is no time."""

    def lookup(self, host: str, port: int, deadline_ns: int, cancel: CancelToken) -> "tuple[()]":
        return super().lookup("nowhere.invalid", port, deadline_ns, cancel)  # type: ignore[return-value]


def test_a_unit_where_systemd_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says nothing of the unit; a systemctl that hangs or talks without end is ended."""
    service = Service("cron", ServiceKind.UNIT, "cron.service", timeout_s=1)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check(service).outcome.detail == "systemctl: No such file or directory"
    for script, detail in (
        ("exec /bin/sleep 1000", "systemd does not answer in time"),
        ("exec /usr/bin/yes", "systemctl says too much"),
        ("echo no bus; exit 1", "no bus"),
        ("exit 3", "systemctl ended with status 3"),
    ):
        (tmp_path / "systemctl").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "systemctl").chmod(0o755)
        outcome = check(service).outcome
        assert (outcome.state, outcome.reason, outcome.detail) == ("unknown", "not asked", detail)
    (tmp_path / "systemctl").write_text(
        "#!/bin/sh\necho ActiveState=failed; echo SubState=failed; echo Result=signal\n"
    )
    outcome = check(service).outcome
    assert (outcome.state, outcome.detail) == ("error", "failed, signal")


class Agent:
    """Cycles that collect from services alone."""

    def __init__(self) -> None:
        self.pool: Pool[ServiceCheck] = Pool()
        self.internet_failed = False
        self.containers: tuple[Container, ...] | None = ()
        self.cancel = CancelToken()

    def use(self, *services: Service) -> None:
        beside = Beside(lambda: self.internet_failed, lambda: self.containers)
        probe = Services(services, self.pool, Checker(Resolver(), "test", CLOCK), CLOCK, beside)
        self.probes = Probes((Probe("services", EACH_CYCLE, 0, probe.read),))

    def cycle(self) -> tuple[dict[str, str], list[str]]:
        """The state of each service, and which were checked since the cycle before."""
        began_s = time.monotonic()
        sample = self.probes.collect(CLOCK.now_ns, self.cancel)
        assert time.monotonic() - began_s < 1, "a cycle waits for no service"
        return {one.name: one.told for one in sample.services}, [one.name for one in sample.service_checks]

    def until(self, true: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """Cycles until it is; all that is known then."""
        wait_until(lambda: true(self.cycle()[0]))
        return self.cycle()[0]


@pytest.fixture
def agent() -> Iterator[Agent]:
    made = Agent()
    yield made
    made.pool.close(patience_s=10)


def test_a_cycle_is_told_what_is_new_and_what_is_known(agent: Agent) -> None:
    """Each check once, and the last of each in every cycle, over a reload, too; what is not there any more is forgotten."""
    with Scripted(answers()) as server:
        web, db = http(server.url, every_s=3600), Service("db", ServiceKind.TCP, "127.0.0.1:1", 1, 1)
        agent.use(web, db)
        found = agent.until(lambda known: len(known) == 2)
        assert found == {"web": "healthy", "db": "down"}
        agent.use(web)
        assert agent.cycle() == ({"web": "healthy"}, [])
        assert len(server.connections) == 1


def test_fifty_that_hang_cost_no_cycle_its_slot(agent: Agent) -> None:
    """Nor more than 12 threads; and the one that answers is checked all the same."""
    with Scripted(silent) as dead, Scripted(answers()) as alive:
        hanging = [http(dead.url, name=f"dead-{n}", every_s=1, timeout_s=1) for n in range(50)]
        agent.use(http(alive.url, every_s=1, name="alive"), *hanging)
        found = agent.until(lambda known: len(known) == 51)
        assert found == {"alive": "healthy", **{service.name: "timeout" for service in hanging}}
        assert sum(thread.name.startswith("pool") for thread in threading.enumerate()) <= 12
        agent.pool.close(patience_s=10)


def test_a_container_is_looked_up_in_the_list(agent: Agent) -> None:
    """That the cycle has; as often as it says."""
    agent.containers = (Container("web-1", "running"),)
    agent.use(Service("shop", ServiceKind.CONTAINER, "web-1", every_s=3600))
    assert agent.cycle() == ({"shop": "healthy"}, ["shop"])
    agent.containers = None
    assert agent.cycle() == ({"shop": "healthy"}, [])
    agent.use(Service("shop", ServiceKind.CONTAINER, "web-1", every_s=3600))
    assert agent.cycle() == ({"shop": "unknown"}, ["shop"])


def test_without_internet_what_is_outside_is_unknown(agent: Agent) -> None:
    """What is on this host is what it is."""
    agent.internet_failed = True
    agent.use(
        Service("here", ServiceKind.TCP, "127.0.0.1:1", every_s=1, timeout_s=1),
        Service("there", ServiceKind.TCP, "there.invalid:1", every_s=1, timeout_s=1),
    )
    found = agent.until(lambda known: len(known) == 2)
    assert found["here"] == "down"
    assert found["there"] in ("unknown", "down")
    with Scripted(silent) as dead:
        agent.use(Service("away", ServiceKind.HTTP, f"http://1.1.1.1:{dead.port}/", every_s=1, timeout_s=1))
        assert agent.until(lambda known: len(known) == 1) == {"away": "unknown"}
    agent.pool.close(patience_s=10)


def test_names_that_hang_take_no_more_threads_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beyond have no name for now, and those that were asked for before go on."""
    over = threading.Event()

    def hang(host: str, *rest: object, **others: object) -> list[object]:
        if others.get("flags"):
            raise OSError
        over.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    resolver = Resolver(most=2)
    checker = Checker(resolver, "test", CLOCK)
    details = [
        checker.at(Service(name, ServiceKind.TCP, f"{name}:1", timeout_s=1))(CancelToken()).outcome.detail
        for name in ("a", "b", "c", "a")
    ]
    assert [detail.split(":")[0] for detail in details] == [
        "the resolver did not answer for a",
        "the resolver did not answer for b",
        "c",
        "the resolver did not answer for a",
    ]
    assert "has not answered for 2 other names" in details[2]
    over.set()
