"""Moments and lengths of time as text. Lima keeps UTC-5 all year round and has no daylight saving time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

LIMA = timezone(timedelta(hours=-5))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(at_ns: int) -> datetime:
    """In UTC, to the microsecond."""
    # Whole microseconds as integers: a float of seconds would lose the last digits.
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def to_lima(at_ns: int) -> str:
    """ISO 8601 in Lima time with microseconds, e.g. `2026-11-23T15:20:10.000214-05:00`; what `timestamp_lima` holds."""
    return moment(at_ns).astimezone(LIMA).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone in which people read moments: its rules, and its name; "" if it has none, and its offset is shown."""

    rules: tzinfo
    name: str = ""


LIMA_ZONE = Zone(LIMA, "America/Lima")


def clock(at_ns: int, zone: Zone) -> str:
    """For reading, e.g. `2026-11-23 15:20:10 (America/Lima)`."""
    return _shown(at_ns, zone, "%Y-%m-%d %H:%M:%S")


def time_of_day(at_ns: int, zone: Zone) -> str:
    """For reading where the day is plain, e.g. `15:20:10 (America/Lima)`."""
    return _shown(at_ns, zone, "%H:%M:%S")


def iso(at_ns: int, zone: Zone) -> str:
    """ISO 8601 in the zone's time, e.g. `2026-11-23T15:20:10-05:00`."""
    return moment(at_ns).astimezone(zone.rules).isoformat(timespec="seconds")


def to_the_minute(at_ns: int, zone: Zone) -> str:
    """For a column whose heading names the zone, e.g. `2026-11-23 15:20`."""
    return f"{moment(at_ns).astimezone(zone.rules):%Y-%m-%d %H:%M}"


def _shown(at_ns: int, zone: Zone, form: str) -> str:
    there = moment(at_ns).astimezone(zone.rules)
    offset = there.strftime("%z")
    return f"{there:{form}} ({zone.name or f'UTC{offset[:3]}:{offset[3:5]}'})"


def from_iso(text: str) -> int:
    """The moment (ns) that `to_lima` or any ISO 8601 text with an offset names. Raises ValueError for anything else."""
    passed = datetime.fromisoformat(text) - _EPOCH
    return (passed.days * 86400 + passed.seconds) * 1_000_000_000 + passed.microseconds * 1000


def rfc3339(at_ns: int) -> str:
    """RFC 3339 in UTC with milliseconds, e.g. `2026-11-23T20:20:10.000Z`."""
    return moment(at_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plural(number: int, thing: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def format_duration(seconds: float) -> str:
    """A length of time in at most two units: `8 s`, `14 min 20 s`, `3 h 5 min`, `2 d 4 h`."""
    whole = max(0, round(seconds))
    units = (("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60))
    first = next((i for i, (_, count) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count) or "0 s"
