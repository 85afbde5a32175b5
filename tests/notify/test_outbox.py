"""Alerts arrive, in order, whatever the webhook does; and wait on the disk until they have."""

import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.cancel import CancelToken
from heartbeatd.clock import SystemClock
from heartbeatd.core.notification import QueuedNotification
from heartbeatd.journal import NOTICE
from heartbeatd.net.http import Client
from heartbeatd.net.resolve import Resolver
from heartbeatd.notify import backoff
from heartbeatd.notify.backoff import (
    ERRORS_IN_ORDER,
    LATE_MOST,
    LATE_PAUSE_S,
    LATE_SOON,
    REFUSED_MOST,
    Tries,
    backoff_s,
)
from heartbeatd.notify.outbox import Outbox
from heartbeatd.notify.webhook import Failure, Webhook, failure_of
from heartbeatd.store.background import BackgroundStore
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.buffered_store import BufferedStore
from heartbeatd.store.database import Database
from tests.store.conftest import NOW_NS, alert, row
from tests.support.agent import CHECKOUT
from tests.support.receiver import SILENCE, WEBHOOK, Receiver
from tests.support.wait import wait_until

Start = Callable[[], Outbox]


@pytest.fixture
def ledger(path: Path) -> Iterator[BackgroundStore]:
    """The agent's own hold on the database at `path`."""
    made = BackgroundStore(BufferedStore(path, SystemClock(), StoreOptions(10)), StoreOptions(10), CancelToken())
    made.open()
    yield made
    made.close()


@pytest.fixture
def start(ledger: BackgroundStore, receiver: Receiver) -> Iterator[Start]:
    """Starts outboxes on that database, as starts of the agent would, and ends them."""
    made: list[tuple[Outbox, Webhook]] = []

    def begin() -> Outbox:
        webhook = Webhook(Client(Resolver(), "test"), receiver.url(WEBHOOK), 5.0)
        outbox = Outbox(ledger.queue(), webhook, SystemClock())
        outbox.start()
        made.append((outbox, webhook))
        return outbox

    yield begin
    for outbox, webhook in made:
        outbox.close()
        webhook.close()


def arrived(receiver: Receiver, status: int = 200) -> list[str]:
    """The event ids of what was answered so, in the order of arrival."""
    return [a.body["details"]["event_id"] for a in receiver.received(WEBHOOK) if a.answered == status]


def test_what_is_in_the_database_leaves_at_the_start(store: Database, receiver: Receiver, start: Start) -> None:
    """In order; and each once, also when the agent starts again."""
    store.record((), (), [alert(n) for n in (3, 1, 2)], flush=True)
    first = start()
    wait_until(lambda: len(arrived(receiver)) == 3)
    wait_until(lambda: first.waiting == 0)
    first.close()
    store.record((), (), [alert(4)], flush=True)
    start().post(())
    wait_until(lambda: "event-004" in arrived(receiver))
    assert arrived(receiver) == ["event-003", "event-001", "event-002", "event-004"]


def test_what_is_refused_is_tried_again(store: Database, receiver: Receiver, start: Start) -> None:
    """n8n answers 404 while the workflow is not active: the alert waits, those behind it too, and then all arrive in order."""
    receiver.answer(WEBHOOK, 404, 200)
    alerts = tuple(alert(n) for n in (1, 2))
    store.record((), (), alerts, flush=True)
    outbox = start()
    outbox.post(alerts)
    wait_until(lambda: len(arrived(receiver)) == 2)
    assert arrived(receiver, 404) == ["event-001"]
    assert arrived(receiver) == ["event-001", "event-002"]
    assert [a.body["details"]["attempt"] for a in receiver.received(WEBHOOK)] == [1, 2, 1]
    wait_until(lambda: not store.undelivered())


def test_tries_survive_a_restart(store: Database, receiver: Receiver, start: Start) -> None:
    """The count of tries and the event id go on, and the first try after the start comes at once."""
    receiver.answer(WEBHOOK, 500)
    store.record((), (), (alert(1),), flush=True)
    first = start()
    wait_until(lambda: store.undelivered()[0].attempts == 1)
    first.close()
    receiver.answer(WEBHOOK, 200)
    start()
    wait_until(lambda: arrived(receiver))
    assert [a.body["details"]["attempt"] for a in receiver.received(WEBHOOK)] == [1, 2]


def test_no_database(tmp_path: Path, receiver: Receiver) -> None:
    """An alert is delivered although nothing can be stored, and not a second time once it can."""
    path = tmp_path / "later/metrics.db"
    ledger = BackgroundStore(BufferedStore(path, SystemClock(), StoreOptions(10)), StoreOptions(10), CancelToken())
    ledger.open()
    webhook = Webhook(Client(Resolver(), "test"), receiver.url(WEBHOOK), 5.0)
    outbox = Outbox(ledger.queue(), webhook, SystemClock())
    outbox.start()
    one = alert(1)
    ledger.record(row(1), (), (one,))
    outbox.post((one,))
    wait_until(lambda: arrived(receiver))
    path.parent.mkdir()
    ledger.record(row(2), (), ())
    outbox.post(())
    wait_until(lambda: outbox.waiting == 0)
    outbox.close()
    webhook.close()
    ledger.close()
    with closing(Database.open(path, NOW_NS)) as store:
        assert store.undelivered() == ()
    assert arrived(receiver) == ["event-001"]


def test_a_webhook_that_hangs_does_not_hold_up_the_end(store: Database, receiver: Receiver, start: Start) -> None:
    """Closing breaks the try off; the alert stays."""
    receiver.answer(WEBHOOK, SILENCE)
    store.record((), (), (alert(1),), flush=True)
    outbox = start()
    wait_until(lambda: receiver.received(WEBHOOK))
    began_s = time.monotonic()
    outbox.close(patience_s=5)
    assert time.monotonic() - began_s < 2
    assert len(store.undelivered()) == 1


def test_failures_are_said_once(
    store: Database, receiver: Receiver, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The first failure is a warning, the next only detail; the delivery is a notice."""
    caplog.set_level(logging.DEBUG, "heartbeatd")
    receiver.answer(WEBHOOK, 404, 404, 200)
    store.record((), (), (alert(1),), flush=True)
    start()
    wait_until(lambda: arrived(receiver))
    wait_until(lambda: not store.undelivered())
    assert [r.levelno for r in caplog.records if "event-001" in r.getMessage()] == [
        logging.WARNING,
        logging.DEBUG,
        NOTICE,
    ]


def test_pauses_are_those_of_the_manual() -> None:
    """Two seconds, four, eight and so on up to five minutes."""
    assert [backoff_s(failures, 0) for failures in range(1, 12)] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert backoff_s(1, 1) == pytest.approx(1.6)


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_pauses_grow_and_are_bounded(failures: int, jitter: float, other: float) -> None:
    """Whatever the number of failures; jitter takes off a fifth at most."""
    plain = backoff_s(failures, 0)
    assert 2 <= plain <= 300
    assert plain * 0.8 - 1e-9 <= backoff_s(failures, jitter) <= plain
    assert backoff_s(failures + 1, 0) >= plain
    assert (backoff_s(failures, jitter) < backoff_s(failures, other)) == (jitter > other) or abs(jitter - other) < 1e-12


def stored(path: Path, columns: str) -> list[tuple[object, ...]]:
    """What the database says of each alert, in the order of the queue."""
    with closing(sqlite3.connect(path)) as reader:
        return reader.execute(f"SELECT {columns} FROM alerts ORDER BY number").fetchall()


@pytest.mark.parametrize(
    "body",
    ["", "no json", "[1]", '"text"', "null", '{"a":NaN}', '{"a":"\\ud800"}', "[" * 100_000],
    ids=["empty", "text", "list", "string", "null", "nan", "surrogate", "deep"],
)
def test_what_is_stored_and_no_alert_is_set_aside(
    store: Database, path: Path, receiver: Receiver, start: Start, caplog: pytest.LogCaptureFixture, body: str
) -> None:
    """It is said once; those behind it arrive; and it stays in the database, with the reason, across restarts too."""
    store.record((), (), (replace(alert(1), body=body), alert(2)), flush=True)
    for _ in range(2):
        outbox = start()
        wait_until(lambda: arrived(receiver) == ["event-002"])
        wait_until(lambda: not store.undelivered())
        assert outbox.alive
        outbox.close()
    assert caplog.text.count("event-001") == 1
    assert "it is not sent again" in caplog.text
    reason = "what is stored is no notification"
    assert stored(path, "last_error, delivered_ns IS NULL, set_aside_ns > 0") == [(reason, 1, 1), (None, 0, None)]


def test_damaged_texts_and_numbers_hold_nothing_up(
    store: Database, path: Path, receiver: Receiver, start: Start
) -> None:
    """Bytes that are no UTF-8, a moment that is no number: each is one bad alert. A count of tries can be begun anew."""
    store.record((), (), [alert(n) for n in range(1, 5)], flush=True)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE alerts SET body = CAST(x'ff7b' AS TEXT) WHERE number = 1")
        other.execute("UPDATE alerts SET queued_ns = 'yesterday' WHERE number = 2")
        other.execute("UPDATE alerts SET attempts = 'many' WHERE number = 3")
    outbox = start()
    wait_until(lambda: arrived(receiver) == ["event-003", "event-004"])
    wait_until(lambda: not store.undelivered())
    assert outbox.alive


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_alert_that_is_refused_holds_nothing_up(
    store: Database, receiver: Receiver, start: Start, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """It gets bounded tries, with growing pauses; those behind it arrive meanwhile; then it is set aside."""
    monkeypatch.setattr(backoff, "FIRST_PAUSE_S", 0.02)
    receiver.answer_event("event-001", status)
    store.record((), (), (alert(1), alert(2)), flush=True)
    start()
    wait_until(lambda: not store.undelivered())
    assert arrived(receiver) == ["event-002"]
    assert arrived(receiver, status) == ["event-001"] * REFUSED_MOST
    assert receiver.received(WEBHOOK)[-1].answered == status  # the other one did not wait for the last try


def test_an_alert_that_is_answered_too_late_holds_nothing_up(
    store: Database, path: Path, receiver: Receiver, ledger: BackgroundStore, caplog: pytest.LogCaptureFixture
) -> None:
    """n8n that responds when the last node has finished: a few tries, those behind it meanwhile, and then once an hour."""
    receiver.answer_event("event-001", SILENCE)
    store.record((), (), (alert(1), alert(2)), flush=True)
    webhook = Webhook(Client(Resolver(), "test"), receiver.url(WEBHOOK), 0.5)
    outbox = Outbox(ledger.queue(), webhook, SystemClock())
    with pytest.MonkeyPatch.context() as quicker:
        quicker.setattr(backoff, "FIRST_PAUSE_S", 0.02)
        outbox.start()
        wait_until(lambda: arrived(receiver, SILENCE) == ["event-001"] * LATE_SOON)
        wait_until(lambda: "in an hour" in caplog.text)
    assert arrived(receiver) == ["event-002"]
    outbox.close()
    webhook.close()
    assert "set Respond of its Webhook node to Immediately" in caplog.text
    assert stored(path, "attempts, delivered_ns IS NULL") == [(LATE_SOON, 1), (1, 0)]


def test_it_does_not_go_on_for_ever() -> None:
    """A day's hourly tries; of a refusal five. What is down is tried for as long as it takes."""
    late, refused, down = Tries(), Tries(), Tries()
    pauses = []
    while not late.over:
        late.after(Failure.LATE)
        pauses.append(late.alone_s(Failure.LATE, 0))
    assert pauses == [2.0, 4.0, 8.0, *[LATE_PAUSE_S] * (LATE_MOST - LATE_SOON + 1)]
    for _ in range(REFUSED_MOST):
        assert not refused.over
        refused.after(Failure.REFUSED)
    assert refused.over
    for _ in range(1000):
        down.after(Failure.DOWN)
        assert (down.over, down.alone_s(Failure.DOWN, 0)) == (False, None)


@given(st.integers(300, 599))
def test_what_an_answer_says(status: int) -> None:
    """Only a 4xx that is about the alert itself is the alert's fault; all else passes, or is about all alerts."""
    passing = status >= 500 or status < 400 or status in (401, 403, 404, 408, 409, 425, 429)
    assert (failure_of(status) is Failure.REFUSED) == (not passing)


def test_an_alert_over_which_the_webhook_fails_is_tried_by_itself_in_the_end(
    store: Database, receiver: Receiver, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flow that breaks on one message answers 500 to it: order is kept for some minutes, and then the others go on."""
    monkeypatch.setattr(backoff, "FIRST_PAUSE_S", 0.01)
    receiver.answer(WEBHOOK, *[500] * ERRORS_IN_ORDER, 200, 500)
    store.record((), (), (alert(1), alert(2)), flush=True)
    start()
    wait_until(lambda: arrived(receiver) == ["event-002"])
    asked = [a.body["details"]["event_id"] for a in receiver.received(WEBHOOK)]
    assert asked[:ERRORS_IN_ORDER] == ["event-001"] * ERRORS_IN_ORDER
    wait_until(lambda: [a.event_id for a in store.undelivered()] == ["event-001"])


def test_no_thread_to_be_had_is_a_try_that_failed() -> None:
    """Under TasksMax= a name cannot be looked up: the alert waits, the outbox lives, and it arrives when there is a thread."""
    done = subprocess.run([sys.executable, "-c", NO_THREAD], capture_output=True, text=True, cwd=CHECKOUT, check=False)
    assert done.stdout.splitlines() == ["alive True attempts True", "delivered True alive True"], done.stderr


# As an ordinary user, to whom RLIMIT_NPROC applies. The name is looked up on a thread that cannot be started at first.
NO_THREAD = """
import os, resource, tempfile, time
from pathlib import Path
from heartbeatd.clock import SystemClock
from heartbeatd.net.http import Client
from heartbeatd.net.resolve import Resolver
from heartbeatd.notify import backoff as module
from heartbeatd.store.background import BackgroundStore
from heartbeatd.store.buffer import StoreOptions
from heartbeatd.store.buffered_store import BufferedStore
from heartbeatd.notify.outbox import Outbox
from heartbeatd.notify.webhook import Failure, Webhook, failure_of
from tests.support.agent import CHECKOUT
from heartbeatd.cancel import CancelToken
from tests.support.receiver import WEBHOOK, Receiver
from tests.store.conftest import alert, row

def until(true):
    end = time.monotonic() + 15
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(true())

module.FIRST_PAUSE_S = 0.05
if os.geteuid() == 0:
    os.setgid(61234)
    os.setuid(61234)
with Receiver() as receiver, tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "metrics.db"
    ledger = BackgroundStore(BufferedStore(path, SystemClock(), StoreOptions(10)), StoreOptions(10), CancelToken())
    url = receiver.url(WEBHOOK).replace("127.0.0.1", "localhost")
    outbox = Outbox(ledger.queue(), Webhook(Client(Resolver(), "test"), url, 5), SystemClock())
    ledger.open()
    outbox.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
    ledger.record(row(1), (), (alert(1),))
    outbox.post(())
    tried = until(lambda: any(a.attempts for a in ledger.queue().undelivered()))
    print("alive", outbox.alive, "attempts", tried, flush=True)
    resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
    print("delivered", until(lambda: receiver.received(WEBHOOK)), "alive", outbox.alive)
    outbox.close()
    ledger.close()
"""


def test_what_ends_the_delivery_is_said(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """A queue that breaks in a way nobody foresaw: `alive` is False from then on, and the log has the traceback."""

    class Broken:
        """Raises what no database does."""

        def undelivered(self) -> tuple[QueuedNotification, ...]:
            raise ZeroDivisionError

        def mark_attempt(self, alert: QueuedNotification, reason: str) -> None:
            """Never reached."""

        def mark_delivered(self, alert: QueuedNotification, at_ns: int) -> None:
            """Never reached."""

        def set_aside(self, alert: QueuedNotification, at_ns: int, reason: str) -> None:
            """Never reached."""

    outbox = Outbox(Broken(), Webhook(Client(Resolver(), "test"), receiver.url(WEBHOOK), 5.0), SystemClock())
    assert outbox.alive
    outbox.start()
    wait_until(lambda: not outbox.alive)
    assert "ZeroDivisionError" in caplog.text
    outbox.close()
