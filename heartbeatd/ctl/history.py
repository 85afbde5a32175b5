"""`heartbeatctl history`: what the hours or days were like, from the roll-ups, however far back."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from heartbeatd.clock import SystemClock
from heartbeatd.core.metrics import KEPT_SELDOM, OF_NAME, ROLLED_UP, TRUTH, Series
from heartbeatd.core.plain import plain
from heartbeatd.core.retention import NS_PER_DAY
from heartbeatd.core.timefmt import LIMA_ZONE, Zone, clock, from_iso, to_lima, to_the_minute
from heartbeatd.ctl import database, privileges
from heartbeatd.errors import ExitCode
from heartbeatd.store.reader import Reader
from heartbeatd.store.results import RollUp, Summary
from heartbeatd.store.rollups import DAY, HOUR, MEASURES, Period

BY_HOUR_DAYS = 7  # up to so many days are told by the hour, unless asked otherwise
MOST_DAYS = 10_000
PERIODS: dict[str, Period] = {"hour": HOUR, "day": DAY}
_A_DAY = {"hour": 24, "day": 1}
READINGS = frozenset(metric.name for metric in KEPT_SELDOM)
_SHARES = ("internet_ok", "worker_ok")
_MEASURES = tuple(metric for metric in ROLLED_UP if metric.unit != TRUTH)
_DIGITS = {metric.name: metric.digits for metric in _MEASURES}
# What fits a terminal: heading and width. --json has the others, too.
_SHOWN = {
    "cpu_percent": ("cpu %", 14),
    "ram_percent": ("ram %", 14),
    "disk_percent": ("disk %", 14),
    "container_count": ("containers", 10),
    "ping_ms": ("ping ms", 16),
}
_HEAD = ("cycles", *(heading for heading, _ in _SHOWN.values()), "internet", "worker ok")
_FORM = "  ".join(["{:<{width}} {:>6}", *(f"{{:>{width}}}" for _, width in _SHOWN.values()), "{:>8}", "{:>9}"])


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=_days, default=1.0, metavar="N", help="how far back (default: 1)")
    parser.add_argument("--by", choices=sorted(PERIODS), help=f"(default: hour up to {BY_HOUR_DAYS} days, then day)")
    parser.add_argument(
        "--metric", type=_series, metavar="NAME[:LABEL]", help="of this alone, e.g. disk_used_percent:/srv"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array, an object for each hour or day")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 done, 1 the database cannot be read, 77 not allowed, 78 the file is refused."""
    config = privileges.configuration(arguments.config)
    by = arguments.by or ("hour" if arguments.days <= BY_HOUR_DAYS else "day")
    period, most = PERIODS[by], int(arguments.days * _A_DAY[by]) + 2
    now_ns = SystemClock().now_ns()
    since, until = (period.start(to_lima(at_ns)) for at_ns in (now_ns - int(arguments.days * NS_PER_DAY), now_ns))
    series: Series | None = arguments.metric

    def look(reader: Reader) -> tuple[Summary, ...]:
        if series is None or series.metric in MEASURES:
            return reader.history(period, since, until, most)
        return reader.history_of(series, period, since, until, most)

    found = database.read(arguments.config, Path(config.storage.path), look)
    if arguments.json:
        print(json.dumps([_facts(one) if series is None else _facts_of(one, series) for one in found], indent=2))
        return ExitCode.OK
    zone = config.agent.timezone
    print("\n".join(_table(found, zone) if series is None else _table_of(found, series, zone)))
    if not found:
        print(f"{'no cycle' if series is None else 'nothing'} since {clock(from_iso(since), zone)}")
    if by == "day" and zone != LIMA_ZONE:
        print("Days begin at midnight in Lima (UTC-5).")
    return ExitCode.OK


def _table(found: Sequence[Summary], zone: Zone) -> Iterator[str]:
    """The heading, which names the zone, and a line for each hour or day."""
    heading = f"from ({zone.name or 'local time'})"
    width = max(16, len(heading))
    yield _FORM.format(heading, *_HEAD, width=width)
    for one in found:
        yield _line(one, zone, width)


def _table_of(found: Sequence[Summary], series: Series, zone: Zone) -> Iterator[str]:
    """One metric: its name as the heading, and the least, mean and greatest value of each hour or day."""
    metric = OF_NAME[series.metric]
    heading = f"from ({zone.name or 'local time'})"
    width = max(16, len(heading))
    yield f"{heading:<{width}}  {'least':>10} {'mean':>10} {'greatest':>10}  {plain(str(series))} ({metric.unit})"
    for one in found:
        start = to_the_minute(from_iso(one.start), zone) if one.start else "?"
        roll_up = one.of(series.metric)
        figures = ("?" if v is None else f"{v:.{metric.digits}f}" for v in (roll_up.min, roll_up.mean, roll_up.max))
        yield f"{start:<{width}}  " + " ".join(f"{figure:>10}" for figure in figures)


def _facts_of(one: Summary, series: Series) -> dict[str, str | float | None]:
    return {"start": one.start, **asdict(one.of(series.metric))}


def _line(one: Summary, zone: Zone, width: int) -> str:
    """Each value as `mean (most)`; shares in percent of the cycles."""
    figures = [_mean_and_most(one.of(name), _DIGITS[name]) for name in _SHOWN]
    shares = [_share(one.of(name).sum, one.cycles) for name in _SHARES]
    start = to_the_minute(from_iso(one.start), zone) if one.start else "?"
    cycles = "?" if one.cycles is None else str(one.cycles)
    return _FORM.format(start, cycles, *figures, *shares, width=width)


def _mean_and_most(roll_up: RollUp, digits: int) -> str:
    if roll_up.mean is None or roll_up.max is None:
        return "?"
    return f"{roll_up.mean:.{digits}f} ({roll_up.max:.{digits}f})"


def _share(part: int | None, whole: int | None) -> str:
    return f"{100 * part / whole:.1f}%" if part is not None and whole else "?"


def _facts(one: Summary) -> dict[str, str | float | None]:
    """What `--json` has of an hour or a day: the columns of the views history_hour and history_day."""
    facts: dict[str, str | float | None] = {"start": one.start, "cycles": one.cycles}
    facts |= {name: one.of(name).sum for name in reversed(_SHARES)}
    for metric in _MEASURES:
        facts |= {f"{metric.name}_{part}": value for part, value in asdict(one.of(metric.name)).items()}
    return facts


def _series(text: str) -> Series:
    """Where a metric has a label, it is what follows the first colon."""
    metric, _, label = text.partition(":")
    known = sorted({*READINGS, *MEASURES} & set(OF_NAME))
    if metric not in known or (label and metric not in READINGS):
        raise argparse.ArgumentTypeError(
            f"must be one of {', '.join(known)}; those of filesystems and sensors with :LABEL"
        )
    return Series(metric, label)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be a number more than 0 and at most {MOST_DAYS}, e.g. 7 or 0.5")
    return days
