"""A service that is watched: where it is, what is expected of it, and what one look at it found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from heartbeatd.core.container import Container
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.redact import redact_url
from heartbeatd.core.subject import Severity


class ServiceState(StrEnum):
    """What a look at a service comes to: the words of the heartbeat's `services`.

    down: there is nothing that answers. error: something answers, but not as expected. timeout: nobody knows, as it takes too
    long. unknown: it could not be looked at, which says nothing about the service.
    """

    HEALTHY = "healthy"
    DOWN = "down"
    ERROR = "error"
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"


class ServiceKind(StrEnum):
    """How it is looked at."""

    HTTP = "http"
    TCP = "tcp"
    UNIT = "unit"
    CONTAINER = "container"


class Why(StrEnum):
    """Why a service is not healthy, where that is not one of the causes for having no answer (`Cause`)."""

    STATUS = "status"
    TEXT = "text"
    HEADER = "header"
    INACTIVE = "inactive"
    FAILED = "failed"
    NO_SUCH_UNIT = "no such unit"
    STOPPED = "stopped"
    UNHEALTHY = "unhealthy"
    RESTARTING = "restarting"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Expected:
    """Of an answer over HTTP: a status in one of the ranges, a text in its body, a header with a text in its value ("": any)."""

    statuses: tuple[tuple[int, int], ...] = ((200, 299),)
    text: str = ""
    header: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Service:
    """`at` is a URL, which may hold a secret, HOST:PORT, or the name of a unit or a container.

    `address` is used in place of what the name in it has. With `certificate_days` or fewer left of its certificate it is told.
    """

    name: str
    kind: ServiceKind
    at: str = field(repr=False)
    every_s: int = 60
    timeout_s: int = 5
    expected: Expected = Expected()
    address: str = ""
    certificate_days: int = 14
    severity: Severity = Severity.CRITICAL
    for_s: int = 60

    @property
    def shown(self) -> str:
        """Where it is, without secrets, e.g. `https://shop.example/health`, `tcp://db:5432`, `unit:nginx.service`."""
        match self.kind:
            case ServiceKind.HTTP:
                return redact_url(self.at)
            case ServiceKind.TCP:
                return f"tcp://{self.at}"
        return f"{self.kind}:{self.at}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reason` is a word for why it is not healthy, `detail` what was met, in words for the log. `value` is an HTTP status."""

    state: ServiceState
    reason: str | None = None
    detail: str = ""
    value: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceCheck:
    """One look at a service, which ended at a moment of the wall clock.

    `outside`: it takes the internet to get there. `explained`: and this host had none.
    """

    name: str
    at_ns: int
    outcome: Outcome
    took_ms: float | None = None
    certificate_days: int | None = None  # that are left
    outside: bool = False
    explained: bool = False

    @property
    def state(self) -> ServiceState:
        return self.outcome.state

    @property
    def told(self) -> ServiceState:
        """The state to those who do not know whether this host has internet."""
        return ServiceState.UNKNOWN if self.explained else self.state


HEALTHY = Outcome(ServiceState.HEALTHY)
_BY_CAUSE: Mapping[Cause, ServiceState] = {
    Cause.DNS: ServiceState.DOWN,
    Cause.REFUSED: ServiceState.DOWN,
    Cause.TIMEOUT: ServiceState.TIMEOUT,
}
# What a dead uplink looks like: an answer, even a bad one, shows that something was reached.
_NOT_REACHED = (ServiceState.DOWN, ServiceState.TIMEOUT)
_RUNS = ("active", "reloading", "refreshing")


def without_answer(cause: Cause, detail: str) -> Outcome:
    """No answer over HTTP or TCP, for this cause."""
    return Outcome(_BY_CAUSE.get(cause, ServiceState.ERROR), cause, detail)


def of_answer(expected: Expected, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """An answer over HTTP; the names of `headers` are in lower case, `body` is the beginning of it."""
    if not any(first <= status <= last for first, last in expected.statuses):
        return Outcome(ServiceState.ERROR, Why.STATUS, f"HTTP {status}", status)
    name, value = expected.header
    if name and (name.lower() not in headers or value not in headers[name.lower()]):
        return Outcome(ServiceState.ERROR, Why.HEADER, name, status)
    if expected.text and expected.text.encode() not in body:
        return Outcome(ServiceState.ERROR, Why.TEXT, "", status)
    return Outcome(ServiceState.HEALTHY, value=status)


def of_unit(properties: Mapping[str, str]) -> Outcome:
    """A unit of systemd, by what systemctl(1) shows of it: LoadState, ActiveState, SubState, Result."""
    active, sub = properties.get("ActiveState", ""), properties.get("SubState", "")
    if not active:
        return Outcome(ServiceState.UNKNOWN, Why.NOT_ASKED, "systemd says nothing of it")
    if active in _RUNS:
        return HEALTHY
    if properties.get("LoadState") == "not-found":
        return Outcome(ServiceState.DOWN, Why.NO_SUCH_UNIT, "systemd knows no unit of this name")
    detail = f"{active} ({sub})" if sub not in ("", active) else active
    result = properties.get("Result", "success")
    if result not in ("", "success"):
        detail = f"{detail}, {result}"
    if active == "failed":
        return Outcome(ServiceState.ERROR, Why.FAILED, detail)
    return Outcome(ServiceState.DOWN, Why.INACTIVE, detail)


def of_container(name: str, listed: tuple[Container, ...] | None) -> Outcome:
    """A container, by the list of those that run; None if there is no list."""
    if listed is None:
        return Outcome(ServiceState.UNKNOWN, Why.NOT_ASKED, "there is no Docker engine, or it does not answer")
    found = next((one for one in listed if one.name == name), None)
    if found is None:
        return Outcome(ServiceState.DOWN, Why.STOPPED, "it does not run")
    if found.state == "restarting":
        return Outcome(ServiceState.ERROR, Why.RESTARTING, "it is restarting")
    if found.state != "running":
        return Outcome(ServiceState.DOWN, Why.STOPPED, f"it is {found.state}")
    if found.health == "unhealthy":
        return Outcome(ServiceState.ERROR, Why.UNHEALTHY, "its health check fails")
    return HEALTHY


def is_explained(outcome: Outcome, *, outside: bool, internet_failed: bool) -> bool:
    """Whether this host's own lack of internet may be all there is to it."""
    return outside and internet_failed and outcome.state in _NOT_REACHED
