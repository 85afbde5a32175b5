"""The settings of services: where each is, and what is expected of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from heartbeatd.config.lengths import Length
from heartbeatd.config.options import OneOf, Text, Whole
from heartbeatd.config.schema import REQUIRED, option
from heartbeatd.config.service_kinds import Address, Header, Statuses, Where, statuses_of
from heartbeatd.config.walk import Place
from heartbeatd.core.service import Expected, Service, ServiceKind
from heartbeatd.core.subject import Severity
from heartbeatd.errors import Problem

MOST = 100
_HOUR_S = 3600
_NAME = Text('letters, digits, ".", "-" and "_", at most 64', r"[A-Za-z0-9._-]", longest=64)
_LINE = "visible characters, at most 256"
_OVER_HTTP = ("status", "text", "header", "certificate_days")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """One service."""

    name: str = option(_NAME, REQUIRED, "What it is called in heartbeats and alerts.", example="web")
    check: str = option(
        Where(),
        REQUIRED,
        "Where it is: a URL that is asked with GET, where no redirect is followed; a port that takes connections; a unit of "
        "systemd that is active; a container that runs and is not unhealthy.",
        example="https://www.example.org/",
        shown=False,  # a password or a query may be in it
    )
    every: int = option(
        Length(_HOUR_S, shortest_s=1), "1min", "How often it is looked at; not more often than a cycle runs."
    )
    timeout: int = option(Length(60, shortest_s=1), "5s", "How long one look at it may take, name resolution included.")
    status: str = option(Statuses(), "2xx", "The HTTP statuses that it should answer. A redirect is 3xx.")
    text: str = option(
        Text(_LINE, r"[^\x00-\x1f\x7f]", longest=256),
        "",
        "What should be in the first 32 KiB of its answer.",
        example="ok",
    )
    header: str = option(
        Header(), "", "A header that its answer should have, and a text in the header's value.", example="Server: nginx"
    )
    resolve: str = option(
        Address(),
        "",
        "The address to connect to in place of what the name in check has; a certificate is still that of the name.",
        example="192.0.2.10",
    )
    certificate_days: int = option(
        Whole(0, 365), 14, "How many days before its certificate ends that is a warning; 0 is never."
    )
    severity: str = option(
        OneOf((Severity.WARNING, Severity.CRITICAL)), "critical", "How bad it is if it is not healthy."
    )
    for_: int = option(
        Length(86_400), "1min", "How long it has to be bad before that is announced: a single bad look is no outage."
    )


def service_of(config: ServiceConfig) -> Service:
    """The service that the section sets."""
    scheme, _, rest = config.check.partition(":")
    over_http = scheme.lower() in ("http", "https")
    name, _, value = config.header.partition(":")
    return Service(
        config.name,
        ServiceKind.HTTP if over_http else ServiceKind(scheme.lower()),
        config.check if over_http else rest.removeprefix("//"),
        config.every,
        config.timeout,
        Expected(statuses_of(config.status), config.text, (name.strip(), value.strip())),
        config.resolve,
        config.certificate_days,
        Severity(config.severity),
        config.for_,
    )


def check_services(services: Sequence[ServiceConfig], place: Place) -> Iterator[Problem]:
    """What is wrong with them that no single key shows."""
    if len(services) > MOST:
        yield Problem(place.of("service"), f"there are {len(services)} of these", f"allowed: at most {MOST}")
    defaults = {f.name: f.default for f in fields(ServiceConfig)}
    names: dict[str, int] = {}
    for number, one in enumerate(services, 1):
        key = f"service[{number}]"
        if not one.name:
            yield Problem(place.of(f"{key}.name"), "is empty", f"allowed: {_NAME.allowed}")
        elif names.setdefault(one.name, number) != number:
            yield Problem(place.of(f"{key}.name"), f"is that of service[{names[one.name]}], too", "give it another")
        if one.timeout > one.every:
            yield Problem(place.of(f"{key}.timeout"), "is longer than every", "set it to less")
        kind = service_of(one).kind
        for name in () if kind is ServiceKind.HTTP else _OVER_HTTP:
            if getattr(one, name) != defaults[name]:
                yield Problem(place.of(f"{key}.{name}"), f"says nothing of a {kind} check", "remove it")
        if one.resolve and kind in (ServiceKind.UNIT, ServiceKind.CONTAINER):
            yield Problem(place.of(f"{key}.resolve"), f"says nothing of a {kind} check", "remove it")
