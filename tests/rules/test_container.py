"""Containers: which is told of, when, and which is not."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.core.container import Container, Watched
from heartbeatd.core.policy import Policy
from heartbeatd.core.rule import Rule, RuleSettings
from heartbeatd.core.sample import ProbeReport, ProbeStatus, Sample
from heartbeatd.rules.container import rule
from tests.support.told import RuledHost

UP = Container("web", "running")
RECENT = Container("web", "running", recent=True)
SICK = Container("web", "running", "unhealthy")
RESTARTING = Container("web", "restarting")
PAUSED = Container("web", "paused")


class Host(RuledHost):
    """What is announced of a host that is looked at every 10 seconds, or as often as `interval_s` says."""

    def __init__(self, *watch: str, any_unhealthy: bool = True, interval_s: int = 10) -> None:
        self.interval_s = interval_s
        super().__init__(self._watching(Watched(watch, any_unhealthy)))

    def watch(self, *names: str, any_unhealthy: bool = True) -> None:
        self.rule = self._watching(Watched(names, any_unhealthy))

    def _watching(self, watched: Watched) -> Rule:
        return rule(RuleSettings(Policy(), "", "", self.interval_s, containers=watched))

    def read(self, sample: Sample, times: int = 1) -> None:
        for _ in range(times):
            self.look(sample, self.interval_s)

    def lists(self, *listed: Container, times: int = 1) -> None:
        """The engine lists these, so many times."""
        self.read(Sample(self.now_ns, containers=listed, reports=(ProbeReport("containers", ProbeStatus.OK),)), times)

    def fail(self, status: ProbeStatus, times: int = 1) -> None:
        """There is no list."""
        self.read(Sample(self.now_ns, reports=(ProbeReport("containers", status),)), times)


def test_a_watched_container_that_stops() -> None:
    """Told after a minute, once, with what to do; and when it runs again, with the length, in its first minute already."""
    host = Host("web")
    host.lists(UP, times=3)
    host.lists(times=5)
    assert host.told == []
    host.lists(times=20)
    assert host.events == ["problem container:web ok-stopped"]
    due, title, message = host.told[0]
    assert title == "container web does not run"
    assert due.observed.severity == "critical"
    assert "docker logs --tail 50 web" in message
    host.lists(RECENT, times=6)
    host.lists(UP, times=30)
    assert host.events[1:] == ["recovery container:web stopped-ok"]
    assert host.told[1][0].duration_s == 250


def test_made_anew_is_no_outage() -> None:
    """As `docker compose up` does it, also several times within minutes."""
    host = Host("web")
    for _ in range(5):
        host.lists(UP, times=3)
        host.lists(times=5)
        host.lists(RECENT, times=6)
        host.lists(times=2)
        host.lists(RECENT, times=6)
    assert host.told == []


def test_many_made_anew_say_nothing() -> None:
    """200, watched and others."""
    host = Host("web-1*")
    names = [f"web-{number}" for number in range(200)]
    host.lists(*(Container(name, "running") for name in names), times=3)
    host.lists(times=5)
    host.lists(*(Container(name, "running", recent=True) for name in names), times=6)
    host.lists(*(Container(name, "running") for name in names), times=30)
    assert host.told == []


def test_one_that_never_was() -> None:
    """A name that is not there, or nothing of a pattern, is told as stopped; of a pattern, one is enough."""
    host = Host("db", "shop-*", "mail-*")
    host.lists(Container("shop-web-1", "running"), times=10)
    assert host.events == ["problem container:db ok-stopped", "problem container:mail-* ok-stopped"]


def test_any_that_is_unhealthy() -> None:
    """Told in the second reading, as a warning if it is not watched, and not at all if that is switched off."""
    for watch, any_unhealthy, told in (((), True, "warning"), (("web",), False, "critical"), ((), False, None)):
        host = Host(*watch, any_unhealthy=any_unhealthy)
        host.lists(SICK)
        assert host.told == []
        host.lists(SICK, times=30)
        assert [due.observed.severity for due, _, _ in host.told] == ([told] if told else [])


def test_one_that_restarts_again_and_again() -> None:
    """Whether it is met as restarting or in its first minute: told after three minutes; ok after a minute that it stood."""
    host = Host()
    for _ in range(6):
        host.lists(RESTARTING)
        host.lists(RECENT, times=2)
    assert host.events == ["problem container:web ok-restarting"]
    assert host.told[0][1] == "container web keeps restarting"
    host.lists(RECENT, times=6)
    host.lists(UP, times=3)
    assert host.events[1:] == ["recovery container:web restarting-ok"]


def test_one_that_is_removed_while_it_is_bad() -> None:
    """Not watched: closed, and said once. So is one that nobody watches any more, and all where Docker is removed."""
    host = Host()
    host.lists(SICK, times=2)
    host.lists(times=30)
    assert host.events[1:] == ["recovery container:web unhealthy-ok"]
    assert host.told[1][1] == "gone, or no longer watched: container web"

    host = Host("web")
    host.lists(times=8)
    host.watch()
    host.lists(times=8)
    assert host.events[1:] == ["recovery container:web stopped-ok"]

    host = Host()
    host.lists(SICK, times=2)
    host.fail(ProbeStatus.NO_DATA, times=8)
    assert host.events[1:] == ["recovery container:web unhealthy-ok"]


def test_paused() -> None:
    """A watched one does not run then, and the message says so; another is left alone."""
    host = Host("web")
    host.lists(PAUSED, Container("db", "paused"), times=8)
    assert host.events == ["problem container:web ok-stopped"]
    assert "docker unpause web" in host.told[0][2]


def test_without_docker() -> None:
    """No such subject, unless one is watched: then it does not run. An engine that does not answer leaves it unknown."""
    for status, watch, told in (
        (ProbeStatus.NO_DATA, (), []),
        (ProbeStatus.FAILED, (), []),
        (ProbeStatus.OFF, ("web",), []),
        (ProbeStatus.NO_DATA, ("web",), ["problem container:web ok-stopped"]),
        (ProbeStatus.FAILED, ("web",), ["problem container:web ok-unknown"]),
    ):
        host = Host(*watch)
        host.fail(status, times=30)
        assert host.events == told
        assert all("systemctl status docker" in message for _, _, message in host.told)


def test_a_list_that_could_not_be_read_changes_nothing() -> None:
    """The containers were counted, but their list was too long."""
    host = Host("web")
    host.lists(SICK, times=2)
    host.read(Sample(host.now_ns, reports=(ProbeReport("containers", ProbeStatus.OK),)), 30)
    assert host.events == ["problem container:web ok-unhealthy"]


@pytest.mark.parametrize("interval_s", [1, 7, 60, 3600])
def test_the_minute_is_a_minute_with_any_interval(interval_s: int) -> None:
    """Or two readings, if that is longer."""
    host = Host("web", interval_s=interval_s)
    times = max(2, -(-60 // interval_s))
    host.lists(times=times - 1)
    assert host.told == []
    host.lists()
    assert len(host.told) == 1


@given(st.lists(st.sampled_from([(), (UP,), (RECENT,), (SICK,), (RESTARTING,), (PAUSED,), None]), max_size=60))
def test_each_problem_has_its_end(seen: Iterable[tuple[Container, ...] | None]) -> None:
    """Whatever happened: once it has run for long enough, the last that was told of is a recovery, or nothing was told at all."""
    for watch in ((), ("web",)):
        host = Host(*watch)
        for listed in seen:
            if listed is None:
                host.fail(ProbeStatus.FAILED)
            else:
                host.lists(*listed)
        host.lists(UP, times=70)
        assert not host.told or host.told[-1][0].observed.ok
        problems = [due.event for due, _, _ in host.told if due.event in ("problem", "recovery")]
        assert problems == ["problem", "recovery"] * (len(problems) // 2)
