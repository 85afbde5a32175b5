"""The heartbeat against a Worker that really listens."""

import threading
from collections.abc import Iterator

import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.heartbeat import Heartbeat
from heartbeatd.net.http import Client
from heartbeatd.net.resolve import Resolver
from tests.support.receiver import SILENCE, WORKER, Receiver


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of its own."""
    made = Client(Resolver(), "heartbeatd/test")
    yield made
    made.close()


@pytest.mark.parametrize("status", [200, 204, 220, 221, 302, 401, 403, 404, 500, 599])
def test_the_workers_status_comes_back(client: Client, receiver: Receiver, cancel: CancelToken, status: int) -> None:
    """With the key in the header and the body as given."""
    receiver.answer(WORKER, status)
    beat = Heartbeat(client, receiver.url(WORKER), "the-key", 5).send(b'{"host":"h"}', cancel)
    assert beat is not None
    assert (beat.status, beat.cause) == (status, None)
    (got,) = receiver.received(WORKER)
    assert (got.authorization, got.content_type, got.body) == ("Bearer the-key", "application/json", {"host": "h"})


def test_a_silent_worker(client: Client, receiver: Receiver, cancel: CancelToken) -> None:
    """No status, and the cause."""
    receiver.answer(WORKER, SILENCE)
    beat = Heartbeat(client, receiver.url(WORKER), "k", 0.3).send(b"{}", cancel)
    assert beat is not None
    assert (beat.status, beat.cause) == (None, Cause.TIMEOUT)


def test_a_beat_that_is_broken_off_says_nothing(client: Client, receiver: Receiver, cancel: CancelToken) -> None:
    """When the agent stops, the Worker is not to blame."""
    receiver.answer(WORKER, SILENCE)
    threading.Timer(0.2, cancel.cancel).start()
    assert Heartbeat(client, receiver.url(WORKER), "k", 20).send(b"{}", cancel) is None
