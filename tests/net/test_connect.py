"""The first address that answers wins."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.net.answer import RequestError
from heartbeatd.net.connect import CONNECTION_ATTEMPT_DELAY_S, _interleaved, connect
from heartbeatd.net.resolve import Address
from tests.support.clocks import FakeClock


@contextmanager
def listening(host: str) -> Iterator[Address]:
    """A port that takes connections."""
    with socket.create_server((host, 0)) as server:
        yield Address(socket.AF_INET, server.getsockname())


@contextmanager
def closed(host: str) -> Iterator[Address]:
    """A port that is ours, and refuses."""
    with socket.socket() as held:
        held.bind((host, 0))
        yield Address(socket.AF_INET, held.getsockname())


@contextmanager
def dropping(host: str) -> Iterator[Address]:
    """A port that drops what knocks, as a firewall does: a listener whose queue is full."""
    with socket.create_server((host, 0), backlog=0) as server:
        held = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
            held.append(sock)
        time.sleep(0.05)
        yield Address(socket.AF_INET, server.getsockname())
        for sock in held:
            sock.close()


def test_the_one_address() -> None:
    """It is connected to, by a socket that does not block."""
    cancel = CancelToken()
    with listening("127.0.0.1") as address, connect([address], cancel.deadline(60), cancel) as sock:
        assert sock.getpeername() == address.sockaddr
        assert not sock.getblocking()


def test_a_refusal_is_followed_by_the_next_address() -> None:
    """The second answers."""
    cancel = CancelToken()
    with (
        closed("127.0.0.1") as first,
        listening("127.0.0.2") as second,
        connect([first, second], cancel.deadline(60), cancel) as sock,
    ):
        assert sock.getpeername() == second.sockaddr


def test_an_address_that_drops_packets_holds_nobody_up() -> None:
    """The second is tried beside the first after a quarter of a second, and wins."""
    clock = FakeClock()
    cancel, began_ns = CancelToken(clock), clock.monotonic_ns()
    with dropping("127.0.0.1") as first, listening("127.0.0.2") as second:
        with connect([first, second], cancel.deadline(60), cancel) as sock:
            assert sock.getpeername() == second.sockaddr
        assert clock.monotonic_ns() - began_ns == CONNECTION_ATTEMPT_DELAY_S * NS_PER_S


def test_nobody_answers() -> None:
    """All refuse; all drop; there is none."""
    clock = FakeClock()
    cancel, began_ns = CancelToken(clock), clock.monotonic_ns()
    with closed("127.0.0.1") as one, closed("127.0.0.2") as two, pytest.raises(RequestError) as caught:
        connect([one, two], cancel.deadline(60), cancel)
    assert caught.value.cause is Cause.REFUSED
    with pytest.raises(RequestError) as caught:
        connect([], cancel.deadline(60), cancel)
    assert caught.value.cause is Cause.DNS
    assert clock.monotonic_ns() == began_ns
    with dropping("127.0.0.1") as one, dropping("127.0.0.2") as two, pytest.raises(RequestError) as caught:
        connect([one, two], cancel.deadline(60), cancel)
    assert caught.value.cause is Cause.TIMEOUT
    assert clock.monotonic_ns() == began_ns + 60 * NS_PER_S


def test_to_cancel_ends_it_at_once() -> None:
    """Whichever attempts are under way; what has connected by then may be used."""
    clock = FakeClock()
    cancel, began_ns = CancelToken(clock), clock.monotonic_ns()
    clock.at(7, cancel.cancel)
    with dropping("127.0.0.1") as one, dropping("127.0.0.2") as two, pytest.raises(Cancelled):
        connect([one, two], cancel.deadline(60), cancel)
    assert clock.monotonic_ns() == began_ns + 7 * NS_PER_S


@given(st.lists(st.sampled_from([socket.AF_INET, socket.AF_INET6])))
def test_families_alternate(families: list[int]) -> None:
    """Every address is tried once; the first stays first; the families alternate while both last, each in its own order."""
    given_ = [Address(family, (str(number), 0)) for number, family in enumerate(families)]
    mixed = _interleaved(given_)
    assert sorted(mixed, key=str) == sorted(given_, key=str)
    assert mixed[:1] == given_[:1]
    for family in (socket.AF_INET, socket.AF_INET6):
        assert [a for a in mixed if a.family == family] == [a for a in given_ if a.family == family]
    both = 2 * min(families.count(socket.AF_INET), families.count(socket.AF_INET6))
    assert all(mixed[n].family != mixed[n + 1].family for n in range(both - 1))
