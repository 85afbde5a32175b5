"""The Worker: what is observed of every answer and of every silence, and what is told of it, with advice that is true."""

import itertools

import pytest

from heartbeatd.core import payload
from heartbeatd.core.heartbeat import Cause, HeartbeatResult
from heartbeatd.core.policy import Policy
from heartbeatd.core.subject import Observation
from heartbeatd.core.worker import STATES, WorkerState, rule_for
from heartbeatd.rules.worker import observation, observe
from tests.support.states import notified, replay

S = 1_000_000_000
SITE = "http://www.google.com"
URL = "https://worker.example/api/heartbeat"
BY_CLOUDFLARE = {"server": "cloudflare"}
CHALLENGE = {"cf-mitigated": "challenge", "server": "cloudflare"}
KEY, ADDRESS, CLOUDFLARE = "secret_key", "heartbeat.url", "Cloudflare"


def alert_text(beat: HeartbeatResult, internet_ok: bool | None = True, *, check_explains: bool = True) -> str:
    """Title and message of the alert when this follows a Worker that was ok."""
    seen = observe(S, beat, internet_ok, check_explains=check_explains, asked=SITE)
    assert seen is not None
    (change,) = replay(None, [observation(WorkerState.OK, 0, 200), seen], Policy())[1]
    alert = notified(payload.AgentInfo("nas", "1", 0), change, "x", URL)
    return f"{alert.title}\n{alert.message}"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, "ok"),
        (201, "ok"),
        (204, "ok"),
        (299, "ok"),
        (220, "degraded"),
        (221, "degraded"),
        (222, "ok"),
        (301, "rejected"),
        (308, "rejected"),
        (400, "rejected"),
        (401, "rejected"),
        (403, "rejected"),
        (404, "rejected"),
        (429, "rejected"),
        (500, "error"),
        (503, "error"),
        (599, "error"),
        (103, "unreachable"),
        (999, "unreachable"),
    ],
)
def test_every_answer_has_its_state(status: int, state: str) -> None:
    """Each status falls into the state that the table of answers gives it; a number that is no HTTP answer is none."""
    found = observe(0, HeartbeatResult(status), internet_ok=True)
    assert found is not None
    assert found.state == state
    assert found.reason == (Cause.PROTOCOL if state == "unreachable" else None)


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("internet_ok", [True, False, None])
def test_the_internet_check_only_explains(cause: Cause, internet_ok: bool | None) -> None:
    """Silence is `unreachable` whatever the internet check says; that only turns what looks like a dead uplink into its cause."""
    found = observe(0, HeartbeatResult(None, cause), internet_ok)
    assert found is not None
    assert found.state is WorkerState.UNREACHABLE
    uplink = internet_ok is False and cause in (Cause.DNS, Cause.TIMEOUT, Cause.REFUSED)
    assert found.reason is (Cause.NO_INTERNET if uplink else cause)


def test_a_beat_that_was_not_sent_says_nothing() -> None:
    """Without a heartbeat there is no observation."""
    assert observe(0, None, internet_ok=False) is None


@pytest.mark.parametrize("cause", [Cause.DNS, Cause.TIMEOUT, Cause.REFUSED])
def test_a_check_that_always_fails_explains_nothing(cause: Cause) -> None:
    """Where the internet check failed while the Worker answered, an outage of the Worker is not called `no internet`."""
    seen = observe(0, HeartbeatResult(None, cause), False)
    assert seen is not None
    assert seen.reason is Cause.NO_INTERNET
    seen = observe(0, HeartbeatResult(None, cause), False, check_explains=False)
    assert seen is not None
    assert seen.reason is cause


@pytest.mark.parametrize(
    ("status", "headers", "state", "meaning", "speaks_of", "not_of"),
    [
        (220, {}, "degraded", "could not read its earlier state", {"storage"}, {KEY, ADDRESS}),
        (221, {}, "degraded", "could not be fully recorded", {"storage"}, {KEY, ADDRESS}),
        (301, {}, "rejected", "redirected", {ADDRESS, "not followed"}, {KEY}),
        (302, BY_CLOUDFLARE, "rejected", "a login page", {ADDRESS}, {KEY}),
        (400, {}, "rejected", "does not understand", {ADDRESS}, {KEY}),
        (401, {}, "rejected", "not authorized: wrong key", {KEY}, {ADDRESS}),
        (401, BY_CLOUDFLARE, "rejected", "not authorized: wrong key", {KEY}, {ADDRESS}),
        (403, {}, "rejected", "forbidden: wrong key, or this host", {KEY, "firewall"}, {CLOUDFLARE}),
        (403, {"server": "nginx"}, "rejected", "forbidden: wrong key, or this host", {KEY}, {CLOUDFLARE}),
        (403, BY_CLOUDFLARE, "rejected", "by the Worker (wrong key?) or by a rule", {KEY, CLOUDFLARE}, {ADDRESS}),
        (403, CHALLENGE, "rejected", "bot protection stopped", {CLOUDFLARE}, {"key", ADDRESS}),
        (429, CHALLENGE, "rejected", "bot protection stopped", {CLOUDFLARE}, {"key", "00:00 UTC"}),
        (503, CHALLENGE, "error", "bot protection stopped", {CLOUDFLARE}, {"key", "its log"}),
        (404, {}, "rejected", "wrong path in heartbeat.url, or no such Worker", {ADDRESS}, {KEY}),
        (405, {}, "rejected", "takes no POST", {ADDRESS}, {KEY}),
        (408, {}, "rejected", "not get the whole request in time", {"uplink"}, {KEY, ADDRESS}),
        (410, {}, "rejected", "gone", {ADDRESS}, {KEY}),
        (413, {}, "rejected", "no request of this size", {"limits"}, {KEY, ADDRESS}),
        (415, {}, "rejected", "takes no JSON", {ADDRESS}, {KEY}),
        (418, {}, "rejected", "does not accept the request", {ADDRESS}, {KEY, "wrong"}),
        (429, {}, "rejected", "too many requests", {"limits", "interval_seconds"}, {"wrong", KEY, ADDRESS, CLOUDFLARE}),
        (429, BY_CLOUDFLARE, "rejected", "too many requests", {"00:00 UTC", CLOUDFLARE}, {"wrong", KEY, ADDRESS}),
        (500, {}, "error", "the Worker could not process it", {"log"}, {KEY, ADDRESS, CLOUDFLARE}),
        (502, {}, "error", "a gateway got no good answer", {"gateway"}, {KEY, ADDRESS, CLOUDFLARE}),
        (503, {"retry-after": "30"}, "error", "the Worker could not process it", {"log"}, {KEY, ADDRESS}),
        (504, {}, "error", "a gateway got no answer from the Worker in time", {"gateway"}, {KEY, ADDRESS}),
        (520, BY_CLOUDFLARE, "error", "Cloudflare could not reach the Worker or run it", {"limits"}, {KEY, ADDRESS}),
        (527, BY_CLOUDFLARE, "error", "Cloudflare could not reach the Worker or run it", {"limits"}, {KEY, ADDRESS}),
        (530, BY_CLOUDFLARE, "error", "Cloudflare could not reach the Worker or run it", {"limits"}, {KEY, ADDRESS}),
        (520, {}, "error", "the Worker could not process it", {"log"}, {KEY, ADDRESS, CLOUDFLARE}),
        (530, {"server": "nginx"}, "error", "the Worker could not process it", {"log"}, {KEY, ADDRESS, CLOUDFLARE}),
        (528, {}, "error", "the Worker could not process it", {"log"}, {KEY, ADDRESS, CLOUDFLARE}),
    ],
)
def test_what_is_said_of_an_answer(
    status: int, headers: dict[str, str], state: str, meaning: str, speaks_of: set[str], not_of: set[str]
) -> None:
    """Each answer has its state and its meaning, and the alert names what explains it and nothing that does not."""
    text = alert_text(HeartbeatResult(status, headers=headers))
    assert f"nas: the heartbeat Worker is {state} (HTTP {status})\n" in text
    assert f"It answers HTTP {status}: " in text
    assert meaning in text
    message = text.replace(URL, "")
    assert {word for word in speaks_of if word not in message} == set()
    assert {word for word in not_of if word in message} == set()
    assert "nobody outside" not in text


def test_headers_never_change_the_state() -> None:
    """The state follows from the status alone, whoever answered, and whatever the header holds."""
    for status in range(200, 600):
        plain = rule_for(status)
        assert plain is not None
        for headers in (BY_CLOUDFLARE, CHALLENGE, {"cf-mitigated": "x" * 100}, {"server": "Cloudflare "}):
            found = rule_for(status, headers)
            assert found is not None
            assert found.state is plain.state


def test_every_rule_can_be_reached_and_advises() -> None:
    """No rule stands behind one that takes all its answers; each that is not ok says what to do."""
    headers: list[dict[str, str]] = [{}, BY_CLOUDFLARE, CHALLENGE]
    assert {rule_for(status, h) for status in range(200, 600) for h in headers} == set(STATES)
    assert all(rule.advice.endswith(".") or rule.state.good for rule in STATES)


LOOK = {
    Cause.DNS: "this host's name servers",
    Cause.REFUSED: "nothing takes connections there",
    Cause.TLS: "does it answer https there?",
    Cause.RESET: "proxy or firewall in between",
    Cause.PROTOCOL: "something other than the Worker",
}
PASSED = f"The internet check ({SITE}) passed in the same cycle."
FAILED = f"The internet check ({SITE}) failed, too."
UNKNOWN = f"The internet check ({SITE}) had no result in that cycle."
SAYS_NOTHING = f"The internet check ({SITE}) failed, but it also failed while the Worker answered, so it says nothing"
CHECKS = {PASSED: (True, True), FAILED: (False, True), UNKNOWN: (None, True), SAYS_NOTHING: (False, False)}
SENT = [cause for cause in Cause if cause is not Cause.NO_INTERNET]


@pytest.mark.parametrize(("cause", "check"), itertools.product(SENT, CHECKS))
def test_what_is_said_of_silence(cause: Cause, check: str) -> None:
    """Of the internet check exactly what this cycle saw; and where to look, by the cause."""
    internet_ok, explains = CHECKS[check]
    text = alert_text(HeartbeatResult(None, cause), internet_ok, check_explains=explains)
    assert check in text
    assert [other for other in CHECKS if other in text] == [check]
    uplink_is_down = check is FAILED and cause in (Cause.DNS, Cause.TIMEOUT, Cause.REFUSED)
    assert ("(no internet)" in text) == uplink_is_down
    # The Worker goes on watching while only the uplink is down.
    assert ("if the Worker itself is down, nobody outside is watching this host" in text) == (not uplink_is_down)
    if uplink_is_down:
        assert "Look at this host's uplink (cable, router, provider)." in text
    elif cause is Cause.TIMEOUT:
        assert "look at the worker itself" in text.lower() or check is not PASSED
        assert ("uplink" in text) == (check is not PASSED)
        assert "a firewall that drops packets" in text
    else:
        assert LOOK[cause] in text


def test_a_cause_is_not_said_twice() -> None:
    """`connection refused`, and not `connection refused: Connection refused`."""
    text = alert_text(HeartbeatResult(None, Cause.REFUSED, "Connection refused"))
    assert "Likely cause: connection refused. " in text
    assert "Connection refused" not in text


def test_what_the_system_did_not_let_through_was_not_refused() -> None:
    """No route, or a firewall of this host: the other side has refused nothing."""
    text = alert_text(HeartbeatResult(None, Cause.REFUSED, "No route to host"))
    assert "unreachable (no connection)" in text
    assert "Likely cause: no connection: No route to host. " in text
    assert "its routes" in text
    assert "refused" not in text


@pytest.mark.parametrize(
    ("detail", "look"),
    [
        ("certificate refused: certificate has expired", "this host's clock"),
        ("the other side does not speak TLS (http:// in place of https://?)", "does it answer https there?"),
    ],
)
def test_certificates_and_other_tls(detail: str, look: str) -> None:
    """The clock and the CA explain a certificate, not a server that does not speak TLS."""
    text = alert_text(HeartbeatResult(None, Cause.TLS, detail))
    assert look in text
    assert ("heartbeat.ca_file" in text) == detail.startswith("certificate")


@pytest.mark.parametrize(
    ("detail", "look"),
    [
        (
            "worker.example is blocked by a DNS filter, which answers 0.0.0.0",
            "Allow the name in heartbeat.url on the name server",
        ),
        ("a..b is no host name: a part of it is empty or longer than 63 characters", "Look at heartbeat.url."),
    ],
)
def test_a_name_that_is_the_fault_itself(detail: str, look: str) -> None:
    """The name server answered, or was never asked: that is told, also while the internet check fails."""
    text = alert_text(HeartbeatResult(None, Cause.DNS, detail), internet_ok=False)
    assert f"name resolution failed: {detail}." in text
    assert look in text
    assert FAILED in text
    assert "no internet" not in text
    assert "uplink" not in text


def test_a_number_that_is_no_answer() -> None:
    """It is told as a protocol error, with what the check found, like any other."""
    text = alert_text(HeartbeatResult(999), None)
    assert "status 999 is no HTTP answer" in text
    assert UNKNOWN in text


@pytest.mark.parametrize(
    ("before", "title"),
    [
        (observation(WorkerState.UNREACHABLE, S, None, Cause.DNS), "nas: heartbeats reach the Worker again after 30 s"),
        (observation(WorkerState.REJECTED, S, 403), "nas: the Worker accepts heartbeats again after 30 s"),
        (observation(WorkerState.ERROR, S, 500), "nas: the Worker records heartbeats again after 30 s"),
        (observation(WorkerState.DEGRADED, S, 220), "nas: the heartbeat Worker is ok again after 30 s"),
    ],
)
def test_a_recovery_says_what_is_over(before: Observation, title: str) -> None:
    """Heartbeats that were answered had reached the Worker all the time."""
    history = [observation(WorkerState.OK, 0, 200), before, observation(WorkerState.OK, 31 * S, 200)]
    change = replay(None, history, Policy())[1][-1]
    alert = notified(payload.AgentInfo("nas", "1", 0), change, "x", URL)
    assert alert.title == title
    assert alert.message.endswith("The problem lasted 30 s.")
    assert f"Before that it was {before.state}" in alert.message
