"""Values that somebody may have put into the database: each is what its column should hold, or None."""

import re
from collections.abc import Callable, Sequence

from heartbeatd.core.subject import Severity
from heartbeatd.core.timefmt import from_iso

Cell = str | int | float | None
LONGEST_TEXT = 1000
LARGEST_NUMBER = 1e15


def cells(columns: Sequence[tuple[str, str]], values: Sequence[object]) -> dict[str, Cell]:
    return {name: _CELL[kind](value) for (name, kind), value in zip(columns, values, strict=True)}


def word(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch("[a-z][a-z -]{0,31}", value) else None


def severity_of(value: object) -> Severity | None:
    return next((one for one in Severity if one == value), None)


def whole(value: object) -> int | None:
    return value if isinstance(value, int) and abs(value) < LARGEST_NUMBER else None


def _real(value: object) -> float | None:
    known = isinstance(value, int | float) and abs(value) < LARGEST_NUMBER
    return float(value) if known else None  # type: ignore[arg-type]  # a number, as has been seen


def text_of(value: object) -> str | None:
    return value[:LONGEST_TEXT] if isinstance(value, str) else None


def _time(value: object) -> str | None:
    try:
        from_iso(str(value))
    except (ValueError, TypeError, OverflowError):
        return None
    return str(value)


# The value as a column of that kind should hold it, or None.
_CELL: dict[str, Callable[[object], Cell]] = {"INTEGER": whole, "REAL": _real, "TIME": _time, "TEXT": text_of}
