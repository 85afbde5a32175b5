"""A kept connection that died without a word, and one to a server that is merely slow: told apart, within one deadline."""

from collections.abc import Callable

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target
from tests.support.clocks import FakeClock
from tests.support.scripted import Connection, Scripted, answers, resets, silent, then

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Beats:
    """Sends heartbeats by a clock on which time passes only while the server has nothing to do."""

    def __init__(self, client: Client) -> None:
        self.clock = FakeClock()
        self._client, self._cancel = client, CancelToken(self.clock)

    def __call__(self, server: Scripted, timeout_s: float, *, repeatable: bool = True) -> tuple[int | Cause, float]:
        """The status of one heartbeat, or why there is none, and the seconds that it took."""
        self.clock.settled = lambda: server.settled
        began_ns = self.clock.monotonic_ns()
        request = Request("POST", Target.of(server.url), {}, b"{}", repeatable=repeatable)
        try:
            came: int | Cause = self._client.send(request, timeout_s, self._cancel).status
        except RequestError as error:
            came = error.cause
        return came, round((self.clock.monotonic_ns() - began_ns) / NS_PER_S, 3)


@pytest.fixture
def beat(client: Client) -> Beats:
    return Beats(client)


class Slow:
    """A server that answers the n-th request, on whichever connection, after so many seconds; it counts the requests."""

    def __init__(self, clock: FakeClock, takes_s: Callable[[int], float]) -> None:
        self.requests = 0
        self._clock, self._takes_s = clock, takes_s

    def __call__(self, connection: Connection) -> None:
        while connection.read_request():
            self.requests += 1
            connection.pause(self._clock, self._takes_s(self.requests))
            connection.send(OK)


def test_a_dead_one_costs_half_of_the_time(beat: Beats) -> None:
    """The first connection falls silent after its first answer: the next beat arrives all the same, over a new one."""
    with Scripted(then(answers(times=1), silent), answers()) as server:
        assert beat(server, 2) == (200, 0)
        assert beat(server, 2) == (200, 1)
        for _ in range(5):  # and the new one is the kept one now
            assert beat(server, 2) == (200, 0)
        assert len(server.connections) == 2


def test_what_must_not_arrive_twice_is_sent_once(beat: Beats) -> None:
    """An alert, whose tries the queue counts."""
    with Scripted(then(answers(times=1), silent), answers()) as server:
        assert beat(server, 1.2, repeatable=False) == (200, 0)
        assert beat(server, 1.2, repeatable=False) == (Cause.TIMEOUT, 1.2)
        assert len(server.connections) == 1


def test_a_dead_server_costs_no_more_than_the_time(beat: Beats) -> None:
    """Silent on the kept connection and on the new one."""
    with Scripted(then(answers(times=1), silent), silent) as server:
        assert beat(server, 1.2) == (200, 0)
        assert beat(server, 1.2) == (Cause.TIMEOUT, 1.2)
        assert len(server.connections) == 2


def test_two_requests_at_the_most(beat: Beats) -> None:
    """Silent on the kept connection, reset on the new one: there is time left, and no third."""
    with Scripted(then(answers(times=1), silent), resets, answers()) as server:
        assert beat(server, 2) == (200, 0)
        assert beat(server, 2) == (Cause.RESET, 1)
        assert len(server.connections) == 2


def test_a_server_that_becomes_slow(beat: Beats) -> None:
    """It takes three quarters of the time from the second beat on: each beat is answered, and one arrives twice, not all."""
    slow = Slow(beat.clock, lambda number: 0.0 if number == 1 else 0.9)
    with Scripted(slow) as server:
        assert [beat(server, 1.2) for _ in range(5)] == [(200, 0), (200, 1.2), (200, 0.9), (200, 0.9), (200, 0.9)]
    assert slow.requests == 6


def test_a_late_answer_on_the_kept_one_counts(beat: Beats) -> None:
    """The new connection brings nothing: what comes on the old one meanwhile is the answer, and the old one is kept."""

    def late(connection: Connection) -> None:
        connection.read_request()
        connection.pause(beat.clock, 0.9)
        connection.send(OK)

    with Scripted(then(answers(times=1), late, answers()), silent) as server:
        assert [beat(server, 1.2) for _ in range(3)] == [(200, 0), (200, 1.2), (200, 0)]
        assert len(server.connections) == 2


def test_an_answer_that_has_begun_is_waited_for(beat: Beats) -> None:
    """A connection on which something comes is not dead."""

    def halting(connection: Connection) -> None:
        connection.read_request()
        connection.send(OK[:9])
        connection.pause(beat.clock, 0.9)
        connection.send(OK[9:])

    with Scripted(then(answers(times=1), halting), answers()) as server:
        assert [beat(server, 1.4) for _ in range(2)] == [(200, 0), (200, 0.9)]
        assert len(server.connections) == 1


def test_too_little_time_for_two_tries(beat: Beats) -> None:
    """With less than a second there is one."""
    with Scripted(then(answers(times=1), silent), answers()) as server:
        assert beat(server, 0.5) == (200, 0)
        assert beat(server, 0.5) == (Cause.TIMEOUT, 0.5)
        assert len(server.connections) == 1


def test_a_late_answer_is_bounded(beat: Beats) -> None:
    """What comes on the silent connection in the end is no longer than any answer may be."""

    def late(connection: Connection) -> None:
        connection.pause(beat.clock, 1)
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        silent(connection)

    with Scripted(then(answers(times=1), late), silent) as server:
        assert beat(server, 1.2) == (200, 0)
        assert beat(server, 1.2) == (Cause.PROTOCOL, 1.2)


def test_distrusted(beat: Beats, client: Client) -> None:
    """After a suspend the kept connection is not used any more, whatever its state."""
    with Scripted(answers()) as server:
        assert [beat(server, 5) for _ in range(2)] == [(200, 0), (200, 0)]
        client.distrust()
        assert [beat(server, 5) for _ in range(2)] == [(200, 0), (200, 0)]
        assert len(server.connections) == 2
