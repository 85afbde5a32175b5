"""Services: which is told of, when, and which is not."""

from dataclasses import replace

import pytest

from heartbeatd.core.container import Container
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.policy import Policy
from heartbeatd.core.rule import Rule, RuleSettings
from heartbeatd.core.sample import Sample
from heartbeatd.core.service import (
    HEALTHY,
    Expected,
    Outcome,
    Service,
    ServiceCheck,
    ServiceKind,
    ServiceState,
    Why,
    is_explained,
    of_answer,
    of_container,
    of_unit,
    without_answer,
)
from heartbeatd.core.subject import Severity
from heartbeatd.rules.service import rule
from tests.support.clocks import NOW_NS
from tests.support.told import RuledHost

WEB = Service("web", ServiceKind.HTTP, "https://u:hidden@shop.example/?key=hidden-too")
REFUSED = without_answer(Cause.REFUSED, "Connection refused")
SLOW = without_answer(Cause.TIMEOUT, "gave up while connecting")


def watching(*services: Service) -> Rule:
    """The rule on these."""
    return rule(RuleSettings(Policy(), "", "", 10, services=services))


class Host(RuledHost):
    """What is announced of services that are checked once a minute."""

    def __init__(self, *services: Service) -> None:
        super().__init__(watching(*services))

    def watch(self, *services: Service) -> None:
        self.rule = watching(*services)

    def read(self, *checks: ServiceCheck, times: int = 1, explains: bool = True) -> None:
        """So many checks, and five cycles without any after each."""
        for _ in range(times):
            for found in (checks, *[()] * 5):
                self.look(Sample(self.now_ns, service_checks=found), 10, check_explains=explains)

    def finds(self, outcome: Outcome, times: int = 1, *, days: int | None = None) -> None:
        self.read(ServiceCheck("web", self.now_ns, outcome, 5.0, days), times=times)


def test_a_service_that_stops() -> None:
    """Told once it has lasted for the minute, once, with the reason and without a secret; and its recovery with its length."""
    host = Host(WEB)
    host.finds(HEALTHY, 3)
    host.finds(REFUSED)
    assert host.told == []
    host.finds(REFUSED, 10)
    assert host.events == ["problem service:web ok-down"]
    due, title, message = host.told[0]
    assert (title, due.observed.severity, due.observed.reason) == ("service web is down", "critical", "refused")
    assert "No connection to https://shop.example/ can be made (Connection refused)." in message
    assert "hidden" not in message
    host.finds(HEALTHY, 3)
    assert host.events[1:] == ["recovery service:web down-ok"]
    assert host.told[1][0].duration_s == 11 * 60
    assert host.told[1][1] == "ok again: service web"


def test_single_bad_looks_are_no_outage() -> None:
    """However many, if the next one is good."""
    host = Host(WEB)
    for _ in range(20):
        host.finds(SLOW)
        host.finds(HEALTHY)
    assert host.told == []


def test_one_outage_with_many_faces() -> None:
    """A timeout, then a 503, then a refusal are one; what it comes to rest in is told."""
    host = Host(WEB)
    for outcome in (SLOW, of_answer(Expected(), 503, {}, b""), REFUSED):
        host.finds(outcome)
    assert host.events == ["problem service:web ok-error"]
    host.finds(REFUSED, 10)
    assert host.events[1:] == ["change service:web error-down"]


def test_what_this_host_s_lack_of_internet_explains() -> None:
    """Is not told while it does, and told when it is bad still after that; a broken internet check explains nothing."""
    outside = ServiceCheck("web", NOW_NS, SLOW, outside=True, explained=True)
    host = Host(WEB)
    host.read(outside, times=60)
    assert host.told == []
    assert outside.told is ServiceState.UNKNOWN
    host.read(replace(outside, explained=False), times=3)
    assert host.events == ["problem service:web ok-timeout"]
    host = Host(WEB)
    host.read(outside, times=3, explains=False)
    assert host.events == ["problem service:web ok-timeout"]
    assert is_explained(SLOW, outside=True, internet_failed=True)
    assert not is_explained(SLOW, outside=False, internet_failed=True)
    assert not is_explained(of_answer(Expected(), 500, {}, b""), outside=True, internet_failed=True)


def test_a_service_that_is_removed_while_it_is_bad() -> None:
    """Is told of once, and closed."""
    host = Host(WEB)
    host.finds(REFUSED, 3)
    host.watch()
    host.read(times=3)
    assert host.events[1:] == ["recovery service:web down-ok"]
    assert host.told[1][1] == "gone, or no longer watched: service web"
    host.watch(WEB)
    host.finds(REFUSED, 3)
    assert host.events[2:] == ["problem service:web ok-down"]


def test_a_certificate_that_ends() -> None:
    """Is a warning of its own, and no state of the service: that may be down beside it."""
    host = Host(WEB)
    host.finds(HEALTHY, 3, days=15)
    assert host.told == []
    host.finds(HEALTHY, 3, days=14)
    assert host.events == ["problem certificate:web ok-ending"]
    due, title, _ = host.told[0]
    assert (title, due.observed.severity, due.observed.value) == ("certificate of web: 14 days left", "warning", 14)
    host.finds(REFUSED, 3)
    assert host.events[1:] == ["problem service:web ok-down"]
    host.finds(HEALTHY, 3, days=90)
    assert sorted(host.events[2:]) == ["recovery certificate:web ending-ok", "recovery service:web down-ok"]
    host.finds(HEALTHY, 3, days=3)
    host.watch(replace(WEB, certificate_days=0))
    host.read()
    assert host.events[4:] == ["problem certificate:web ok-ending", "recovery certificate:web ending-ok"]


def test_how_long_and_how_bad_is_the_service_s_own_to_say() -> None:
    """With `for` of nothing the first bad look is told; a warning is a warning, and never told again."""
    host = Host(replace(WEB, for_s=0, severity=Severity.WARNING))
    host.finds(REFUSED)
    assert [due.observed.severity for due, _, _ in host.told] == ["warning"]
    host.finds(REFUSED, 2000)
    assert len(host.told) == 1
    host = Host(WEB)
    host.finds(REFUSED, 24 * 60 + 10)
    assert host.events[1:] == ["reminder service:web down-down"]


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (without_answer(Cause.DNS, "no such name"), "down", "dns"),
        (REFUSED, "down", "refused"),
        (SLOW, "timeout", "timeout"),
        (without_answer(Cause.TLS, "certificate has expired"), "error", "tls"),
        (without_answer(Cause.RESET, ""), "error", "reset"),
        (of_answer(Expected(), 204, {}, b""), "healthy", None),
        (of_answer(Expected(), 301, {}, b""), "error", "status"),
        (of_answer(Expected(((301, 301), (400, 499))), 404, {}, b""), "healthy", None),
        (of_answer(Expected(text="ü ok"), 200, {}, "is ü ok.".encode()), "healthy", None),
        (of_answer(Expected(text="ok"), 200, {}, b"no"), "error", "text"),
        (of_answer(Expected(header=("X-Is", "b")), 200, {"x-is": "abc"}, b""), "healthy", None),
        (of_answer(Expected(header=("X-Is", "")), 200, {"x-is": "abc"}, b""), "healthy", None),
        (of_answer(Expected(header=("X-Is", "")), 200, {}, b""), "error", "header"),
        (of_unit({"LoadState": "loaded", "ActiveState": "active"}), "healthy", None),
        (of_unit({"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead"}), "down", "inactive"),
        (of_unit({"LoadState": "not-found", "ActiveState": "inactive"}), "down", "no such unit"),
        (of_unit({"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}), "error", "failed"),
        (of_unit({}), "unknown", "not asked"),
        (of_container("a", (Container("a", "running", "healthy"),)), "healthy", None),
        (of_container("a", (Container("a", "running", "unhealthy"),)), "error", "unhealthy"),
        (of_container("a", (Container("a", "restarting"),)), "error", "restarting"),
        (of_container("a", (Container("a", "paused"),)), "down", "stopped"),
        (of_container("a", (Container("b", "running"),)), "down", "stopped"),
        (of_container("a", None), "unknown", "not asked"),
    ],
)
def test_what_a_look_comes_to(outcome: Outcome, state: str, reason: str | None) -> None:
    """Each answer, each silence, each state of a unit and a container."""
    assert (outcome.state, outcome.reason) == (state, reason)


def test_what_is_unknown_is_a_warning_however_critical_the_service() -> None:
    """Nobody knows how bad it is."""
    host = Host(replace(WEB, kind=ServiceKind.UNIT, at="web.service"))
    host.finds(Outcome(ServiceState.UNKNOWN, Why.NOT_ASKED, "no bus"), 5)
    assert [(title, due.observed.severity) for due, title, _ in host.told] == [
        ("service web cannot be checked", "warning")
    ]
