"""Units of systemd that have failed.

systemd calls a unit failed once it has given up on it, so that this is settled; that two readings have to agree keeps a unit
quiet that somebody, or a timer, starts again within the minute.
"""

from collections.abc import Iterator
from functools import partial

from heartbeatd.core.policy import Initial, Policy, reminder_s
from heartbeatd.core.rule import Rule, RuleSettings, Seen
from heartbeatd.core.subject import OK, Observation, Severity, Subject, gone
from heartbeatd.core.text.unit import FAILED, UNIT, unit_text
from heartbeatd.core.unit import WatchedUnits

READINGS = 2


def rule(settings: RuleSettings) -> Rule:
    """The rule on units."""
    return Rule(UNIT, partial(_observe, settings.units), _policy, unit_text)


def _observe(watched: WatchedUnits, seen: Seen) -> Iterator[Observation]:
    failed = seen.sample.failed_units
    found = {Subject(UNIT, one.name): one for one in failed or () if watched.has(one.name)}
    for subject, one in found.items():
        yield Observation(subject, FAILED, watched.severity, seen.at_ns, one.status, one.result or None)
    for subject, state in seen.states.items():
        if subject.kind != UNIT or subject in found or state.at_rest:
            continue
        if not watched.has(subject.name):
            yield gone(subject, seen.at_ns)
        elif failed is not None:
            yield Observation(subject, OK, Severity.OK, seen.at_ns)


def _policy(observed: Observation) -> Policy:
    return Policy(READINGS, 1, Initial.ASSUME_OK, reminder_s(observed.severity))
