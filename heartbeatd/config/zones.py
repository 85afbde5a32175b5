"""Time zones by name, from the system's own time zone database (Debian's tzdata), and the host's own."""

from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from heartbeatd.config.options import Refused, Text
from heartbeatd.core.timefmt import LIMA_ZONE, Zone
from heartbeatd.files import read_regular

LOCALTIME = Path("/etc/localtime")
LARGEST_BYTES = 64 * 1024
_DATABASE = "zoneinfo/"


@dataclass(frozen=True, slots=True)
class TimeZone:
    """The name of a time zone, which is the zone it names."""

    allowed: str = 'a time zone\'s name, e.g. "Europe/Madrid" or "UTC", or "" for the host\'s own'

    def check(self, value: object) -> Zone:
        name = Text(self.allowed, r"[A-Za-z0-9_+/-]", longest=64).check(value)
        try:
            return named(name)
        except ValueError as error:
            raise Refused(str(error), nearest(name)) from None


def named(name: str) -> Zone:
    """The zone with this name (IANA); "" is the host's own. Raises ValueError if there is none of that name.

    The default needs no database: Lima keeps UTC-5 all year round.
    """
    if not name:
        return of_host()
    if name == LIMA_ZONE.name:
        return LIMA_ZONE
    from zoneinfo import ZoneInfo

    # All names begin with a capital letter; what does not is a copy that counts leap seconds (right/), or no zone.
    if name[0].isupper():
        try:
            return Zone(ZoneInfo(name), name)
        except (OSError, ValueError, KeyError):
            pass
    raise ValueError("there is no time zone of this name")


def of_host() -> Zone:
    """The zone of this host as /etc/localtime has it now; UTC where that is missing or no zone."""
    from heartbeatd.config.host_zone import of_bytes

    try:
        rules = of_bytes(read_regular(LOCALTIME, LARGEST_BYTES))
        _, found, name = str(LOCALTIME.resolve()).partition(_DATABASE)
        return Zone(rules, name if found else "")
    except (OSError, ValueError):
        return Zone(UTC, "UTC")


def nearest(name: str) -> str:
    """A hint: the real name most like this one, e.g. `America/Lima` for `Lima` or `america/lima`."""
    import difflib
    from zoneinfo import available_timezones

    known = {zone.casefold(): zone for zone in sorted(available_timezones(), reverse=True)}
    towns = {zone.rpartition("/")[2]: zone for zone in known}
    word = name.casefold().replace(" ", "_")
    if not known:
        return "the time zone database is missing: install the package tzdata"
    for found in (
        [word] if word in known else [],
        [towns[word]] if word in towns else [],
        difflib.get_close_matches(word, known, n=1, cutoff=0.75),
        [towns[town] for town in difflib.get_close_matches(word.rpartition("/")[2], towns, n=1, cutoff=0.75)],
    ):
        if found:
            return f'did you mean "{known[found[0]]}"?'
    return "`timedatectl list-timezones` shows all names"
