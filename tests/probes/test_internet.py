"""The internet check, against servers that answer well, badly and never."""

import time
from collections.abc import Callable, Iterator

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.net.http import Client
from heartbeatd.net.resolve import Resolver
from heartbeatd.probes.base import EACH_CYCLE, Probe
from heartbeatd.probes.collector import Probes
from heartbeatd.probes.internet import Internet, Ping
from tests.support.scripted import Scripted, answers, endless, silent

Check = Callable[[str, float], Ping]


@pytest.fixture
def check() -> Iterator[Check]:
    """Checks a URL within a time."""
    client = Client(Resolver(), "test")

    def run(url: str, timeout_s: float) -> Ping:
        return Internet(client, url).check(timeout_s, CancelToken())

    yield run
    client.close()


@pytest.mark.parametrize("status", [200, 204, 301, 302, 399])
def test_reachable(check: Check, status: int) -> None:
    """2xx and 3xx, asked for with HEAD over one connection, redirects not followed."""
    with Scripted(answers(status, "Location: http://127.0.0.1:9/\r\n")) as server:
        for _ in range(3):
            found = check(server.url, 10)
            assert found.ok
            assert found.ms is not None
            assert 0 < found.ms < 10_000
        assert len(server.connections) == 1
        assert server.requests[0].startswith(b"HEAD / HTTP/1.1\r\n")


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_another_answer(check: Check, status: int) -> None:
    """A captive portal that refuses is not the internet."""
    with Scripted(answers(status)) as server:
        assert check(server.url, 10) == Ping(False, None, f"HTTP {status}")


@pytest.mark.parametrize("script", [silent, endless(b"H", b"T", 0.05)], ids=["silence", "dribble"])
def test_no_answer_in_time(check: Check, script: Callable[[object], None]) -> None:
    """A finding, at the deadline."""
    with Scripted(script) as server:
        began_s = time.monotonic()
        found = check(server.url, 0.3)
        assert time.monotonic() - began_s < 30
    assert (found.ok, found.ms) == (False, None)
    assert "timeout" in found.detail


def test_nobody_there(check: Check) -> None:
    """Refused."""
    assert "refused" in check("http://127.0.0.1:9/", 5).detail


@pytest.mark.parametrize(("status", "detail"), [(500, "HTTP 500"), (200, "")])
def test_the_sample_says_why(status: int, detail: str) -> None:
    """What the check found goes along with what it measured."""
    client = Client(Resolver(), "test")
    with Scripted(answers(status)) as server:
        row = Probe("internet", EACH_CYCLE, 10, Internet(client, server.url).read)
        sample = Probes((row,)).collect(lambda: 0, CancelToken())
        client.close()
    assert (sample.internet_ok, sample.internet_detail) == (status == 200, detail)
