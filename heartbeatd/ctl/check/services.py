"""What would be said of each service now."""

from collections.abc import Iterator

from heartbeatd import components
from heartbeatd.config.services import service_of
from heartbeatd.core.plain import plain
from heartbeatd.core.sample import Sample
from heartbeatd.core.service import Service, ServiceCheck, ServiceKind, ServiceState
from heartbeatd.ctl.check.finding import Finding, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.runtime import Runtime


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """One look at each, as the agent makes it; the list of containers is got only if there is a service that is one."""
    config = situation.config
    services = {service.name: service for service in map(service_of, config.services)}
    sample = Sample(runtime.clock.now_ns())
    if any(service.kind is ServiceKind.CONTAINER for service in services.values()):
        probes, client = components.probes(config, runtime, with_services=False)
        sample = probes.collect(runtime.clock.now_ns, runtime.cancel)
        client.close()
    found = {one.name: one for one in components.look_at_services(config, runtime, sample).services}
    for name, service in services.items():
        yield classify(service, found.get(name))


def classify(service: Service, found: ServiceCheck | None) -> Finding:
    """What a look found; None if there was no time for one."""
    shown = f"{service.name} ({service.shown})"
    if found is None:
        return warning("services", f"{shown} was not checked in time")
    outcome, days = found.outcome, found.certificate_days
    if found.state is not ServiceState.HEALTHY:
        why = ": ".join(filter(None, (outcome.reason, plain(outcome.detail, 200))))
        return warning("services", f"{shown} is {found.state}: {why}", _hint(service, found))
    if days is not None and days <= service.certificate_days:
        return warning("services", f"{shown} is healthy; its certificate ends in {days} days", "renew it")
    took = "" if found.took_ms is None else f" ({found.took_ms:.0f} ms)"
    return ok("services", f"{shown} is healthy{took}")


def _hint(service: Service, found: ServiceCheck) -> str:
    if found.state is ServiceState.UNKNOWN:
        return "it could not be checked from here"
    return f"it is announced as {service.severity} once it has lasted for {service.for_s} s"
