"""The Worker: what the answer to a heartbeat, or silence, says about it.

Silence is always `unreachable`; its cause, and what the internet check found in the same cycle, say where to look.
"""

from dataclasses import replace
from enum import StrEnum
from functools import partial

from heartbeatd.core.heartbeat import BLOCKED, NO_NAME, Cause, HeartbeatResult, is_no_route
from heartbeatd.core.locale import N_, Sentence
from heartbeatd.core.policy import Policy
from heartbeatd.core.rule import Rule, RuleSettings, Seen
from heartbeatd.core.subject import OK, Observation, Severity
from heartbeatd.core.text.worker import worker_text
from heartbeatd.core.worker import WORKER, WorkerState, rule_for

_SEVERITIES: dict[str, Severity] = {OK: Severity.OK, WorkerState.DEGRADED: Severity.WARNING}


class Check(StrEnum):
    """What a cycle's internet check has to say about the same cycle's silence."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    INCONCLUSIVE = "inconclusive"


CHECK_SAYS: dict[Check, tuple[str, str]] = {
    Check.PASSED: (
        N_("The internet check passed in the same cycle."),
        N_("The internet check ({asked}) passed in the same cycle."),
    ),
    Check.FAILED: (N_("The internet check failed, too."), N_("The internet check ({asked}) failed, too.")),
    Check.UNKNOWN: (
        N_("The internet check had no result in that cycle."),
        N_("The internet check ({asked}) had no result in that cycle."),
    ),
    Check.INCONCLUSIVE: (
        N_(
            "The internet check failed, but it also failed while the Worker answered, so it says nothing (see internet.url)."
        ),
        N_(
            "The internet check ({asked}) failed, but it also failed while the Worker answered, so it says nothing (see "
            "internet.url)."
        ),
    ),
}
_LOOK_AT: dict[Cause, str] = {
    Cause.NO_INTERNET: N_("Look at this host's uplink (cable, router, provider)."),
    Cause.DNS: N_("Look at the name in heartbeat.url, and at this host's name servers (/etc/resolv.conf)."),
    Cause.REFUSED: N_(
        "The address answers, but nothing takes connections there: look at heartbeat.url, and at any firewall."
    ),
    Cause.TLS: N_("Look at heartbeat.url: does it answer https there?"),
    Cause.RESET: N_("Look at the Worker's log, and at a proxy or firewall in between."),
    Cause.PROTOCOL: N_("Look at heartbeat.url: something other than the Worker seems to answer there."),
}
_TIMEOUT_PASSED = N_("Look at the Worker itself, and at a firewall that drops packets.")
_TIMEOUT = N_(
    "Look at this host's uplink (cable, router, provider), at a firewall that drops packets, and at the Worker itself."
)
_CERTIFICATE = N_("Look at the Worker's certificate, at heartbeat.ca_file and at this host's clock.")
_ALLOW = N_("Allow the name in heartbeat.url on the name server that this host asks (/etc/resolv.conf).")
_NAME = N_("Look at heartbeat.url.")
_NO_ROUTE = N_(
    "This host could not begin a connection: look at its network, its routes and its firewall, and at heartbeat.url."
)


def rule(settings: RuleSettings) -> Rule:
    """The rule on the Worker. Its first state is told to nobody."""
    return Rule(
        WORKER.kind,
        partial(_observe, settings.internet_url),
        partial(_policy, settings.policy, replace(settings.policy, for_cycles=settings.policy.change_cycles)),
        partial(worker_text, heartbeat_url=settings.heartbeat_url),
    )


def _policy(policy: Policy, without_internet: Policy, observed: Observation) -> Policy:
    """A router that connects anew, as many do each night, is no outage of the Worker, and a message could not leave anyway."""
    return without_internet if observed.reason == Cause.NO_INTERNET else policy


def _observe(internet_url: str, seen: Seen) -> tuple[Observation, ...]:
    sample = seen.sample
    asked = sample.asked(internet_url)
    found = observe(seen.at_ns, seen.result, sample.internet_ok, check_explains=seen.check_explains, asked=asked)
    return () if found is None else (found,)


def observe(
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
            hints = tuple(map(Sentence, rule.sentences))
            return observation(rule.state, at_ns, beat.status, None, rule.meaning, hints)
        beat = HeartbeatResult(None, Cause.PROTOCOL, f"status {beat.status} is no HTTP answer")
    check = _check(internet_ok, check_explains)
    cause = beat.cause or Cause.PROTOCOL
    named = BLOCKED in beat.detail or NO_NAME in beat.detail
    if check is Check.FAILED and cause in (Cause.DNS, Cause.TIMEOUT, Cause.REFUSED) and not named:
        cause = Cause.NO_INTERNET
    plain, which = CHECK_SAYS[check]
    found = Sentence(which, (("asked", asked),)) if asked else Sentence(plain)
    hints = (found, Sentence(look_at(cause, beat.detail, check)))
    return observation(WorkerState.UNREACHABLE, at_ns, None, cause, beat.detail, hints)


def observation(
    state: WorkerState,
    at_ns: int,
    status: int | None = None,
    cause: Cause | None = None,
    detail: str = "",
    hints: tuple[Sentence, ...] = (),
) -> Observation:
    """The Worker in this state: a degraded one still records heartbeats, any other that is not ok may not."""
    return Observation(WORKER, state, _SEVERITIES.get(state, Severity.CRITICAL), at_ns, status, cause, detail, hints)


def look_at(cause: Cause, detail: str = "", check: Check = Check.UNKNOWN) -> str:
    """Where to look when there was no answer for this reason, in a sentence; `detail` says more about the reason."""
    if cause is Cause.TIMEOUT:
        return _TIMEOUT_PASSED if check is Check.PASSED else _TIMEOUT
    if cause is Cause.DNS and BLOCKED in detail:
        return _ALLOW
    if cause is Cause.DNS and NO_NAME in detail:
        return _NAME
    if cause is Cause.TLS and detail.startswith("certificate"):
        return _CERTIFICATE
    return _NO_ROUTE if is_no_route(cause, detail) else _LOOK_AT[cause]


def _check(internet_ok: bool | None, check_explains: bool) -> Check:
    if internet_ok is None:
        return Check.UNKNOWN
    if internet_ok:
        return Check.PASSED
    return Check.FAILED if check_explains else Check.INCONCLUSIVE
