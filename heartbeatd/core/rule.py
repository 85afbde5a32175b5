"""A rule: what watches one kind of subject. It is pure; `rules/` has them, one kind a file.

A rule makes observations of what a cycle saw, says when a change of them is told, and in which words. `evaluate` holds one
rule's observations against what was announced, so that what one rule cannot do takes nothing from the others.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass

from heartbeatd.core import alerting
from heartbeatd.core.alert_state import AlertState, AlertStates
from heartbeatd.core.alerting import Announcement
from heartbeatd.core.container import NOTHING, Watched
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.limit import Limit
from heartbeatd.core.locale import Locale
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.policy import CLOSE, Policy
from heartbeatd.core.sample import Sample
from heartbeatd.core.service import Service
from heartbeatd.core.subject import GONE, Observation, Subject
from heartbeatd.core.text import Text
from heartbeatd.core.text.flapping import with_flapping
from heartbeatd.core.unit import NO_UNITS, WatchedUnits


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """What rules are made from: when a change of the Worker is told, URLs that are fit to be shown, seconds between two cycles,
    the limits that are configured, which containers must run, the services, and the units."""

    policy: Policy
    heartbeat_url: str
    internet_url: str
    interval_s: int = 10
    limits: tuple[Limit, ...] = ()
    containers: Watched = NOTHING
    services: tuple[Service, ...] = ()
    units: WatchedUnits = NO_UNITS


@dataclass(frozen=True, slots=True)
class Seen:
    """What a cycle saw, and the alert states before it.

    `check_explains` is False once the internet check failed while the Worker answered, until it passes. Nobody is told of the
    subjects in `held`.
    """

    at_ns: int
    sample: Sample
    result: HeartbeatResult | None
    states: AlertStates
    check_explains: bool = True
    held: Container[Subject] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """`policy` says of an observation when it counts, but for what is gone (`policy_of`). `text` is called with the host's name,
    the announcement, and who reads it."""

    kind: str
    observe: Callable[[Seen], Iterable[Observation]]
    policy: Callable[[Observation], Policy]
    text: Callable[[str, Announcement, Locale], Text]

    def policy_of(self, observed: Observation) -> Policy:
        """When it counts."""
        return CLOSE if observed.reason == GONE else self.policy(observed)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was observed, the alert states that are others now, and what is due to be told in which words."""

    observations: tuple[Observation, ...] = ()
    changed: tuple[AlertState, ...] = ()
    told: tuple[tuple[Announcement, Text], ...] = ()

    def of(self, subject: Subject) -> Observation | None:
        """What was observed of that subject."""
        return next((observed for observed in self.observations if observed.subject == subject), None)


def evaluate(rule: Rule, seen: Seen, agent: AgentInfo) -> Evaluation:
    """What follows from what this rule observes."""
    observations = tuple(rule.observe(seen))
    verdict = alerting.evaluate(seen.states, observations, rule.policy_of, seen.held)
    locale = agent.locale
    told = tuple((due, with_flapping(rule.text(agent.host, due, locale), due, locale)) for due in verdict.announcements)
    return Evaluation(observations, verdict.changed, told)


def together(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Those of several rules as one, in their order."""
    whole, *others = evaluations or (Evaluation(),)
    for one in others:
        whole = Evaluation(
            whole.observations + one.observations,
            whole.changed + one.changed,
            whole.told + one.told,
        )
    return whole
