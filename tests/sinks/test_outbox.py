"""Alerts arrive, in order, whatever the webhook does; and wait on the disk until they have."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.clock import SystemClock
from heartbeatd.core.events import NOTICE
from heartbeatd.net.http import Client
from heartbeatd.net.resolve import Resolver
from heartbeatd.sinks.outbox import CAP_S, FIRST_PAUSE_S, JITTER, Outbox, pause_s
from heartbeatd.sinks.store import Store
from heartbeatd.sinks.webhook import Webhook
from tests.receiver import SILENCE, WEBHOOK, Receiver
from tests.sinks.conftest import NOW_NS, alert

Start = Callable[[], Outbox]


@pytest.fixture
def start(path: Path, receiver: Receiver) -> Iterator[Start]:
    """Starts outboxes on the database at `path`, as starts of the agent would, and ends them."""
    made: list[tuple[Outbox, Webhook]] = []

    def begin() -> Outbox:
        webhook = Webhook(Client(Resolver(), "test"), receiver.url(WEBHOOK), 5.0)
        outbox = Outbox(lambda: Store.open(path, NOW_NS), webhook, SystemClock())
        outbox.start()
        made.append((outbox, webhook))
        return outbox

    yield begin
    for outbox, webhook in made:
        outbox.close()
        webhook.close()


def until(true: Callable[[], object], timeout_s: float = 15) -> None:
    """Wait until it is."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, "it did not come"
        time.sleep(0.01)


def arrived(receiver: Receiver, status: int = 200) -> list[str]:
    """The event ids of what was answered so, in the order of arrival."""
    return [a.body["details"]["event_id"] for a in receiver.received(WEBHOOK) if a.answered == status]


def test_what_is_in_the_database_leaves_at_the_start(store: Store, receiver: Receiver, start: Start) -> None:
    """In order; and each once, also when the agent starts again."""
    store.record((), None, [alert(n) for n in (3, 1, 2)], flush=True)
    first = start()
    until(lambda: len(arrived(receiver)) == 3)
    until(lambda: first.waiting == 0)
    first.close()
    start().post(())
    time.sleep(0.3)
    assert arrived(receiver) == ["event-003", "event-001", "event-002"]


def test_what_is_refused_is_tried_again(store: Store, receiver: Receiver, start: Start) -> None:
    """n8n answers 404 while the workflow is not active: the alert waits, those behind it too, and then all arrive in order."""
    receiver.answer(WEBHOOK, 404, 200)
    alerts = tuple(alert(n) for n in (1, 2))
    store.record((), None, alerts, flush=True)
    outbox = start()
    outbox.post(alerts)
    until(lambda: len(arrived(receiver)) == 2)
    assert arrived(receiver, 404) == ["event-001"]
    assert arrived(receiver) == ["event-001", "event-002"]
    assert [a.body["details"]["attempt"] for a in receiver.received(WEBHOOK)] == [1, 2, 1]
    until(lambda: not store.pending())


def test_tries_survive_a_restart(store: Store, receiver: Receiver, start: Start) -> None:
    """The count of tries and the event id go on, and the first try after the start comes at once."""
    receiver.answer(WEBHOOK, 500)
    store.record((), None, (alert(1),), flush=True)
    first = start()
    until(lambda: store.pending()[0].attempts == 1)
    first.close()
    receiver.answer(WEBHOOK, 200)
    start()
    until(lambda: arrived(receiver))
    assert [a.body["details"]["attempt"] for a in receiver.received(WEBHOOK)] == [1, 2]


def test_no_database(path: Path, receiver: Receiver, start: Start) -> None:
    """An alert is delivered although nothing can be stored, and not a second time once it can."""
    path.mkdir()
    outbox = start()
    one = alert(1)
    outbox.post((one,))
    until(lambda: arrived(receiver))
    outbox.post(())
    path.rmdir()
    with closing(Store.open(path, NOW_NS)) as store:
        outbox.post(())
        until(lambda: outbox.waiting == 0)
        store.record((), None, (one,), flush=True)
        outbox.post(())
        time.sleep(0.3)
        assert store.pending() == ()
    assert arrived(receiver) == ["event-001"]


def test_a_webhook_that_hangs_does_not_hold_up_the_end(store: Store, receiver: Receiver, start: Start) -> None:
    """Closing breaks the try off; the alert stays."""
    receiver.answer(WEBHOOK, SILENCE)
    store.record((), None, (alert(1),), flush=True)
    outbox = start()
    until(lambda: receiver.received(WEBHOOK))
    began_s = time.monotonic()
    outbox.close(patience_s=5)
    assert time.monotonic() - began_s < 2
    assert len(store.pending()) == 1


def test_failures_are_said_once(
    store: Store, receiver: Receiver, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The first failure is a warning, the next only detail; the delivery is a notice."""
    caplog.set_level(logging.DEBUG, "heartbeatd")
    receiver.answer(WEBHOOK, 404, 404, 200)
    store.record((), None, (alert(1),), flush=True)
    start()
    until(lambda: arrived(receiver))
    until(lambda: not store.pending())
    assert [r.levelno for r in caplog.records if "event-001" in r.getMessage()] == [
        logging.WARNING,
        logging.DEBUG,
        NOTICE,
    ]


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_pauses_grow_and_are_bounded(failures: int, jitter: float, other: float) -> None:
    """From two seconds, doubling, never above the cap; jitter takes off a fifth at most."""
    plain = pause_s(failures, 0)
    assert plain == min(CAP_S, FIRST_PAUSE_S * 2 ** (min(failures, 40) - 1))
    assert plain * (1 - JITTER) - 1e-9 <= pause_s(failures, jitter) <= plain
    assert pause_s(failures + 1, 0) >= plain
    assert (pause_s(failures, jitter) < pause_s(failures, other)) == (jitter > other) or abs(jitter - other) < 1e-12
