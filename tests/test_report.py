"""What the journal says of a change that is not announced: why, and that is the true reason."""

import logging
from dataclasses import replace

import pytest

from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.cyclelog import LogCycles
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.rule import Evaluation
from heartbeatd.core.sample import Sample, row_of
from heartbeatd.core.schedule import NS_PER_S, Tick
from heartbeatd.core.subject import OK, Observation, Severity, Subject
from heartbeatd.report import CycleOutcome, Reporter

AGENT = AgentInfo("nas", "1", 0)
NOW_NS = 7200 * NS_PER_S
CELLAR = Subject("test", "cellar")
ANNOUNCED_OK = AlertState(CELLAR, OK, Severity.OK, 0)
UNTOLD_LOW = replace(ANNOUNCED_OK, untold="low", untold_since_ns=NOW_NS, changes_ns=(NOW_NS,))


WHYS = pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (ANNOUNCED_OK, replace(UNTOLD_LOW, changes_ns=(NOW_NS,) * 8), "it is flapping: 8 changes in an hour"),
        (UNTOLD_LOW, ANNOUNCED_OK, "nothing else was announced in between"),
        (ANNOUNCED_OK, UNTOLD_LOW, "nobody is told of it for now"),
    ],
)


def test_the_first_state_of_a_subject_that_is_silenced(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was known of it, and nobody is told: the journal is."""
    caplog.set_level(logging.INFO)
    observed = Observation(CELLAR, "low", Severity.WARNING, NOW_NS)
    row, evaluation = row_of(Sample(NOW_NS), "id", None, 1.0), Evaluation((observed,), (UNTOLD_LOW,))
    reporter = Reporter(AGENT, 10, "http://internet.example", LogCycles.ALL)
    reporter.log_changes(CycleOutcome(Tick(NOW_NS), Sample(NOW_NS), row, None, evaluation, None, ""), {})
    assert caplog.messages == ["test:cellar went from ok to low; not announced, as nobody is told of it for now"]


@WHYS
def test_why_a_change_is_not_announced(
    caplog: pytest.LogCaptureFixture, before: AlertState, after: AlertState, why: str
) -> None:
    """Too many changes, back to the state announced last, or a silence."""
    caplog.set_level(logging.INFO)
    observed = Observation(CELLAR, after.current, Severity.OK if after.current == OK else Severity.WARNING, NOW_NS)
    sample = Sample(NOW_NS)
    row, evaluation = row_of(sample, "id", None, 1.0), Evaluation((observed,), (after,))
    reporter = Reporter(AGENT, 10, "http://internet.example", LogCycles.ALL)
    reporter.log_changes(CycleOutcome(Tick(NOW_NS), sample, row, None, evaluation, None, ""), {CELLAR: before})
    assert caplog.messages == [f"test:cellar went from {before.current} to {after.current}; not announced, as {why}"]
