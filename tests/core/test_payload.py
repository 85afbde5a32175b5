"""What goes over the wire."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core import notification, payload
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.policy import Policy
from heartbeatd.core.queued import YEAR_NS, QueuedNotification, by_this_clock, for_this_try, to_queue
from heartbeatd.core.sample import Sample
from heartbeatd.core.schedule import STEP_NS
from heartbeatd.core.service import HEALTHY, ServiceCheck, without_answer
from heartbeatd.core.subject import Observation
from heartbeatd.core.text import LONGEST_HOST
from heartbeatd.core.timefmt import from_iso
from heartbeatd.core.worker import WorkerState
from heartbeatd.notify.n8n import body_of
from heartbeatd.rules.worker import observation
from tests.support.states import notified, replay

S, MS = 1_000_000_000, 1_000_000
AGENT = payload.AgentInfo("nas1", "1.2.3", 1_795_465_200 * S)
AT = 1_795_465_210 * S + 214_000
URL = "https://worker.example/api/heartbeat"
DETAILS = {
    "event_id", "event", "host", "subject", "previous", "current", "worker_status", "cause", "since", "at",
    "duration_seconds", "timestamp_lima", "heartbeat_url",
}  # fmt: skip


def alerts(*history: Observation) -> list[QueuedNotification]:
    """The alerts of a history."""
    _, changes = replay(None, history, Policy())
    made = [notified(AGENT, change, f"event-{i}", URL) for i, change in enumerate(changes)]
    return list(map(to_queue, made))


def sent(alert: QueuedNotification, now_ns: int, attempt: int = 1) -> dict[str, Any]:
    """What arrives at the webhook."""
    found: dict[str, Any] = json.loads(body_of(for_this_try(alert, attempt, now_ns)))
    return found


def test_the_heartbeat_body() -> None:
    """A heartbeat is exactly this JSON, with the time in UTC and no value for what is unknown."""
    sample = Sample(AT, 3.5, 40.0, 1024.5, 63.0, None, True, 12.5)
    assert json.loads(payload.heartbeat_body(AGENT, sample, "the-id", 7)) == {
        "host": "nas1",
        "timestamp": "2026-11-23T20:20:10.000Z",
        "sequence": 7,
        "agent": {"version": "1.2.3", "started_at": "2026-11-23T20:20:00.000Z"},
        "metrics": {
            "id": "the-id",
            "timestamp_lima": "2026-11-23T15:20:10.000214-05:00",
            "cpu_percent": 3.5,
            "ram_percent": 40.0,
            "ram_used_mb": 1024.5,
            "disk_percent": 63.0,
            "container_count": None,
            "internet_ok": 1,
            "ping_ms": 12.5,
        },
        "services": {},
    }


def test_a_problem_and_its_recovery() -> None:
    """An alert says what changed, from what to what, since when and why; a recovery says how long it lasted."""
    problem, recovery = alerts(
        observation(WorkerState.OK, AT, 200),
        observation(WorkerState.UNREACHABLE, AT + 10 * S, None, Cause.DNS, "worker.example: Name or service not known"),
        observation(WorkerState.OK, AT + 870 * S, 200),
    )
    first, second = sent(problem, AT + 11 * S), sent(recovery, AT + 870 * S)
    assert first["title"] == "nas1: the heartbeat Worker is unreachable (name resolution failed)"
    for part in ("from ok to unreachable", "2026-11-23 15:20:20 (America/Lima)", "Name or service not known", URL):
        assert part in first["message"]
    assert first["details"]["event"] == "problem"
    assert first["details"]["cause"] == "dns"
    assert first["details"]["duration_seconds"] is None
    assert second["title"] == "nas1: heartbeats reach the Worker again after 14 min 20 s"
    assert second["details"]["event"] == "recovery"
    assert (second["details"]["previous"], second["details"]["current"]) == ("unreachable", "ok")
    assert second["details"]["duration_seconds"] == 860.0
    assert set(first["details"]) == set(second["details"]) == DETAILS | {"attempt", "queued_seconds"}


def test_a_late_message_says_so() -> None:
    """A message that waited 14 minutes says so in its text and in queued_seconds; one that did not, does not."""
    (alert,) = alerts(observation(WorkerState.OK, AT, 200), observation(WorkerState.ERROR, AT + 10 * S, 500))
    late = sent(alert, alert.queued_ns + 840 * S, attempt=2)
    assert "waited 14 min" in late["message"]
    assert late["details"]["queued_seconds"] == 840.0
    assert late["details"]["attempt"] == 2
    assert "waited" not in sent(alert, alert.queued_ns + S)["message"]


def test_a_test_alert_has_the_same_shape() -> None:
    """A test alert is told apart by its event alone."""
    alert = to_queue(notification.of_test(AGENT, AT, "the-id", URL))
    assert set(sent(alert, AT)["details"]) == DETAILS | {"attempt", "queued_seconds"}
    assert sent(alert, AT)["details"]["event"] == "test"


@given(
    st.text(max_size=50), st.sampled_from(list(WorkerState)), st.sampled_from(list(WorkerState)), st.text(max_size=50)
)
def test_every_change_can_be_told(host: str, before: WorkerState, after: WorkerState, detail: str) -> None:
    """Any change between any two states, on a host of any name, makes a title and a message that JSON can carry."""
    agent = payload.AgentInfo(host, "1", 0)
    cause = Cause.TIMEOUT if after is WorkerState.UNREACHABLE else None
    history = [observation(before, 0, 200), observation(after, S, None if cause else 500, cause, detail)]
    for change in replay(None, history, Policy())[1]:
        body = sent(to_queue(notified(agent, change, "x", URL)), 2 * S)
        assert body["title"].startswith(
            f"{host}: " if len(host) <= LONGEST_HOST else host[: LONGEST_HOST // 2].split(".")[0]
        )
        assert body["message"]


@given(st.integers(-(10**17), 10**17), st.integers(0, 10**13))
def test_moments_of_an_alert_move_with_the_clock(by_ns: int, waited_ns: int) -> None:
    """Queued by a clock that is stepped before the delivery: `since` and `at` are true, and so is the wait; the text says so."""
    boot = "b" * 32
    (alert,) = alerts(observation(WorkerState.OK, AT, 200), observation(WorkerState.ERROR, AT + 10 * S, 500))
    alert = replace(alert, boot_id=boot, booted_ns=AT - 60 * S)
    now_ns = alert.queued_ns + by_ns + waited_ns
    body = sent(by_this_clock(alert, now_ns, boot, AT - 60 * S + by_ns), now_ns)
    details, moved_ns = body["details"], by_ns if abs(by_ns) >= STEP_NS else 0
    assert abs(details["queued_seconds"] - (waited_ns + by_ns - moved_ns) / S) < 0.3
    for name, within_ns in (("since", 2 * MS), ("at", 2 * MS), ("timestamp_lima", MS)):
        assert abs(from_iso(details[name]) - (AT + 10 * S + moved_ns)) < within_ns
    assert ("times of day are by the old one" in body["message"]) == (moved_ns != 0)


@given(st.integers(-(10**18), 10**18))
def test_no_alert_has_waited_for_years(wrong_ns: int) -> None:
    """Queued in another boot, by a clock that may have been years off: if its moment cannot be true, it counts from this boot."""
    now_ns = AT + 10**18
    alert = QueuedNotification(
        "e", now_ns - wrong_ns, '{"title":"t","message":"m","details":{}}', boot_id="a" * 32, booted_ns=0
    )
    queued_s = sent(by_this_clock(alert, now_ns, "b" * 32, now_ns - 90 * S), now_ns)["details"]["queued_seconds"]
    assert 0 <= queued_s < 2 * 365 * 86_400
    if wrong_ns < 0 or wrong_ns > YEAR_NS:
        assert queued_s == 90


def test_what_is_no_body_of_ours_is_left_to_who_sends_it() -> None:
    """Only its time in the queue is corrected."""
    alert = QueuedNotification("e", AT, "[]", boot_id="b", booted_ns=0)
    assert by_this_clock(alert, AT, "b", 5 * S) == replace(alert, queued_ns=AT + 5 * S)


def test_services_are_as_the_worker_knows_them() -> None:
    """Their states by name; of those outside that a lack of internet explains, that nobody knows."""
    slow = without_answer(Cause.TIMEOUT, "gave up")
    checks = (
        ServiceCheck("web", 0, HEALTHY),
        ServiceCheck("db", 0, slow),
        ServiceCheck("away", 0, slow, outside=True, explained=True),
    )
    body = json.loads(payload.heartbeat_body(AGENT, Sample(0, services=checks), "id", 1))
    assert body["services"] == {
        "web": {"status": "healthy"},
        "db": {"status": "timeout"},
        "away": {"status": "unknown"},
    }
