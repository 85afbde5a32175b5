"""Services: which are not healthy, and whose certificates end.

A look in five seconds says as much as one in fifty, so it is looks that are counted: as many as the service has in `for`, and one
more. While this host has no internet nothing is observed of services outside: neither that they are bad, nor that they are well.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from math import ceil

from heartbeatd.core.policy import Initial, Policy, reminder_s
from heartbeatd.core.rule import Rule, RuleSettings, Seen
from heartbeatd.core.service import Service, ServiceCheck, ServiceState
from heartbeatd.core.subject import OK, Observation, Severity, Subject, gone
from heartbeatd.core.text.service import CERTIFICATE, ENDING, SERVICE, service_text

_CERTIFICATE_LOOKS = 2


def rule(settings: RuleSettings) -> Rule:
    """The rule on services."""
    services = {service.name: service for service in settings.services}
    return Rule(
        SERVICE,
        partial(_observe, services),
        partial(_policy, services, max(1, settings.interval_s)),
        partial(service_text, services=services),
    )


def _observe(services: Mapping[str, Service], seen: Seen) -> Iterator[Observation]:
    for check in seen.sample.service_checks:
        if check.name in services and not (check.explained and seen.check_explains):
            yield _of(services[check.name], check, seen.at_ns)
            if check.certificate_days is not None and services[check.name].certificate_days:
                yield _of_certificate(services[check.name], check.certificate_days, seen.at_ns)
    yield from _gone(services, seen)


def _of(service: Service, check: ServiceCheck, at_ns: int) -> Observation:
    subject, found = Subject(SERVICE, service.name), check.outcome
    if found.state is ServiceState.HEALTHY:
        return Observation(subject, OK, Severity.OK, at_ns, found.value)
    # Of what could not be looked at nobody knows how bad it is.
    severity = Severity.WARNING if found.state is ServiceState.UNKNOWN else service.severity
    return Observation(subject, found.state, severity, at_ns, found.value, found.reason, found.detail)


def _of_certificate(service: Service, days: int, at_ns: int) -> Observation:
    subject, least = Subject(CERTIFICATE, service.name), service.certificate_days
    if days > least:
        return Observation(subject, OK, Severity.OK, at_ns, days)
    return Observation(subject, ENDING, Severity.WARNING, at_ns, days, limit=least)


def _gone(services: Mapping[str, Service], seen: Seen) -> Iterator[Observation]:
    """What was bad, and is not watched any more."""
    for subject, state in seen.states.items():
        if subject.kind in (SERVICE, CERTIFICATE) and not state.at_rest:
            service = services.get(subject.name)
            if service is None or (subject.kind == CERTIFICATE and not service.certificate_days):
                yield gone(subject, seen.at_ns)


def _policy(services: Mapping[str, Service], interval_s: int, observed: Observation) -> Policy:
    if observed.subject.kind == CERTIFICATE:
        return Policy(_CERTIFICATE_LOOKS, 1, Initial.ASSUME_OK)
    service = services[observed.subject.name]
    looks = 1 + ceil(service.for_s / max(service.every_s, interval_s))
    return Policy(looks, 1, Initial.ASSUME_OK, reminder_s(observed.severity))
