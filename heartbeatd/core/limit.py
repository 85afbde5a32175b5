"""Limits on metrics: from where on a measured value is bad, and since when that counts.

Theory of operation. A limit holds for each series of its metric whose label its pattern fits; of several that are reached, the
most severe counts. Limits for one label take the place of those for all labels there, and those of the configuration the place of
what is built in. A value that has reached a limit has to come back to `clear` before it counts as better again, so what moves
to and fro around the limit is one problem. How long it takes (`for_s`) is counted in readings, which are as many seconds apart
as the metric is read, so a stepped clock means nothing to it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil

from heartbeatd.core.metrics import Series
from heartbeatd.core.policy import DAY_S, Initial, Policy
from heartbeatd.core.subject import RANKS, Severity

RECOVER_READINGS = 2  # a single good one is as little a recovery as a single bad one is a problem
ALL = "*"


@dataclass(frozen=True, slots=True)
class Limit:
    """`value` or more is bad; or less, if not `above`. `label` is a pattern as a shell's. Not `enabled`: nothing is watched."""

    metric: str
    severity: Severity
    value: float
    clear: float
    above: bool = True
    for_s: int = 0
    remind_s: int | None = None
    label: str = ALL
    enabled: bool = True

    def is_reached(self, value: float, current: str) -> bool:
        """Whether `value` is bad, where the subject was found to be `current` before."""
        bound = self.clear if RANKS.get(current, 0) >= RANKS[self.severity] else self.value
        if bound == self.value:
            return value >= bound if self.above else value <= bound
        return value > bound if self.above else value < bound

    def policy(self, reading_s: float) -> Policy:
        """When it counts, if there is a reading every so many seconds."""
        readings = 1 + ceil(self.for_s / reading_s)
        return Policy(readings, min(readings, RECOVER_READINGS), Initial.ASSUME_OK, self.remind_s, readings)


def _built_in(metric: str) -> tuple[Limit, ...]:
    return (
        Limit(metric, Severity.WARNING, 90.0, 87.0, for_s=300),
        Limit(metric, Severity.CRITICAL, 97.0, 94.0, for_s=300, remind_s=DAY_S),
    )


BUILT_IN: tuple[Limit, ...] = (
    *_built_in("disk_used_percent"),
    *_built_in("disk_inodes_percent"),
    Limit("disk_read_only", Severity.CRITICAL, 1.0, 0.0, for_s=60, remind_s=DAY_S),
)


class Limits:
    """Finds the limits of a series, once for each. `configured` come before what is built in."""

    def __init__(self, configured: Iterable[Limit]) -> None:
        given = tuple(configured)
        self._tiers = (
            tuple(limit for limit in given if limit.label != ALL),
            tuple(limit for limit in given if limit.label == ALL),
            BUILT_IN,
        )
        self._of: dict[Series, tuple[Limit, ...]] = {}
        self.metrics = frozenset(limit.metric for tier in self._tiers for limit in tier if limit.enabled)

    def of(self, series: Series) -> tuple[Limit, ...]:
        """The most severe first."""
        found = self._of.get(series)
        if found is None:
            found = self._of[series] = self._find(series)
        return found

    def _find(self, series: Series) -> tuple[Limit, ...]:
        for tier in self._tiers:
            fit = [one for one in tier if one.metric == series.metric and fnmatchcase(series.label, one.label)]
            if fit:
                watching = (limit for limit in fit if limit.enabled)
                return tuple(sorted(watching, key=lambda limit: -RANKS[limit.severity]))
        return ()


def reached(limits: tuple[Limit, ...], value: float, current: str) -> Limit | None:
    """The most severe of them that `value` has reached."""
    return next((limit for limit in limits if limit.is_reached(value, current)), None)
