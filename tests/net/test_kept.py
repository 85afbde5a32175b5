"""A kept connection that died without a word, and one to a server that is merely slow: told apart, within one deadline."""

import time
from collections.abc import Callable

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target
from tests.support.scripted import Connection, Scripted, answers, endless, resets, silent, then

pytestmark = pytest.mark.timing  # a server's 0.9 s beside a deadline of 1.2 s
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Slow:
    """A server that answers the n-th request, on whichever connection, after so many seconds; it counts the requests."""

    def __init__(self, takes_s: Callable[[int], float]) -> None:
        self.requests = 0
        self._takes_s = takes_s

    def __call__(self, connection: Connection) -> None:
        while connection.read_request():
            self.requests += 1
            if connection.over.wait(self._takes_s(self.requests)):
                return
            connection.send(OK)


def beat(client: Client, url: str, timeout_s: float, *, repeatable: bool = True) -> int:
    """The status of one heartbeat."""
    request = Request("POST", Target.of(url), {}, b"{}", repeatable=repeatable)
    return client.send(request, timeout_s, CancelToken()).status


def test_a_dead_one_costs_half_of_the_time(client: Client) -> None:
    """The first connection falls silent after its first answer: the next beat arrives all the same, over a new one."""
    with Scripted(then(answers(times=1), silent), answers()) as server:
        assert beat(client, server.url, 2) == 200
        began_s = time.monotonic()
        assert beat(client, server.url, 2) == 200
        assert time.monotonic() - began_s > 0.9
        for _ in range(5):  # and the new one is the kept one now
            assert beat(client, server.url, 2) == 200
        assert len(server.connections) == 2


def test_what_must_not_arrive_twice_is_sent_once(client: Client) -> None:
    """An alert, whose tries the queue counts."""
    with Scripted(then(answers(times=1), silent), answers()) as server:
        assert beat(client, server.url, 1.2, repeatable=False) == 200
        with pytest.raises(RequestError) as caught:
            beat(client, server.url, 1.2, repeatable=False)
        assert caught.value.cause is Cause.TIMEOUT
        assert len(server.connections) == 1


def test_a_dead_server_costs_no_more_than_the_time(client: Client) -> None:
    """Silent on the kept connection and on the new one."""
    with Scripted(then(answers(times=1), silent), silent) as server:
        assert beat(client, server.url, 1.2) == 200
        began_s = time.monotonic()
        with pytest.raises(RequestError) as caught:
            beat(client, server.url, 1.2)
        assert 1.1 < time.monotonic() - began_s < 30
        assert caught.value.cause is Cause.TIMEOUT
        assert len(server.connections) == 2


def test_two_requests_at_the_most(client: Client) -> None:
    """Silent on the kept connection, reset on the new one: there is time left, and no third."""
    with Scripted(then(answers(times=1), silent), resets, answers()) as server:
        assert beat(client, server.url, 2) == 200
        with pytest.raises(RequestError) as caught:
            beat(client, server.url, 2)
        assert caught.value.cause is Cause.RESET
        assert len(server.connections) == 2


def test_a_server_that_becomes_slow(client: Client) -> None:
    """It takes three quarters of the time from the second beat on: each beat is answered, and one arrives twice, not all."""
    server_of = Slow(lambda number: 0.0 if number == 1 else 0.9)
    with Scripted(server_of) as server:
        for _ in range(5):
            assert beat(client, server.url, 1.2) == 200
    assert server_of.requests == 6


def test_a_late_answer_on_the_kept_one_counts(client: Client) -> None:
    """The new connection brings nothing: what comes on the old one meanwhile is the answer, and the old one is kept."""

    def late(connection: Connection) -> None:
        connection.read_request()
        if not connection.over.wait(0.9):
            connection.send(OK)

    with Scripted(then(answers(times=1), late, answers()), silent) as server:
        assert beat(client, server.url, 1.2) == 200
        assert beat(client, server.url, 1.2) == 200
        assert beat(client, server.url, 1.2) == 200
        assert len(server.connections) == 2


def test_an_answer_that_has_begun_is_waited_for(client: Client) -> None:
    """A connection on which something comes is not dead."""

    def halting(connection: Connection) -> None:
        connection.read_request()
        connection.send(OK[:9])
        if not connection.over.wait(0.9):
            connection.send(OK[9:])

    with Scripted(then(answers(times=1), halting), answers()) as server:
        assert [beat(client, server.url, 1.4) for _ in range(2)] == [200, 200]
        assert len(server.connections) == 1


def test_too_little_time_for_two_tries(client: Client) -> None:
    """With less than a second there is one."""
    with Scripted(then(answers(times=1), silent), answers()) as server:
        assert beat(client, server.url, 0.5) == 200
        with pytest.raises(RequestError):
            beat(client, server.url, 0.5)
        assert len(server.connections) == 1


def test_a_late_answer_without_end(client: Client) -> None:
    """What comes on the silent connection in the end is bounded as any answer is."""
    flood = endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    def late(connection: Connection) -> None:
        if not connection.over.wait(1):
            flood(connection)

    with Scripted(then(answers(times=1), late), silent) as server:
        assert beat(client, server.url, 1.2) == 200
        began_s = time.monotonic()
        with pytest.raises(RequestError):
            beat(client, server.url, 1.2)
        assert time.monotonic() - began_s < 30


def test_distrusted(client: Client) -> None:
    """After a suspend the kept connection is not used any more, whatever its state."""
    with Scripted(answers()) as server:
        assert [beat(client, server.url, 5) for _ in range(2)] == [200, 200]
        client.distrust()
        assert [beat(client, server.url, 5) for _ in range(2)] == [200, 200]
        assert len(server.connections) == 2
