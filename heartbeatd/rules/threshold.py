"""What is measured against its limits: a disk that fills, memory that runs out (see `core.limit`)."""

from collections.abc import Iterator
from functools import partial

from heartbeatd.core.limit import Limits, reached
from heartbeatd.core.metrics import METRICS, OF_NAME, OF_SUBJECT, Series, reading_s
from heartbeatd.core.policy import Policy
from heartbeatd.core.rule import Rule, RuleSettings, Seen
from heartbeatd.core.sample import ProbeStatus, Sample
from heartbeatd.core.subject import OK, Observation, Severity, Subject, gone
from heartbeatd.core.text.threshold import threshold_text

_FILESYSTEM = "filesystem"  # how the names of the probes begin that read them
_OF_FILESYSTEMS = {"disk_used_percent", "disk_inodes_percent", "disk_read_only"}


def rule(settings: RuleSettings) -> Rule:
    """The rule on all metrics that have limits."""
    limits = Limits(settings.limits)
    columns = tuple(metric.name for metric in METRICS if metric.name in limits.metrics)
    return Rule(
        "threshold",
        partial(_observe, limits, columns),
        partial(_policy, limits, settings.interval_s),
        threshold_text,
    )


def subject_of(series: Series) -> Subject:
    """E.g. `disk_used_percent` of `/srv` → `disk:/srv`."""
    return Subject(OF_NAME[series.metric].subject, series.label)


def _observe(limits: Limits, columns: tuple[str, ...], seen: Seen) -> Iterator[Observation]:
    for series, value in _measured(seen.sample, columns):
        if found := limits.of(series):
            subject = subject_of(series)
            state = seen.states.get(subject)
            limit = reached(found, value, OK if state is None else state.current)
            if limit is None:
                yield Observation(subject, OK, Severity.OK, seen.at_ns, value)
            else:
                yield Observation(subject, limit.severity, limit.severity, seen.at_ns, value, limit=limit.value)
    if seen.sample.readings:
        yield from _gone(limits, seen)


def _measured(sample: Sample, columns: tuple[str, ...]) -> Iterator[tuple[Series, float]]:
    for name in columns:
        value = getattr(sample, name)
        if value is not None:
            yield Series(name), value
    yield from sample.readings.items()


def _gone(limits: Limits, seen: Seen) -> Iterator[Observation]:
    """What was bad and has no limit any more, or is not there any more while others of its metric are.

    While one of the probes of filesystems has failed, none of them is gone: it may be the one that hangs.
    """
    read = {series.metric for series in seen.sample.readings}
    if any(one.status is ProbeStatus.FAILED and one.probe.startswith(_FILESYSTEM) for one in seen.sample.reports):
        read -= _OF_FILESYSTEMS
    for subject, state in seen.states.items():
        metric = OF_SUBJECT.get(subject.kind)
        if metric is None or state.at_rest:
            continue
        series = Series(metric.name, subject.name)
        if not limits.of(series) or (metric.name in read and series not in seen.sample.readings):
            yield gone(subject, seen.at_ns)


def _policy(limits: Limits, interval_s: int, observed: Observation) -> Policy:
    metric = OF_SUBJECT[observed.subject.kind]
    found = limits.of(Series(metric.name, observed.subject.name))
    limit = next((limit for limit in found if limit.severity == observed.state), found[-1])
    return limit.policy(reading_s(metric.name, interval_s))
