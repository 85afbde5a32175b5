"""The metrics: what is measured of a host.

`METRICS` are those of each cycle, in the order of the row's columns: the columns of `metrics`, the heartbeat's `metrics`, the
journal's fields, the roll-ups and the README's table follow from here; `Sample` and `Row` have an attribute of each name.
`READ_SELDOM` are the others, which may have a series for each of several things (`label`), and are kept in table `readings`.
"""

from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple


class Kind(StrEnum):
    """SQLite's types of a column."""

    REAL = "REAL"
    INTEGER = "INTEGER"


@dataclass(frozen=True, slots=True)
class Metric:
    """`help` says what it is, in a few words; `digits` are those behind the point where people read it.

    With `rollup` each hour and each day has its least, mean and greatest value; what is not `kept` is only looked at.
    `subject` is the kind of subject that a rule on it has; "" if there is none.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    digits: int = 1
    rollup: bool = True
    subject: str = ""
    kept: bool = True


class Series(NamedTuple):
    """The values of one metric for one thing, e.g. `disk_used_percent` of `/srv`; "" where there is only one."""

    metric: str
    label: str = ""

    def __str__(self) -> str:
        return f"{self.metric}:{self.label}" if self.label else self.metric


TRUTH = "1 or 0"
METRICS: tuple[Metric, ...] = (
    Metric("cpu_percent", Kind.REAL, "percent", "since the cycle before, whole host, 0–100", subject="cpu"),
    Metric("ram_percent", Kind.REAL, "percent", "RAM in use; what ZFS would give back is not in use", subject="ram"),
    Metric("ram_used_mb", Kind.REAL, "MB of 1024² bytes", "the same in MB of 1024² bytes", 0, rollup=False),
    Metric("disk_percent", Kind.REAL, "percent", "root filesystem"),
    Metric("container_count", Kind.INTEGER, "containers", "running Docker containers", 0),
    Metric("internet_ok", Kind.INTEGER, TRUTH, "1 reachable, 0 not", 0),
    Metric("ping_ms", Kind.REAL, "milliseconds", "the internet check's latency", subject="ping"),
)
READ_SELDOM: tuple[Metric, ...] = (
    Metric("disk_used_percent", Kind.REAL, "percent", "space in use of each local filesystem", subject="disk"),
    Metric("disk_inodes_percent", Kind.REAL, "percent", "inodes in use of each local filesystem", subject="inodes"),
    Metric(
        "disk_read_only",
        Kind.INTEGER,
        TRUTH,
        "whether a local filesystem that is meant to be written, or was, is read-only; not kept",
        0,
        subject="readonly",
        kept=False,
    ),
    Metric("swap_percent", Kind.REAL, "percent", "swap in use", subject="swap"),
    Metric("load_per_core", Kind.REAL, "load", "the load of the last 5 minutes for each core", 2, subject="load"),
    Metric(
        "memory_stall_percent",
        Kind.REAL,
        "percent",
        "time of a minute in which all waited for memory",
        subject="memory",
    ),
    Metric("io_stall_percent", Kind.REAL, "percent", "time of a minute in which all waited for a disk", subject="io"),
    Metric("temperature_celsius", Kind.REAL, "°C", "the hottest of each kind of sensor", subject="temperature"),
)
OF_NAME = {metric.name: metric for metric in (*METRICS, *READ_SELDOM)}
OF_SUBJECT = {metric.subject: metric for metric in OF_NAME.values() if metric.subject}
ROLLED_UP: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric.rollup)
KEPT_SELDOM = tuple(metric for metric in READ_SELDOM if metric.kept)
NOT_KEPT = frozenset(metric.name for metric in READ_SELDOM if not metric.kept)
_SELDOM = frozenset(metric.name for metric in READ_SELDOM)
_SELDOM_S = 60
_NAMES = tuple(metric.name for metric in METRICS)
_TRUTHS = tuple(metric.name for metric in METRICS if metric.unit == TRUTH)
_values_of = attrgetter(*_NAMES)


def seldom_cycles(interval_s: int) -> int:
    """In every how many-eth cycle `READ_SELDOM` are read: as close to once a minute as cycles so many seconds apart allow.

    With an interval of 10 s: 6; of 45 s: 1.
    """
    return max(1, round(_SELDOM_S / interval_s))


def reading_s(metric: str, interval_s: int) -> int:
    """Seconds between two readings of a metric where cycles are so many apart."""
    return interval_s * (seldom_cycles(interval_s) if metric in _SELDOM else 1)


def values(measured: object) -> dict[str, float | int | None]:
    """Each metric's value of a `Sample` or a `Row`, by name; a truth is 1 or 0, as SQLite and JSON's readers have it."""
    found = dict(zip(_NAMES, _values_of(measured), strict=True))
    for name in _TRUTHS:
        if found[name] is not None:
            found[name] = int(found[name])
    return found
