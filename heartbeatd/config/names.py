"""The kinds of setting for names of containers and of units."""

import re
from dataclasses import dataclass

from heartbeatd.config.options import list_of, text_of

MOST = 200
_CONTAINER = re.compile(r"[A-Za-z0-9_.*?\[\]!-]{1,255}")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@*?\[\]!-]{1,255}")


@dataclass(frozen=True, slots=True)
class ContainerNames:
    """A list of names, or of patterns as a shell's."""

    allowed: str = f"a list of at most {MOST} names of containers"

    def check(self, value: object) -> tuple[str, ...]:
        return _names(value, _CONTAINER, "a container")


@dataclass(frozen=True, slots=True)
class UnitNames:
    """A list of names, or of patterns as a shell's."""

    allowed: str = f"a list of at most {MOST} names of units"

    def check(self, value: object) -> tuple[str, ...]:
        return _names(value, _UNIT, "a unit")


def _names(value: object, name: re.Pattern[str], what: str) -> tuple[str, ...]:
    given = list_of(value)
    if len(given) > MOST:
        raise ValueError(f"it has {len(given)} names")
    for number, one in enumerate(given, 1):
        if not name.fullmatch(text_of(one)):
            raise ValueError(f"name {number} is none that {what} can have")
    return tuple(dict.fromkeys(given))
