"""What each rule would say now, of one look at the host."""

from collections.abc import Iterator

from heartbeatd.core.limit import ALL, Limit
from heartbeatd.core.plain import plain
from heartbeatd.ctl import observed
from heartbeatd.ctl.check.finding import Finding, ok, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.ctl.observed import Observed
from heartbeatd.runtime import Runtime


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """A line for each subject, and for each limit of the configuration that fits nothing."""
    config = situation.config
    sample, _ = observed.look(config, runtime)  # of services there is `services`
    found = observed.observe(config, runtime, sample)
    yield from map(now, found)
    yield from map(fits_nothing, observed.idle(config, found))


def now(one: Observed) -> Finding:
    """What is said of a subject."""
    text = f"{plain(str(one.observation.subject))}: {one.words}"
    return ok("rules", text) if one.observation.ok else warning("rules", text)


def fits_nothing(limit: Limit) -> Finding:
    which = limit.metric if limit.label == ALL else f"{limit.metric} of {plain(limit.label)}"
    return warning(
        "rules",
        f"{which}: nothing of the kind is read here",
        "compare that section [[rule]] with what `heartbeatctl once` shows",
    )
