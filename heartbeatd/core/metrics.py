"""The metrics: what is measured of a host in each cycle, in the order of the row's columns.

The columns of `metrics`, the heartbeat's `metrics`, the journal's fields, the roll-ups and the README's table follow from here;
`Sample` and `Row` have an attribute of each name.
"""

from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter


class Kind(StrEnum):
    """SQLite's types of a column."""

    REAL = "REAL"
    INTEGER = "INTEGER"


@dataclass(frozen=True, slots=True)
class Metric:
    """`help` says what it is, in a few words; `digits` are those behind the point where people read it.

    With `rollup` each hour and each day has its least, mean and greatest value.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    digits: int = 1
    rollup: bool = True


TRUTH = "1 or 0"
METRICS: tuple[Metric, ...] = (
    Metric("cpu_percent", Kind.REAL, "percent", "since the cycle before, whole host, 0–100"),
    Metric("ram_percent", Kind.REAL, "percent", "RAM in use; what ZFS would give back is not in use"),
    Metric("ram_used_mb", Kind.REAL, "MB of 1024² bytes", "the same in MB of 1024² bytes", 0, rollup=False),
    Metric("disk_percent", Kind.REAL, "percent", "root filesystem"),
    Metric("container_count", Kind.INTEGER, "containers", "running Docker containers", 0),
    Metric("internet_ok", Kind.INTEGER, TRUTH, "1 reachable, 0 not", 0),
    Metric("ping_ms", Kind.REAL, "milliseconds", "the internet check's latency"),
)
ROLLED_UP: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric.rollup)
_NAMES = tuple(metric.name for metric in METRICS)
_TRUTHS = tuple(metric.name for metric in METRICS if metric.unit == TRUTH)
_values_of = attrgetter(*_NAMES)


def values(measured: object) -> dict[str, float | int | None]:
    """Each metric's value of a `Sample` or a `Row`, by name; a truth is 1 or 0, as SQLite and JSON's readers have it."""
    found = dict(zip(_NAMES, _values_of(measured), strict=True))
    for name in _TRUTHS:
        if found[name] is not None:
            found[name] = int(found[name])
    return found
