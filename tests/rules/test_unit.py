"""Failed units: which are told of, when, and in which words."""

import pytest

from heartbeatd.core.policy import Policy
from heartbeatd.core.rule import Rule, RuleSettings
from heartbeatd.core.sample import Sample
from heartbeatd.core.subject import Severity
from heartbeatd.core.unit import FailedUnit, WatchedUnits
from heartbeatd.rules.unit import rule
from tests.support.told import RuledHost

BACKUP = FailedUnit("backup.service", "exit-code", 1)


def watching(units: WatchedUnits) -> Rule:
    """The rule on these."""
    return rule(RuleSettings(Policy(), "", "", 10, units=units))


class Host(RuledHost):
    """What is announced of a host whose units are read once a minute."""

    def __init__(self, *watch: str, ignore: tuple[str, ...] = (), severity: Severity = Severity.WARNING) -> None:
        super().__init__(watching(WatchedUnits(watch or ("*",), ignore, severity)))

    def watch(self, *watch: str, ignore: tuple[str, ...] = (), severity: Severity = Severity.WARNING) -> None:
        self.rule = watching(WatchedUnits(watch, ignore, severity))

    def read(self, *failed: FailedUnit, times: int = 1, answers: bool = True) -> None:
        """So many readings, and five cycles without one after each."""
        for _ in range(times):
            for found in (failed if answers else None, *[None] * 5):
                self.look(Sample(self.now_ns, failed_units=found), 10)


def test_our_own_units_are_not_told_of() -> None:
    """That the agent had failed, and could not be told of at first, is over once it runs."""
    host = Host()
    host.read(FailedUnit("heartbeatd-failed.service", "exit-code", 217), FailedUnit("heartbeatd.service"), times=3)
    assert host.events == []


def test_a_unit_that_fails() -> None:
    """Told at the second reading, with systemd's reason and what to do, once; and its end, with its length."""
    host = Host()
    host.read(times=3)
    host.read(BACKUP)
    assert host.told == []
    host.read(BACKUP, times=3000)
    assert host.events == ["problem unit:backup.service ok-failed"]
    due, title, message = host.told[0]
    assert (title, due.observed.severity) == ("unit backup.service has failed", "warning")
    assert (due.observed.reason, due.observed.value) == ("exit-code", 1)
    assert (
        "It ended with exit status 1. See why: systemctl status backup.service, journalctl -u backup.service" in message
    )
    host.read()
    assert host.events[1:] == ["recovery unit:backup.service failed-ok"]
    assert host.told[1][0].duration_s == 3001 * 60


def test_one_that_is_started_again_within_the_minute_is_quiet() -> None:
    """Also if that happens again and again."""
    host = Host()
    for _ in range(20):
        host.read(BACKUP)
        host.read()
    assert host.told == []


def test_while_systemd_does_not_answer_nothing_is_known() -> None:
    """A failed unit is not well for that."""
    host = Host()
    host.read(BACKUP, times=2)
    host.read(times=10, answers=False)
    assert host.events == ["problem unit:backup.service ok-failed"]


def test_which_are_told_of() -> None:
    """Those that a pattern has, less those that are ignored."""
    host = Host("backup.*", "web*", ignore=("web-test.service",))
    others = [FailedUnit(name, "signal", 11) for name in ("web.service", "web-test.service", "db.service")]
    host.read(BACKUP, *others, times=3)
    assert sorted(host.events) == ["problem unit:backup.service ok-failed", "problem unit:web.service ok-failed"]


def test_one_that_is_not_watched_any_more() -> None:
    """Is told of once, and closed, whether or not systemd answers."""
    host = Host()
    host.read(BACKUP, times=2)
    host.watch("*", ignore=("backup.service",))
    host.read(times=3, answers=False)
    assert host.events[1:] == ["recovery unit:backup.service failed-ok"]
    assert host.told[1][1] == "gone, or no longer watched: unit backup.service"


def test_what_is_critical_is_told_again() -> None:
    """Each day."""
    host = Host("*", severity=Severity.CRITICAL)
    host.read(BACKUP, times=24 * 60 + 5)
    assert host.events[1:] == ["reminder unit:backup.service failed-failed"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("signal", "It was killed by signal 9."),
        ("oom-kill", "It was killed for want of memory."),
        ("start-limit-hit", "systemd has given it up."),
        ("protocol", "systemd's word for why is protocol."),
        ("", "(America/Lima). See why"),
    ],
)
def test_why(result: str, words: str) -> None:
    """In words where systemd's own says little."""
    host = Host()
    host.read(FailedUnit("a.service", result, 9), times=2)
    assert words in host.told[0][2]
