"""A notification on its way: into the queue, out of it, also out of that of an earlier version, and to a channel."""

import json
from collections.abc import Mapping

import pytest

from heartbeatd.core.agent_failure import AgentFailure
from heartbeatd.core.delivery import Channel
from heartbeatd.core.gap import Gap, GapKind
from heartbeatd.core.notification import Notification, of_failure, of_gap, of_test
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.queued import QueuedNotification, for_this_try, from_queue, to_queue
from heartbeatd.core.subject import Severity
from heartbeatd.notify.n8n import body_of

AGENT = AgentInfo("nas", "1", 0)
AT_NS = 1_795_465_210_000_000_000
DETAILS = {
    "event_id": "an-id",
    "event": "problem",
    "host": "nas",
    "subject": "worker",
    "current": "error",
    "later": [1],
}


def written(details: Mapping[str, object], **others: object) -> QueuedNotification:
    """What stands in the queue, as versions up to 0.1 wrote it."""
    return QueuedNotification("an-id", AT_NS, json.dumps({"title": "t", "message": "m", "details": details, **others}))


@pytest.mark.parametrize(
    "made",
    [
        of_test(AGENT, AT_NS, "an-id", ""),
        of_gap(AGENT, Gap(GapKind.POWER, 0, AT_NS), "an-id", "https://worker/"),
        of_failure(AGENT, AgentFailure("exit-code", "78"), AT_NS, "an-id"),
    ],
)
def test_the_queue_changes_nothing(made: Notification) -> None:
    """What comes out of it is what was put in."""
    assert from_queue(to_queue(made)) == made


def test_who_hears_of_a_failure_hears_of_its_end() -> None:
    """It is critical; of other gaps a channel for what is critical hears nothing."""
    phone = Channel("phone", 1.0, Severity.CRITICAL)
    failure = of_failure(AGENT, AgentFailure("exit-code", "78"), AT_NS, "an-id")
    end, stop = (of_gap(AGENT, Gap(kind, 0, AT_NS), "an-id", "") for kind in (GapKind.FAILURE, GapKind.STOPPED))
    takes = [phone.takes(str(told.details["event"]), told.worst or told.severity) for told in (failure, end, stop)]
    assert takes == [True, True, False]


def test_what_version_0_1_queued_is_delivered_as_it_stands() -> None:
    """The same fields in the same order, whatever they are, with what only the moment of sending knows."""
    body = body_of(for_this_try(written(DETAILS), 3, AT_NS + 5_000_000_000))
    expected = {"title": "t", "message": "m", "details": {**DETAILS, "attempt": 3, "queued_seconds": 5.0}}
    assert body == json.dumps(expected, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("details", "severity"),
    [
        ({"event": "problem", "current": "degraded"}, Severity.WARNING),
        ({"event": "change", "current": "unreachable"}, Severity.CRITICAL),
        ({"event": "recovery", "current": "ok"}, Severity.OK),
        ({"event": "gap", "current": None}, Severity.WARNING),
        ({"event": "test", "current": None}, Severity.OK),
        ({}, Severity.CRITICAL),
    ],
)
def test_how_bad_it_is_what_version_0_1_queued(details: Mapping[str, object], severity: Severity) -> None:
    """It did not say so: its events and states tell; what they do not tell may be bad."""
    assert from_queue(written(details)).severity is severity


def test_severity_is_of_the_notification_and_not_of_the_webhooks_body() -> None:
    """Each channel shows it in its own way; n8n's flows get what they always got."""
    told = for_this_try(written(DETAILS, severity="warning"), 1, AT_NS)
    assert told.severity is Severity.WARNING
    assert set(json.loads(body_of(told))) == {"title", "message", "details"}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[1]",
        '"text"',
        "{}",
        "[" * 100_000,
        '{"title":1,"message":"m","details":{}}',
        '{"title":"t","message":"m","details":[]}',
        '{"title":"t","message":"m","details":{},"severity":"nobody knows"}',
        '{"title":"t","message":"m","details":{},"severity":{}}',
    ],
    ids=["empty", "null", "list", "string", "nothing", "deep", "title", "details", "severity", "object"],
)
def test_what_is_no_notification(body: str) -> None:
    """ValueError, whatever it is."""
    with pytest.raises(ValueError, match=""):
        from_queue(QueuedNotification("an-id", AT_NS, body))
