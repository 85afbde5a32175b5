"""What every probe is run by: its own deadline, and a note of how it went instead of an exception.

No data is not a failure: `Absent` (Docker is not installed) and `Fault` (Docker refuses) are told apart by the probe that
knows. Whatever else a library throws is a fault too, so that one source can never take the cycle down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from heartbeatd.core.model import Note, Presence
from heartbeatd.waiting import Call, Hung

T = TypeVar("T")


class Absent(Exception):
    """There is nothing here to read."""


class Fault(Exception):
    """There is something to read, but it cannot be; the text says why, in words for the log."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What a probe brought back: the value, or None, and a note."""

    value: T | None
    note: Note


def begin(name: str, start: Callable[[], Call[T]]) -> Call[T] | Reading[T]:
    """Start a probe; a Reading at once if it could not even be started (its last call still hangs)."""
    try:
        return start()
    except Hung as error:
        return Reading(None, Note(name, Presence.FAULT, str(error)))


def finish(name: str, begun: Call[T] | Reading[T]) -> Reading[T]:
    """What a started probe brought back by now."""
    return begun if isinstance(begun, Reading) else attempt(name, begun.outcome)


def attempt(name: str, read: Callable[[], T]) -> Reading[T]:
    """Call `read` and turn whatever comes of it into a Reading."""
    try:
        return Reading(read(), Note(name, Presence.READ))
    except Absent as error:
        return Reading(None, Note(name, Presence.ABSENT, str(error)))
    except (Fault, Hung) as error:
        return Reading(None, Note(name, Presence.FAULT, str(error)))
    except Exception as error:  # noqa: BLE001 - a probe's library may throw anything; the other probes must go on
        return Reading(None, Note(name, Presence.FAULT, f"{type(error).__name__}: {error}"))
