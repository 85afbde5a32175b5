"""Limits on what is measured: what is bad, since when, and what is said of it."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeatd.config.load import parse
from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.limit import Limit
from heartbeatd.core.locale import IN_ENGLISH
from heartbeatd.core.metrics import OF_NAME, OF_SUBJECT, READ_SELDOM, TRUTH, Series
from heartbeatd.core.policy import DAY_S, Policy
from heartbeatd.core.rule import Rule, RuleSettings
from heartbeatd.core.sample import ProbeReport, ProbeStatus, Sample
from heartbeatd.core.subject import GONE, OK, Observation, Severity, Subject
from heartbeatd.core.text import LONGEST_TITLE
from heartbeatd.net.http import Client
from heartbeatd.probes import registry
from heartbeatd.rules.threshold import rule
from heartbeatd.runtime import Runtime
from tests.support.clocks import NOW_NS
from tests.support.told import RuledHost

SRV, ROOT = Series("disk_used_percent", "/srv"), Series("disk_used_percent", "/")
DISK = Subject("disk", "/srv")


def made(*limits: Limit, interval_s: int = 10) -> Rule:
    return rule(RuleSettings(Policy(), "", "", interval_s, limits))


def cpu(value: float, **others: object) -> Limit:
    """A limit that counts at once, unless told otherwise."""
    return Limit("cpu_percent", Severity.WARNING, value, value - 5, **others)  # type: ignore[arg-type]


class Host(RuledHost):
    """What is announced of a host that is read once a minute, and the alert states that are kept."""

    def read(self, *samples: Sample) -> None:
        """One after the other."""
        for sample in samples:
            self.look(sample, 60)

    def fill(self, *values: float, series: Series = SRV) -> None:
        """Reads a filesystem again and again, which is so full."""
        self.read(*(Sample(self.now_ns, readings={ROOT: 10.0, series: value}) for value in values))


def test_a_disk_that_fills() -> None:
    """Told after five minutes, once; told when it gets worse, and when there is room again, with the length."""
    host = Host(made())
    host.fill(50, *[91.4] * 5)
    assert host.told == []
    host.fill(91.4, *[92] * 30)
    assert host.events == ["problem disk:/srv ok-warning"]
    host.fill(*[98] * 6)
    host.fill(89, 86.9, 86)
    assert host.events[1:] == ["change disk:/srv warning-critical", "recovery disk:/srv critical-ok"]
    titles = [title for _, title, _ in host.told]
    assert titles == ["/srv is 91.4 % full", "/srv is 98 % full", "ok again: /srv is 86 % full"]
    problem = host.told[0][2]
    assert "The limit is 90 %." in problem
    assert "du -xh /srv" in problem
    assert host.told[2][0].duration_s == 43 * 60


@pytest.mark.parametrize("values", [[95] * 5 + [50], [95, 50] * 200, [50, *[99] * 5] * 20])
def test_what_does_not_last_is_nobodys_news(values: Sequence[float]) -> None:
    """Neither a backup for five minutes nor a single bad value, however often."""
    host = Host(made())
    host.fill(*values)
    assert host.told == []


@pytest.mark.parametrize(("interval_s", "readings"), [(5, 6), (8, 6), (10, 6), (40, 5), (45, 8), (60, 6), (120, 4)])
def test_five_minutes_are_as_many_readings_as_the_probes_make_of_them(interval_s: int, readings: int) -> None:
    """Also where cycles do not divide a minute: one of 40 s has a reading every 80 s, one of 45 s in each cycle."""
    config, runtime = parse({"agent": {"interval_seconds": interval_s}}), Runtime()
    table = registry.table(config, Client(runtime.resolver, "test"), runtime.thread)
    runtime.close()
    (apart_s,) = {probe.every * interval_s for probe in table if probe.name in ("filesystems", "swap")}
    problem = Observation(DISK, Severity.WARNING, Severity.WARNING, NOW_NS, 91)
    assert made(interval_s=interval_s).policy(problem).for_cycles == readings
    assert (readings - 2) * apart_s < 300 <= (readings - 1) * apart_s


def test_a_value_around_its_limit_is_one_problem() -> None:
    """It is good again three points below."""
    host = Host(made())
    host.fill(*[90] * 6, *[89.9, 90.1, 87.1] * 50)
    assert host.events == ["problem disk:/srv ok-warning"]
    host.fill(87, 87)
    assert host.events[1:] == ["recovery disk:/srv warning-ok"]


def test_what_is_critical_is_told_again_each_day() -> None:
    """What is a warning is not."""
    host = Host(made())
    host.fill(*[98] * (6 + 2 * DAY_S // 60))
    assert host.events == ["problem disk:/srv ok-critical", *["reminder disk:/srv critical-critical"] * 2]
    assert host.told[-1][1] == "still: /srv is 98 % full"
    host = Host(made())
    host.fill(*[91] * (6 + 2 * DAY_S // 60))
    assert host.events == ["problem disk:/srv ok-warning"]


def test_a_filesystem_that_is_gone_is_told_once() -> None:
    """Unmounted while it is full: closed. Those that could not be read are not gone."""
    host = Host(made())
    host.fill(*[95] * 6)
    host.read(Sample(0), Sample(0, readings={Series("swap_percent"): 1.0}))
    assert len(host.told) == 1
    host.read(*[Sample(0, readings={ROOT: 1.0})] * 5)
    assert host.events[1:] == ["recovery disk:/srv warning-ok"]
    assert host.told[1][1] == "gone, or no longer watched: disk:/srv"


def test_a_filesystem_that_hangs_is_not_gone() -> None:
    """A network mount that was full, and whose server does not answer now, while the others are read."""
    host = Host(made())
    host.fill(*[95] * 6)
    hung = ProbeReport("filesystem /srv", ProbeStatus.FAILED, "filesystem /srv timed out")
    host.read(*[Sample(0, readings={ROOT: 1.0}, reports=(hung,))] * 5)
    assert host.events == ["problem disk:/srv ok-warning"]
    absent = ProbeReport("filesystem /srv", ProbeStatus.NO_DATA, "nothing is mounted on /srv")
    host.read(*[Sample(0, readings={ROOT: 1.0}, reports=(absent,))] * 5)
    assert host.events[1:] == ["recovery disk:/srv warning-ok"]


def test_a_rule_that_is_taken_away_while_it_is_bad() -> None:
    """Closed at the next reading, and said once."""
    host = Host(made(cpu(90, for_s=0)))
    host.read(Sample(0, cpu_percent=95))
    host.rule = made()
    host.fill(1, 1)
    assert host.events == ["problem cpu ok-warning", "recovery cpu warning-ok"]
    assert host.told[1][0].observed.reason == GONE


def test_a_rule_for_one_takes_the_place_of_those_for_all() -> None:
    """And one of the configuration that of what is built in, for its metric."""
    backup = Limit("disk_used_percent", Severity.CRITICAL, 99, 98, label="/backup*")
    off = Limit("disk_used_percent", Severity.WARNING, 0, 0, label="/mnt/usb", enabled=False)
    host = Host(made(backup, off))
    for series in (Series(ROOT.metric, "/backup2"), Series(ROOT.metric, "/mnt/usb"), SRV):
        host.fill(*[98] * 6, series=series)
    assert host.events == ["problem disk:/srv ok-critical"]
    everywhere = Limit("disk_used_percent", Severity.WARNING, 99, 98)
    host = Host(made(everywhere))
    host.fill(*[98.9] * 6)
    host.fill(*[97] * 6, series=Series("disk_inodes_percent", "/srv"))
    assert host.events == ["problem inodes:/srv ok-critical"]


def test_a_column_has_limits_in_each_cycle() -> None:
    """`for` counts cycles there; below is possible, too."""
    host = Host(made(cpu(95, for_s=30), Limit("ping_ms", Severity.WARNING, 1, 4, above=False)))
    host.read(*[Sample(0, cpu_percent=99, ping_ms=20)] * 3)
    assert host.told == []
    host.read(Sample(0, cpu_percent=99, ping_ms=20), Sample(0, ping_ms=1), Sample(0, ping_ms=4.5))
    assert host.events == ["problem cpu ok-warning", "problem ping ok-warning", "recovery ping warning-ok"]


@given(st.lists(st.sampled_from([50.0, 88.0, 91.0, 95.0, 98.0]), max_size=60))
def test_no_news_is_no_message(values: list[float]) -> None:
    """Whatever the disk does: each announcement has another state than the one before, and what lasts is told."""
    host = Host(made())
    host.fill(*values)
    host.fill(*[98.0] * 20)
    states = [OK, *(due.observed.state for due, _, _ in host.told if due.event is not Event.REMINDER)]
    assert all(before != after for before, after in pairwise(states))
    assert states[-1] == Severity.CRITICAL


def _observations() -> Iterable[tuple[Event, Observation]]:
    for kind in OF_SUBJECT:
        subject = Subject(kind, "/srv" if kind in ("disk", "inodes", "temperature") else "")
        for event, state in ((Event.PROBLEM, "warning"), (Event.CHANGE, "critical"), (Event.REMINDER, "critical")):
            yield event, Observation(subject, state, Severity(state), NOW_NS, 91.25, limit=90)
        yield Event.RECOVERY, Observation(subject, OK, Severity.OK, NOW_NS, 3.0)
        yield Event.RECOVERY, Observation(subject, OK, Severity.OK, NOW_NS, reason=GONE)


@pytest.mark.parametrize(("event", "observed"), _observations())
def test_each_has_words(event: Event, observed: Observation) -> None:
    """With value, limit, since when, and what to do, on one line that fits a phone."""
    due = Announcement(event, observed, "warning", Severity.WARNING, None, NOW_NS, 60.0)
    text = made().text("nas", due, IN_ENGLISH)
    assert "{" not in text.title + text.message
    assert len(text.title) <= LONGEST_TITLE
    if not observed.ok:
        assert ("The limit is 90" in text.message) == (OF_SUBJECT[observed.subject.kind].unit != TRUTH)
        assert "(America/Lima)" in text.message


def test_each_kind_of_subject_has_one_metric() -> None:
    assert len(OF_SUBJECT) == sum(bool(metric.subject) for metric in OF_NAME.values())
    assert all(metric.subject for metric in READ_SELDOM)
