"""What the rules make of one look at the host, told to nobody: for `check` and `once --rules`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from heartbeatd import components
from heartbeatd.config.model import Config
from heartbeatd.config.watching import limit_of
from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.limit import Limit, Limits
from heartbeatd.core.locale import IN_ENGLISH
from heartbeatd.core.metrics import OF_SUBJECT, TRUTH, Series, reading_s, seldom_cycles
from heartbeatd.core.plain import plain
from heartbeatd.core.rule import Rule, RuleSettings, Seen
from heartbeatd.core.sample import Sample
from heartbeatd.core.subject import OK, Observation, Severity
from heartbeatd.core.text.service import CERTIFICATE, SERVICE
from heartbeatd.core.text.threshold import figure
from heartbeatd.core.text.unit import UNIT
from heartbeatd.core.timefmt import format_duration
from heartbeatd.core.worker import WORKER
from heartbeatd.rules import all_rules
from heartbeatd.runtime import Runtime, host_name

CPU_MARK_S = 1.0  # CPU use is measured over this long


@dataclass(frozen=True, slots=True)
class Observed:
    """What one rule found of a subject, and in words, e.g. `71 %, alerts at 90 % (warning) and 97 % (critical)`."""

    observation: Observation
    words: str


def look(config: Config, runtime: Runtime) -> tuple[Sample, float]:
    """All there is to read, but for services; and how many ms that took."""
    probes, client = components.probes(config, runtime, with_services=False)
    runtime.cancel.wait(lambda: False, runtime.cancel.deadline(CPU_MARK_S))
    woke_ns = runtime.clock.monotonic_ns()
    sample = probes.collect(runtime.clock.now_ns, runtime.cancel)
    client.close()
    return sample, (runtime.clock.monotonic_ns() - woke_ns) / 1e6


def observe(config: Config, runtime: Runtime, sample: Sample) -> list[Observed]:
    """Of each subject but the Worker, the bad ones first. What is bad has been so for no time yet."""
    settings = components.rule_settings(config, "", "")
    host, limits = host_name(config, runtime.names), Limits(settings.limits)
    seen = Seen(sample.taken_ns, sample, None, {})
    found = [
        Observed(one, _bad(rule, host, one, settings) if not one.ok else _ok(one, limits))
        for rule in all_rules(settings)
        if rule.kind != WORKER.kind
        for one in rule.observe(seen)
    ]
    return sorted(found, key=lambda one: one.observation.ok)


def idle(config: Config, observed: Iterable[Observed]) -> Iterator[Limit]:
    """The limits that the configuration sets and that fit nothing that was read."""
    configured = tuple(map(limit_of, config.rules))
    limits = Limits(configured)
    watched = {limit for one in observed for limit in _limits_of(one.observation, limits)}
    yield from (limit for limit in configured if limit.enabled and limit not in watched)


def _bad(rule: Rule, host: str, observed: Observation, settings: RuleSettings) -> str:
    announced = Announcement(Event.PROBLEM, observed, OK, Severity.OK, None, observed.at_ns, None)
    cycles = rule.policy(observed).for_cycles
    title = plain(rule.text(host, announced, IN_ENGLISH).title)
    when = f"if it lasts for {_lasting(observed, cycles, settings)}" if cycles > 1 else "at once"
    return f"{title}: {observed.severity}, announced {when}"


def _lasting(observed: Observation, cycles: int, settings: RuleSettings) -> str:
    """How long it takes until so many readings of it have been made."""
    metric, every_s = OF_SUBJECT.get(observed.subject.kind), settings.interval_s
    if metric is not None:
        every_s = reading_s(metric.name, every_s)
    elif observed.subject.kind == UNIT:
        every_s *= seldom_cycles(every_s)
    elif observed.subject.kind in (SERVICE, CERTIFICATE):
        every_s = max([every_s, *(one.every_s for one in settings.services if one.name == observed.subject.name)])
    return format_duration((cycles - 1) * every_s)


def _ok(observed: Observation, limits: Limits) -> str:
    kind = observed.subject.kind
    metric = OF_SUBJECT.get(kind)
    if observed.value is None or metric is None or metric.unit == TRUTH:
        return OK
    levels = [f"{figure(kind, limit.value)} ({limit.severity})" for limit in reversed(_limits_of(observed, limits))]
    return f"{figure(kind, observed.value)}, alerts at {' and '.join(levels)}"


def _limits_of(observed: Observation, limits: Limits) -> tuple[Limit, ...]:
    metric = OF_SUBJECT.get(observed.subject.kind)
    return () if metric is None else limits.of(Series(metric.name, observed.subject.name))
