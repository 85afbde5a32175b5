"""The heartbeat and the webhook against a Worker and a webhook that really listen."""

import threading
from collections.abc import Iterator

import pytest

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.heartbeat import Heartbeat
from heartbeatd.net.http import Client
from heartbeatd.net.resolve import Resolver
from heartbeatd.notify.webhook import NotDelivered, Webhook
from tests.store.conftest import NOW_NS, alert
from tests.support.receiver import SILENCE, WEBHOOK, WORKER, Receiver


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


def test_delivered_is_2xx(client: Client, receiver: Receiver, cancel: CancelToken) -> None:
    """All else is to be tried again, with the reason; 404 explains n8n."""
    webhook = Webhook(client, receiver.url(WEBHOOK) + "?token=hidden", 5)
    for status in (200, 201, 299):
        receiver.answer(WEBHOOK + "?token=hidden", status)
        assert webhook.send(alert(1), NOW_NS, cancel) == status
    for status in (302, 404, 500):
        receiver.answer(WEBHOOK + "?token=hidden", status)
        with pytest.raises(NotDelivered, match=f"HTTP {status}") as caught:
            webhook.send(alert(1), NOW_NS, cancel)
        assert ("n8n" in str(caught.value)) == (status == 404)
        assert "hidden" not in str(caught.value)


def test_a_webhook_that_is_not_there(client: Client, receiver: Receiver, cancel: CancelToken) -> None:
    """Refused, hanging, broken off."""
    with pytest.raises(NotDelivered, match="refused"):
        Webhook(client, "http://127.0.0.1:9/", 5).send(alert(1), NOW_NS, cancel)
    receiver.answer(WEBHOOK, SILENCE)
    with pytest.raises(NotDelivered, match="if this is n8n, set Respond of its Webhook node to Immediately"):
        Webhook(client, receiver.url(WEBHOOK), 0.3).send(alert(1), NOW_NS, cancel)
    threading.Timer(0.2, cancel.cancel).start()
    with pytest.raises(Cancelled):
        Webhook(client, receiver.url(WEBHOOK), 20).send(alert(1), NOW_NS, cancel)
