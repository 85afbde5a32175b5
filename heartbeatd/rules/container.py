"""Containers: those that must run, and any that is unhealthy or restarts again and again.

The list of the Docker engine has those that run, so a watched one that is not in it is stopped, or was never made. One that an
engine restarts again and again is found restarting, or started less than a minute ago, in each reading; a start by hand or
`docker compose up` ends that after a minute, which is why it takes three until it is told.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.container import Container, Reason, Watched
from heartbeatd.core.policy import Initial, Policy, reminder_s
from heartbeatd.core.rule import Rule, RuleSettings, Seen
from heartbeatd.core.sample import ProbeStatus
from heartbeatd.core.subject import OK, Observation, Severity, Subject, gone
from heartbeatd.core.text.container import NO_ANSWER, NO_DOCKER, PAUSED, ContainerState, container_text, known

KIND = "container"
PROBE = "containers"
# Seconds until a state counts. `docker compose up` makes a container anew within a minute. A health check has had Docker's own
# retries by the time it has failed.
FOR_S: dict[str, int] = {
    ContainerState.STOPPED: 60,
    ContainerState.UNKNOWN: 60,
    ContainerState.RESTARTING: 180,
    ContainerState.UNHEALTHY: 0,
}
_FEWEST_CYCLES = 2


def rule(settings: RuleSettings) -> Rule:
    """The rule on containers."""
    return Rule(
        KIND, partial(_observe, settings.containers), partial(_policy, max(1, settings.interval_s)), container_text
    )


def _observe(watched: Watched, seen: Seen) -> Iterator[Observation]:
    observed: set[Subject] = set()
    for one in _in_list(watched, seen):
        observed.add(one.subject)
        yield one
    if seen.sample.containers is None and seen.sample.status(PROBE) not in (ProbeStatus.NO_DATA, ProbeStatus.OFF):
        return
    for subject, state in seen.states.items():
        if subject.kind == KIND and subject not in observed and not state.at_rest:
            yield gone(subject, seen.at_ns)


def _in_list(watched: Watched, seen: Seen) -> Iterator[Observation]:
    listed = seen.sample.containers
    if listed is None:
        yield from _unknown(watched, seen)
        return
    known = {subject.name for subject in seen.states if subject.kind == KIND}
    for one in {one.name: one for one in listed}.values():
        must_run = watched.has(one.name)
        # Most are fine, and were before: there is nothing to say of them, and there may be a thousand.
        if must_run or (watched.any_unhealthy and (not one.fine or one.name in known)):
            yield _of(seen, one, must_run=must_run)
    yield from (_stopped(seen, Subject(KIND, name)) for name in watched.missing(listed))


def _unknown(watched: Watched, seen: Seen) -> Iterator[Observation]:
    """What is watched, while there is no list: without Docker it does not run."""
    for name in watched.names:
        subject = Subject(KIND, name)
        match seen.sample.status(PROBE):
            case ProbeStatus.NO_DATA:
                yield _stopped(seen, subject, NO_DOCKER)
            case ProbeStatus.FAILED:
                yield Observation(subject, ContainerState.UNKNOWN, Severity.WARNING, seen.at_ns, reason=NO_ANSWER)


def _of(seen: Seen, one: Container, *, must_run: bool) -> Observation:
    subject = Subject(KIND, one.name)
    before = seen.states.get(subject)
    bad = Severity.CRITICAL if must_run else Severity.WARNING
    why = seen.sample.reasons.get(one.name)
    if one.state == "restarting":
        return _bad(seen, subject, ContainerState.RESTARTING, bad, why)
    if one.health == "unhealthy":
        return _bad(seen, subject, ContainerState.UNHEALTHY, bad, why)
    if must_run and one.state == "paused":
        return _stopped(seen, subject, PAUSED)
    if one.recent and (before is None or before.current in (OK, ContainerState.RESTARTING)):
        return _bad(seen, subject, ContainerState.RESTARTING, bad, why)
    return Observation(subject, OK, Severity.OK, seen.at_ns)


def _stopped(seen: Seen, subject: Subject, reason: str | None = None) -> Observation:
    """That it does not run. The minute it may take does not begin with the one after a start, so that its count begins anew."""
    if _just_started(seen.states.get(subject)):
        return Observation(subject, OK, Severity.OK, seen.at_ns)
    found = _bad(seen, subject, ContainerState.STOPPED, Severity.CRITICAL, seen.sample.reasons.get(subject.name))
    return replace(found, reason=reason) if reason else found


def _bad(seen: Seen, subject: Subject, state: ContainerState, severity: Severity, why: Reason | None) -> Observation:
    """With what is known of why. Only the text of an alert that is due takes the trouble to read it."""
    if why is None:
        return Observation(subject, state, severity, seen.at_ns)
    return Observation(subject, state, severity, seen.at_ns, detail="\n".join(why.log), hints=known(why))


def _just_started(state: AlertState | None) -> bool:
    return state is not None and state.current == OK and state.streak_state == ContainerState.RESTARTING


def _policy(interval_s: int, observed: Observation) -> Policy:
    cycles = max(_FEWEST_CYCLES, -(-FOR_S.get(observed.state, 0) // interval_s))
    return Policy(cycles, 1, Initial.ASSUME_OK, reminder_s(observed.severity))
