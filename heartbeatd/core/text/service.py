"""Texts about services and their certificates."""

from collections.abc import Mapping

from heartbeatd.core.alerting import Announcement
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.locale import N_, Locale, Sentence
from heartbeatd.core.service import Service, ServiceKind, ServiceState, Why
from heartbeatd.core.subject import Observation
from heartbeatd.core.text import Text
from heartbeatd.core.text.states import Words, state_text

SERVICE, CERTIFICATE = "service", "certificate"  # the kinds of subject
ENDING = "ending"  # the state of a certificate beside ok
_IS: dict[str, str] = {
    ServiceState.DOWN: N_("service {name} is down"),
    ServiceState.ERROR: N_("service {name} fails"),
    ServiceState.TIMEOUT: N_("service {name} does not answer"),
    ServiceState.UNKNOWN: N_("service {name} cannot be checked"),
}
_WHY: dict[str, str] = {
    Cause.DNS: N_("Its name cannot be looked up ({detail})."),
    Cause.REFUSED: N_("No connection to {at} can be made ({detail})."),
    Cause.TIMEOUT: N_("{at} does not answer within {timeout} s ({detail})."),
    Cause.TLS: N_("TLS to {at} fails ({detail})."),
    Cause.RESET: N_("{at} breaks the connection off ({detail})."),
    Cause.PROTOCOL: N_("What answers at {at} does not speak HTTP as it should ({detail})."),
    Why.STATUS: N_("{at} answers {detail}, which is not what service.status expects."),
    Why.TEXT: N_("What {at} answers does not have the text that service.text expects."),
    Why.HEADER: N_("What {at} answers does not have the header {detail} as service.header expects."),
    Why.INACTIVE: N_("systemd says of {at}: {detail}."),
    Why.FAILED: N_("systemd says of {at}: {detail}."),
    Why.NO_SUCH_UNIT: N_("systemd knows no {at}."),
    Why.STOPPED: N_("{at} does not run."),
    Why.UNHEALTHY: N_("The health check of {at} fails."),
    Why.RESTARTING: N_("{at} is restarting."),
    Why.NOT_ASKED: N_("Why it cannot be: {detail}."),
}
_HINTS: dict[str, str] = {
    ServiceKind.HTTP: N_("See what its log says, and what stands in front of it: curl -v {at}."),
    ServiceKind.TCP: N_("See whether it runs and listens there, and whether a firewall is in between: ss -ltn."),
    ServiceKind.UNIT: N_("See why: systemctl status {name}, journalctl -u {name} -n 50."),
    ServiceKind.CONTAINER: N_("See why: docker ps -a --filter name={name}, docker logs --tail 50 {name}."),
}


def service_text(host: str, announcement: Announcement, locale: Locale, services: Mapping[str, Service]) -> Text:
    """What it does, why, since when, and where to look."""
    observed = announcement.observed
    name = observed.subject.name
    service = services.get(name)
    if observed.subject.kind == CERTIFICATE:
        return state_text(host, announcement, locale, _of_certificate(observed))
    if observed.ok or service is None:
        return state_text(host, announcement, locale, Words(N_("service {name}"), name))
    values = (
        ("at", service.shown),
        ("name", service.at if service.kind in (ServiceKind.UNIT, ServiceKind.CONTAINER) else name),
        ("detail", observed.detail),
        ("timeout", str(service.timeout_s)),
    )
    why = (_WHY[observed.reason], _HINTS[service.kind]) if observed.reason in _WHY else (_HINTS[service.kind],)
    hints = tuple(Sentence(text, values) for text in why)
    return state_text(host, announcement, locale, Words(_IS[observed.state], name, hints=hints))


def _of_certificate(observed: Observation) -> Words:
    name, days = observed.subject.name, "?" if observed.value is None else f"{observed.value:.0f}"
    if observed.ok:
        return Words(N_("the certificate of {name}"), name)
    hint = Sentence(N_("Renew it, and have the service load the new one: certbot certificates, or your proxy's log."))
    return Words(N_("certificate of {name}: {value} days left"), name, days, (hint,))
