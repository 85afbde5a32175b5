"""Deliveries leave in order, each at least once, whatever channels and notifier do; on a clock that is handed in."""

import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from heartbeatd.clock import booted_ns
from heartbeatd.core.alerting import Event
from heartbeatd.core.delivery import Channel, Delivery, Failure
from heartbeatd.core.notification import Notification
from heartbeatd.core.queued import QueuedNotification, to_queue
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.subject import Severity
from heartbeatd.journal import NOTICE
from heartbeatd.notify.client import Attempt, NotifierError
from heartbeatd.notify.outbox import PATIENCE_S, Outbox
from heartbeatd.notify.protocol import Answer, ListChannels, Try, parse_request
from tests.support.clocks import NOW_NS, FakeClock

MAIL, PHONE = Channel("mail", 5.0), Channel("phone", 7.0, Severity.CRITICAL, (Event.PROBLEM, Event.RECOVERY))
DONE = Answer(status=200)


@dataclass
class Kept:
    """A store that is memory."""

    undelivered: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    ended: list[Delivery] = field(default_factory=list)

    def note_delivery(self, delivery: Delivery) -> None:
        if delivery.ended:
            self.undelivered.pop(delivery.key, None)
            self.ended.append(delivery)
        else:
            self.undelivered[delivery.key] = delivery


class OneTry:
    """A try: what was asked, and the far end of its connection."""

    def __init__(self, request: bytes) -> None:
        self.request = parse_request(request)
        self._ours, self._its = socket.socketpair()
        self._ours.setblocking(False)
        self._answer: Answer | None = None
        self.closed = False

    @property
    def asked(self) -> Try:
        assert isinstance(self.request, Try)
        return self.request

    def end(self, answer: Answer) -> None:
        self._answer = answer
        self._its.send(b"\n")

    def fileno(self) -> int:
        return self._ours.fileno()

    def line(self) -> bytes | None:
        answer = self.answer()
        return None if answer is None else answer.encode()

    def answer(self) -> Answer | None:
        return self._answer

    def close(self) -> None:
        self.closed = True
        self._ours.close()
        self._its.close()


@dataclass
class Notifier:
    """Starts tries that end when a test says so."""

    tries: list[OneTry] = field(default_factory=list)
    broken: str = ""

    def start(self, request: bytes) -> Attempt:
        if self.broken:
            raise NotifierError(self.broken)
        self.tries.append(OneTry(request))
        return self.tries[-1]

    @property
    def told(self) -> list[tuple[str, str, object]]:
        """Channel, event id and number of each try."""
        return [
            (one.asked.channel, one.asked.notification.event_id, one.asked.notification.details["attempt"])
            for one in self.tries
        ]


@dataclass
class Scene:
    """An outbox and what it meets."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: Kept = field(default_factory=Kept)
    notifier: Notifier = field(default_factory=Notifier)
    channels: tuple[Channel, ...] = (MAIL,)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.channels, self.notifier, self.store, self.clock, "boot")

    def queue(self, *ids: str, channel: str = "mail") -> None:
        for event_id in ids:
            one = Delivery(queued(event_id, self.clock), channel)
            self.store.undelivered[one.key] = one

    def end(self, answer: Answer) -> None:
        """The try that was started last ends so, and the loop looks."""
        one = self.notifier.tries[-1]
        one.end(answer)
        self.outbox.watched[one.fileno()]()

    def until_next_s(self) -> float:
        """A step, and for how long the loop may wait after it."""
        return (self.outbox.step() - self.clock.monotonic_ns()) / NS_PER_S


def queued(event_id: str, clock: FakeClock) -> QueuedNotification:
    told = Notification(event_id, clock.now_ns(), Severity.CRITICAL, "title", "message", {"event": "problem"})
    return to_queue(told, "boot", booted_ns(clock))


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.outbox.close()
    assert made.outbox.watched == {}
    assert all(one.closed for one in made.notifier.tries)


def test_in_order_and_one_at_a_time(scene: Scene) -> None:
    scene.queue("one", "two", "three")
    for number in range(3):
        scene.outbox.step()
        assert len(scene.notifier.tries) == number + 1
        scene.outbox.step()
        assert len(scene.notifier.tries) == number + 1  # the one before has not ended
        scene.end(DONE)
        assert scene.outbox.news
    assert scene.notifier.told == [("mail", "one", 1), ("mail", "two", 1), ("mail", "three", 1)]
    assert [(done.event_id, done.delivered_ns) for done in scene.store.ended] == [
        ("one", NOW_NS),
        ("two", NOW_NS),
        ("three", NOW_NS),
    ]
    assert scene.outbox.waiting == 0


def test_a_try_tells_all_that_there_is_to_tell(scene: Scene) -> None:
    scene.queue("one")
    scene.clock.pass_s(90)
    scene.outbox.step()
    asked = scene.notifier.tries[0].asked
    assert (asked.channel, asked.timeout_s) == ("mail", 5.0)
    assert (asked.notification.title, asked.notification.severity) == ("title", Severity.CRITICAL)
    assert asked.notification.message == "message (This message waited 1 min 30 s to be delivered.)"
    assert asked.notification.details == {"event": "problem", "attempt": 1, "queued_seconds": 90.0}


def test_a_channel_that_is_down_holds_up_no_other() -> None:
    scene = Scene(channels=(MAIL, PHONE))
    scene.queue("one", "two")
    scene.queue("one", channel="phone")
    scene.outbox.step()
    mail, phone = scene.notifier.tries
    mail.end(Answer(Failure.DOWN, "refused"))
    scene.outbox.watched[mail.fileno()]()
    phone.end(DONE)
    scene.outbox.watched[phone.fileno()]()
    wait_s = scene.until_next_s()
    assert 1.6 <= wait_s <= 2
    assert [done.key for done in scene.store.ended] == [("one", "phone")]
    scene.clock.pass_s(wait_s)
    scene.outbox.step()
    assert scene.notifier.told[2:] == [("mail", "one", 2)]
    scene.outbox.close()


def test_what_a_channel_refuses_holds_up_nothing(scene: Scene) -> None:
    scene.queue("one", "two")
    scene.outbox.step()
    scene.end(Answer(Failure.REFUSED, "HTTP 413"))
    scene.outbox.step()
    scene.end(DONE)
    assert scene.notifier.told == [("mail", "one", 1), ("mail", "two", 1)]
    while scene.outbox.waiting:
        scene.clock.pass_s(scene.until_next_s())
        scene.outbox.step()
        scene.end(Answer(Failure.REFUSED, "HTTP 413"))
    aside = scene.store.ended[-1]
    assert (aside.event_id, aside.attempts, aside.last_error) == ("one", 5, "HTTP 413")
    assert aside.set_aside_ns == scene.clock.now_ns()


def test_what_is_no_notification_is_set_aside_and_the_next_leaves(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.queue("one", "two")
    for body in ("not JSON", "[]", '{"title": 1}', "{}"):
        damaged = replace(scene.store.undelivered["one", "mail"].notification, event_id=body, body=body)
        scene.store.undelivered = {(body, "mail"): Delivery(damaged, "mail"), **scene.store.undelivered}
    scene.outbox.step()
    assert scene.notifier.told == [("mail", "one", 1)]
    assert [done.last_error for done in scene.store.ended] == ["what is stored is no notification"] * 4
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 4


def test_without_a_webhook_nothing_waits_for_one(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The notifier knows that there is none: what was to be told is logged, and the next is tried all the same."""
    scene.queue("one", "two")
    scene.outbox.step()
    scene.end(Answer(Failure.UNSET, "alerts.webhook_url: is not set"))
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert "there is nowhere to send it (set alerts.webhook_url): event one: " in line.getMessage()
    assert [done.event_id for done in scene.store.ended] == ["one"]
    scene.outbox.step()
    assert scene.notifier.told == [("mail", "one", 1), ("mail", "two", 1)]


def test_no_notifier_is_a_failure_like_another(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, tried with growing pauses, and over as soon as there is one."""
    caplog.set_level(logging.INFO, "heartbeatd")
    scene.queue("one")
    scene.notifier.broken = "no child can be started"
    waits_s = []
    for _ in range(4):
        waits_s.append(scene.until_next_s())
        scene.clock.pass_s(waits_s[-1])
    assert [0.8 * s <= wait_s <= s for s, wait_s in zip((2, 4, 8, 16), waits_s, strict=True)] == [True] * 4
    scene.notifier.broken = ""
    scene.outbox.step()
    scene.end(DONE)
    assert [record.levelno for record in caplog.records] == [logging.WARNING, NOTICE]
    assert scene.notifier.told == [("mail", "one", 5)]


def test_a_notifier_that_says_nothing_is_given_up(scene: Scene) -> None:
    scene.queue("one", "two")
    assert scene.until_next_s() == PATIENCE_S
    scene.clock.pass_s(PATIENCE_S)
    scene.outbox.step()
    assert scene.notifier.tries[0].closed
    assert scene.store.undelivered["one", "mail"].late == 1
    assert scene.notifier.told[1:] == [("mail", "two", 1)]


def test_something_to_read_that_is_no_answer_yet(scene: Scene) -> None:
    scene.queue("one")
    scene.outbox.step()
    scene.outbox.watched[scene.notifier.tries[0].fileno()]()
    assert len(scene.outbox.watched) == 1
    scene.end(DONE)
    assert scene.outbox.watched == {}


def test_the_notifier_is_shown_the_configuration(scene: Scene) -> None:
    """Beside the tries, and whatever it says; where none can be asked, nothing is said."""
    scene.outbox.show_configuration()
    (shown,) = scene.notifier.tries
    assert shown.request == ListChannels()
    scene.outbox.watched[shown.fileno()]()
    assert len(scene.outbox.watched) == 1
    shown.end(Answer(Failure.DOWN, "refused"))
    scene.outbox.watched[shown.fileno()]()
    assert shown.closed
    scene.notifier.broken = "no child can be started"
    scene.outbox.show_configuration()
    assert scene.outbox.watched == {}
    scene.notifier.broken = ""
    scene.outbox.show_configuration()  # and is closed with the outbox


def test_what_was_dropped_by_hand_meanwhile_stays_so(scene: Scene) -> None:
    """Unless it has arrived by then: that is noted."""
    scene.queue("one")
    scene.outbox.step()
    del scene.store.undelivered["one", "mail"]
    scene.end(Answer(Failure.DOWN, "refused"))
    assert (scene.store.undelivered, scene.store.ended) == ({}, [])
    scene.queue("two")
    scene.outbox.step()
    del scene.store.undelivered["two", "mail"]
    scene.end(DONE)
    assert [done.event_id for done in scene.store.ended] == ["two"]


def test_deliveries_of_a_channel_that_is_no_more_wait_without_a_try(scene: Scene) -> None:
    scene.queue("one", channel="pigeon")
    assert scene.until_next_s() == 3600
    assert (scene.outbox.waiting, scene.notifier.tries) == (0, [])


def test_a_try_that_is_put_off_by_a_clock_of_another_time_waits_no_longer_than_its_pause(scene: Scene) -> None:
    scene.queue("one")
    scene.store.undelivered["one", "mail"] = replace(
        scene.store.undelivered["one", "mail"], next_try_ns=NOW_NS + 10**18
    )
    assert scene.until_next_s() == 300


@pytest.mark.parametrize(
    ("event", "severity", "worst", "channels"),
    [
        (Event.PROBLEM, Severity.CRITICAL, None, ["mail", "phone"]),
        (Event.PROBLEM, Severity.WARNING, None, ["mail"]),
        (Event.RECOVERY, Severity.OK, Severity.CRITICAL, ["mail", "phone"]),
        (Event.RECOVERY, Severity.OK, Severity.WARNING, ["mail"]),
        (Event.CHANGE, Severity.CRITICAL, None, ["mail"]),
    ],
)
def test_who_is_told_of_what(event: Event, severity: Severity, worst: Severity | None, channels: list[str]) -> None:
    """By severity and event; who was told of a problem is told of its end, and nobody else is."""
    scene = Scene(channels=(MAIL, PHONE))
    told = Notification("id", NOW_NS, severity, "title", "message", {"event": event}, worst)
    addressed = scene.outbox.address(told)
    assert [one.channel for one in addressed] == channels
    assert {json.loads(one.notification.body)["title"] for one in addressed} == {"title"}
    assert {(one.notification.boot_id, one.notification.booted_ns) for one in addressed} == {
        ("boot", booted_ns(scene.clock))
    }
