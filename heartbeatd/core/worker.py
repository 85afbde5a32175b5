"""What each status of the Worker means, and what to do about it.

Theory of operation. `STATES` is read from the top, and the first rule that fits counts. The state follows from the status
alone; a header can only tell who answered in the Worker's place, and so what the status means and whose business it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from heartbeatd.core.locale import N_
from heartbeatd.core.subject import Subject

WORKER = Subject("worker")
CHALLENGED = "cf-mitigated"  # Cloudflare sends it with a challenge in the place of the Worker's answer
BY_CLOUDFLARE = (
    "server",
    "cloudflare",
)  # the header, and its value, by which Cloudflare says that the answer is its own
_COMPARE_KEY = N_("Compare heartbeat.secret_key with the Worker's key.")
_COMPARE_URL = N_("Compare heartbeat.url with the Worker's address, its path included.")
_THE_LOG = N_("If they agree, look at the Worker's log.")
_CHALLENGE = N_("Cloudflare's bot protection stopped the heartbeat before the Worker")
_UNREACHED = N_("Cloudflare could not reach the Worker or run it")
_LOOK_AT_CLOUDFLARE = N_("Look at the Worker in Cloudflare's dashboard: its log, its route and its limits.")
_SEND_FEWER = N_("A larger agent.interval_seconds sends fewer.")
_LET_THROUGH = N_(
    "In Cloudflare's dashboard, let requests to this address pass without a challenge (Security, a WAF rule that skips bot "
    "protection)."
)


class WorkerState(StrEnum):
    """What the Worker's last answer, or its silence, says about it."""

    OK = "ok"
    DEGRADED = "degraded"
    REJECTED = "rejected"
    ERROR = "error"
    UNREACHABLE = "unreachable"

    @property
    def good(self) -> bool:
        """True for the one state in which nobody needs to be told anything."""
        return self is WorkerState.OK


@dataclass(frozen=True, slots=True)
class StateRule:
    """Statuses `first` to `last` mean `state`; `meaning` and `sentences` say why, and what to do.

    With a `header`, the rule is only for answers that have it, and with a `value`, only if its value is that.
    """

    first: int
    last: int
    state: WorkerState
    meaning: str
    sentences: tuple[str, ...] = ()
    header: str = ""
    value: str = ""

    @property
    def advice(self) -> str:
        """What to do, in English."""
        return " ".join(self.sentences)

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
        N_("received, but the Worker could not read its earlier state"),
        (N_("Look at the Worker's storage."),),
    ),
    StateRule(
        221,
        221,
        WorkerState.DEGRADED,
        N_("a recovery was seen but could not be fully recorded or announced"),
        (N_("Look at the Worker's storage, and at where it sends its messages."),),
    ),
    StateRule(200, 299, WorkerState.OK, N_("heartbeat recorded")),
    StateRule(
        300,
        399,
        WorkerState.REJECTED,
        N_("redirected: wrong address, or a login page in front of it"),
        (
            N_(
                "Redirects are not followed: set heartbeat.url to the address that answers itself (http:// in place of https://?)."
            ),
        ),
    ),
    StateRule(400, 499, WorkerState.REJECTED, _CHALLENGE, (_LET_THROUGH,), CHALLENGED),
    StateRule(500, 599, WorkerState.ERROR, _CHALLENGE, (_LET_THROUGH,), CHALLENGED),
    StateRule(
        400,
        400,
        WorkerState.REJECTED,
        N_("bad request: the server does not understand the heartbeat"),
        (_COMPARE_URL, _THE_LOG),
    ),
    StateRule(401, 401, WorkerState.REJECTED, N_("not authorized: wrong key"), (_COMPARE_KEY,)),
    StateRule(
        403,
        403,
        WorkerState.REJECTED,
        N_("forbidden: by the Worker (wrong key?) or by a rule of Cloudflare's firewall"),
        (_COMPARE_KEY, N_("If they agree, look at the security events in Cloudflare's dashboard.")),
        *BY_CLOUDFLARE,
    ),
    StateRule(
        403,
        403,
        WorkerState.REJECTED,
        N_("forbidden: wrong key, or this host is not allowed in"),
        (_COMPARE_KEY, N_("If they agree, look at the rules of the server or firewall in front of it.")),
    ),
    StateRule(
        404,
        404,
        WorkerState.REJECTED,
        N_("not found: wrong path in heartbeat.url, or no such Worker"),
        (_COMPARE_URL,),
    ),
    StateRule(
        405, 405, WorkerState.REJECTED, N_("the address takes no POST: wrong path in heartbeat.url"), (_COMPARE_URL,)
    ),
    StateRule(
        408,
        408,
        WorkerState.REJECTED,
        N_("the server did not get the whole request in time"),
        (N_("Look at this host's uplink, and at a proxy in between."),),
    ),
    StateRule(410, 410, WorkerState.REJECTED, N_("gone: heartbeat.url is no longer in use"), (_COMPARE_URL,)),
    StateRule(
        413,
        413,
        WorkerState.REJECTED,
        N_("the server takes no request of this size"),
        (N_("A heartbeat is small: look at the limits of the server, or of a proxy in between."),),
    ),
    StateRule(
        415, 415, WorkerState.REJECTED, N_("the address takes no JSON: wrong path in heartbeat.url"), (_COMPARE_URL,)
    ),
    StateRule(
        429,
        429,
        WorkerState.REJECTED,
        N_("too many requests: perhaps the plan's daily limit is used up (Cloudflare resets it at 00:00 UTC)"),
        (N_("Look at the number of requests in Cloudflare's dashboard."), _SEND_FEWER),
        *BY_CLOUDFLARE,
    ),
    StateRule(
        429,
        429,
        WorkerState.REJECTED,
        N_("too many requests: a limit of the server, or of a proxy in between, is used up"),
        (N_("Look at these limits."), _SEND_FEWER),
    ),
    StateRule(
        400,
        499,
        WorkerState.REJECTED,
        N_("refused: the server does not accept the request"),
        (_COMPARE_URL, _THE_LOG),
    ),
    StateRule(
        502,
        502,
        WorkerState.ERROR,
        N_("a gateway got no good answer from the Worker"),
        (N_("Look at the Worker, and at the gateway in front of it."),),
    ),
    StateRule(
        504,
        504,
        WorkerState.ERROR,
        N_("a gateway got no answer from the Worker in time"),
        (N_("Look at the Worker, and at the gateway in front of it."),),
    ),
    StateRule(520, 527, WorkerState.ERROR, _UNREACHED, (_LOOK_AT_CLOUDFLARE,), *BY_CLOUDFLARE),
    StateRule(530, 530, WorkerState.ERROR, _UNREACHED, (_LOOK_AT_CLOUDFLARE,), *BY_CLOUDFLARE),
    StateRule(500, 599, WorkerState.ERROR, N_("the Worker could not process it"), (N_("Look at the Worker's log."),)),
)


def rule_for(status: int, headers: Mapping[str, str] | None = None) -> StateRule | None:
    """The rule for an answer, or None for a number that is no HTTP answer (below 200, above 599)."""
    return next((rule for rule in STATES if rule.fits(status, headers or {})), None)
