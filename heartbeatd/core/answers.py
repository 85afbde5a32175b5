"""What an answer of the Worker means, or its silence, and what to do about it.

Theory of operation. `STATES` is read from the top, and the first rule that fits counts. The state follows from the status
alone; a header can only tell who answered in the Worker's place, and so what the status means and whose business it is.
Silence is always `unreachable`; its cause, and what the internet check found in the same cycle, say where to look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from heartbeatd.core.model import Cause, HeartbeatResult, Observation, WorkerState

CHALLENGED = "cf-mitigated"  # Cloudflare sends it with a challenge in the place of the Worker's answer
_COMPARE_KEY = "Compare heartbeat.secret_key with the Worker's key."
_COMPARE_URL = "Compare heartbeat.url with the Worker's address, its path included."
_CHALLENGE = "Cloudflare's bot protection stopped the heartbeat before the Worker"
_UNREACHED = "Cloudflare could not reach the Worker or run it"
_LOOK_AT_CLOUDFLARE = "Look at the Worker in Cloudflare's dashboard: its log, its route and its limits."
_LET_THROUGH = (
    "In Cloudflare's dashboard, let requests to this address pass without a challenge (Security, a WAF rule that skips bot "
    "protection)."
)


@dataclass(frozen=True, slots=True)
class StateRule:
    """Statuses `first` to `last` mean `state`; `meaning` and `advice` say why, and what to do.

    With a `header`, the rule is only for answers that have it, and with a `value`, only if its value is that.
    """

    first: int
    last: int
    state: WorkerState
    meaning: str
    advice: str = ""
    header: str = ""
    value: str = ""

    def fits(self, status: int, headers: Mapping[str, str]) -> bool:
        """True if this rule is for such an answer."""
        if not self.first <= status <= self.last:
            return False
        found = headers.get(self.header) if self.header else ""
        return found is not None and self.value in ("", found.strip().casefold())


STATES: tuple[StateRule, ...] = (
    StateRule(
        220,
        220,
        WorkerState.DEGRADED,
        "received, but the Worker could not read its earlier state",
        "Look at the Worker's storage.",
    ),
    StateRule(
        221,
        221,
        WorkerState.DEGRADED,
        "a recovery was seen but could not be fully recorded or announced",
        "Look at the Worker's storage, and at where it sends its messages.",
    ),
    StateRule(200, 299, WorkerState.OK, "heartbeat recorded"),
    StateRule(
        300,
        399,
        WorkerState.REJECTED,
        "redirected: wrong address, or a login page in front of it",
        "Redirects are not followed: set heartbeat.url to the address that answers itself (http:// in place of https://?).",
    ),
    StateRule(400, 499, WorkerState.REJECTED, _CHALLENGE, _LET_THROUGH, CHALLENGED),
    StateRule(500, 599, WorkerState.ERROR, _CHALLENGE, _LET_THROUGH, CHALLENGED),
    StateRule(
        400,
        400,
        WorkerState.REJECTED,
        "bad request: the server does not understand the heartbeat",
        f"{_COMPARE_URL} If they agree, look at the Worker's log.",
    ),
    StateRule(401, 401, WorkerState.REJECTED, "not authorized: wrong key", _COMPARE_KEY),
    StateRule(
        403,
        403,
        WorkerState.REJECTED,
        "forbidden: by the Worker (wrong key?) or by a rule of Cloudflare's firewall",
        f"{_COMPARE_KEY} If they agree, look at the security events in Cloudflare's dashboard.",
        "server",
        "cloudflare",
    ),
    StateRule(
        403,
        403,
        WorkerState.REJECTED,
        "forbidden: wrong key, or this host is not allowed in",
        f"{_COMPARE_KEY} If they agree, look at the rules of the server or firewall in front of it.",
    ),
    StateRule(
        404,
        404,
        WorkerState.REJECTED,
        "not found: wrong path in heartbeat.url, or no such Worker",
        _COMPARE_URL,
    ),
    StateRule(405, 405, WorkerState.REJECTED, "the address takes no POST: wrong path in heartbeat.url", _COMPARE_URL),
    StateRule(
        408,
        408,
        WorkerState.REJECTED,
        "the server did not get the whole request in time",
        "Look at this host's uplink, and at a proxy in between.",
    ),
    StateRule(410, 410, WorkerState.REJECTED, "gone: heartbeat.url is no longer in use", _COMPARE_URL),
    StateRule(
        413,
        413,
        WorkerState.REJECTED,
        "the server takes no request of this size",
        "A heartbeat is small: look at the limits of the server, or of a proxy in between.",
    ),
    StateRule(415, 415, WorkerState.REJECTED, "the address takes no JSON: wrong path in heartbeat.url", _COMPARE_URL),
    StateRule(
        429,
        429,
        WorkerState.REJECTED,
        "too many requests: perhaps the plan's daily limit is used up (Cloudflare resets it at 00:00 UTC)",
        "Look at the number of requests in Cloudflare's dashboard, or at the server's limits. A larger agent.interval_seconds "
        "sends fewer.",
    ),
    StateRule(
        400,
        499,
        WorkerState.REJECTED,
        "refused: the server does not accept the request",
        f"{_COMPARE_URL} If they agree, look at the Worker's log.",
    ),
    StateRule(
        502,
        502,
        WorkerState.ERROR,
        "a gateway got no good answer from the Worker",
        "Look at the Worker, and at the gateway in front of it.",
    ),
    StateRule(
        504,
        504,
        WorkerState.ERROR,
        "a gateway got no answer from the Worker in time",
        "Look at the Worker, and at the gateway in front of it.",
    ),
    StateRule(520, 527, WorkerState.ERROR, _UNREACHED, _LOOK_AT_CLOUDFLARE),
    StateRule(530, 530, WorkerState.ERROR, _UNREACHED, _LOOK_AT_CLOUDFLARE),
    StateRule(500, 599, WorkerState.ERROR, "the Worker could not process it", "Look at the Worker's log."),
)


def rule_for(status: int, headers: Mapping[str, str] | None = None) -> StateRule | None:
    """The rule for an answer, or None for a number that is no HTTP answer (below 200, above 599)."""
    return next((rule for rule in STATES if rule.fits(status, headers or {})), None)


class Check(StrEnum):
    """What a cycle's internet check has to say about the same cycle's silence."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    INCONCLUSIVE = "inconclusive"


CHECK_SAYS: dict[Check, str] = {
    Check.PASSED: "passed in the same cycle.",
    Check.FAILED: "failed, too.",
    Check.UNKNOWN: "had no result in that cycle.",
    Check.INCONCLUSIVE: "failed, but it also failed while the Worker answered, so it says nothing (see internet.url).",
}

# In the detail of `dns`: the name was looked up, or is none, so that no uplink can explain it.
BLOCKED = "is blocked by a DNS filter"
NO_NAME = "is no host name"
_UPLINK = "this host's uplink (cable, router, provider)"
_LOOK_AT: dict[Cause, str] = {
    Cause.NO_INTERNET: f"Look at {_UPLINK}.",
    Cause.DNS: "Look at the name in heartbeat.url, and at this host's name servers (/etc/resolv.conf).",
    Cause.REFUSED: "The address answers, but nothing takes connections there: look at heartbeat.url, and at any firewall.",
    Cause.TLS: "Look at heartbeat.url: does it answer https there?",
    Cause.RESET: "Look at the Worker's log, and at a proxy or firewall in between.",
    Cause.PROTOCOL: "Look at heartbeat.url: something other than the Worker seems to answer there.",
}
_TIMEOUT_PASSED = "Look at the Worker itself, and at a firewall that drops packets."
_TIMEOUT = f"Look at {_UPLINK}, at a firewall that drops packets, and at the Worker itself."
_CERTIFICATE = "Look at the Worker's certificate, at heartbeat.ca_file and at this host's clock."
_ALLOW = "Allow the name in heartbeat.url on the name server that this host asks (/etc/resolv.conf)."
_NO_ROUTE = (
    "This host could not begin a connection: look at its network, its routes and its firewall, and at heartbeat.url."
)


def classify_response(
    at_ns: int, beat: HeartbeatResult | None, internet_ok: bool | None, *, check_explains: bool = True, asked: str = ""
) -> Observation | None:
    """What one heartbeat says about the Worker; nothing, if none was sent or it was broken off.

    The internet check only explains: if it failed too and the Worker's silence looks like a dead uplink (no name, no
    connection), the cause is `no internet`. An answer, even a refusal by TLS or a reset, shows that something was reached.
    `check_explains` is False where the check had been failing while the Worker answered: then it explains nothing.
    `asked` is the address the check asked, fit to be shown, and if it failed, why.
    """
    if beat is None:
        return None
    if beat.status is not None:
        rule = rule_for(beat.status, beat.headers)
        if rule is not None:
            return Observation(rule.state, at_ns, beat.status, None, rule.meaning, rule.advice)
        beat = HeartbeatResult(None, Cause.PROTOCOL, f"status {beat.status} is no HTTP answer")
    check = _check(internet_ok, check_explains)
    cause = beat.cause or Cause.PROTOCOL
    named = BLOCKED in beat.detail or NO_NAME in beat.detail
    if check is Check.FAILED and cause in (Cause.DNS, Cause.TIMEOUT, Cause.REFUSED) and not named:
        cause = Cause.NO_INTERNET
    found = f"The internet check{f' ({asked})' if asked else ''} {CHECK_SAYS[check]}"
    advice = f"{found} {look_at(cause, beat.detail, check)}"
    return Observation(WorkerState.UNREACHABLE, at_ns, None, cause, beat.detail, advice)


def look_at(cause: Cause, detail: str = "", check: Check = Check.UNKNOWN) -> str:
    """Where to look when there was no answer for this reason, in a sentence; `detail` says more about the reason."""
    if cause is Cause.TIMEOUT:
        return _TIMEOUT_PASSED if check is Check.PASSED else _TIMEOUT
    if cause is Cause.DNS and BLOCKED in detail:
        return _ALLOW
    if cause is Cause.DNS and NO_NAME in detail:
        return "Look at heartbeat.url."
    if cause is Cause.TLS and detail.startswith("certificate"):
        return _CERTIFICATE
    return _NO_ROUTE if is_no_route(cause, detail) else _LOOK_AT[cause]


def is_no_route(cause: Cause, detail: str) -> bool:
    """True if the connection was not refused by the other side: `refused` is also what the system does not let through."""
    return cause is Cause.REFUSED and detail not in ("", "Connection refused")


def _check(internet_ok: bool | None, check_explains: bool) -> Check:
    if internet_ok is None:
        return Check.UNKNOWN
    if internet_ok:
        return Check.PASSED
    return Check.FAILED if check_explains else Check.INCONCLUSIVE
