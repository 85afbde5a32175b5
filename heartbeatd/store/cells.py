"""Values that somebody may have put into the database: each is what its column should hold, or None."""

import re

from heartbeatd.core.subject import Severity
from heartbeatd.core.timefmt import from_iso

LONGEST_TEXT = 1000
LARGEST_NUMBER = 1e15
_NUMBERS = (int, float)


def word(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch("[a-z][a-z -]{0,31}", value) else None


def severity_of(value: object) -> Severity | None:
    return next((one for one in Severity if one == value), None)


def whole(value: object) -> int | None:
    return value if isinstance(value, int) and abs(value) < LARGEST_NUMBER else None


def moment_ns(value: object) -> int | None:
    return value if isinstance(value, int) else None


def real(value: object) -> float | None:
    return float(value) if isinstance(value, _NUMBERS) and abs(value) < LARGEST_NUMBER else None


def text_of(value: object) -> str | None:
    return value[:LONGEST_TEXT] if isinstance(value, str) else None


def time_of(value: object) -> str | None:
    try:
        from_iso(str(value))
    except (ValueError, TypeError, OverflowError):
        return None
    return str(value)
