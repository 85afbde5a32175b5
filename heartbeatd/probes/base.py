"""What every probe is run by: its own deadline, and a report of how it went instead of an exception.

No data is not a failure: `NoData` (Docker is not installed) and `ProbeError` (Docker refuses) are told apart by the probe that
knows. Whatever else a library throws is a failure too, so that one source can never take the cycle down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from heartbeatd.cancel import TimedOut
from heartbeatd.core.sample import NoData, Off, ProbeError, ProbeReport, ProbeStatus

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What a probe brought back: the value, or None, and how it went."""

    value: T | None
    report: ProbeReport


class PendingReading(Protocol[T_co]):
    """A probe that was begun, and goes on while others are looked at."""

    def result(self) -> T_co:
        """What it read, waited for until its deadline. Raises what `attempt` knows."""


def begin(name: str, start: Callable[[], PendingReading[T]]) -> Callable[[], Reading[T]]:
    """Begin a probe; what is returned gives its reading, and waits for it."""
    begun = attempt(name, start)
    if begun.value is None:
        nothing: Reading[T] = Reading(None, begun.report)
        return lambda: nothing
    return partial(attempt, name, begun.value.result)


def attempt(name: str, read: Callable[[], T]) -> Reading[T]:
    """Call `read` and turn whatever comes of it into a Reading."""
    try:
        return Reading(read(), ProbeReport(name, ProbeStatus.OK))
    except NoData as error:
        return Reading(None, ProbeReport(name, ProbeStatus.NO_DATA, str(error)))
    except Off as error:
        return Reading(None, ProbeReport(name, ProbeStatus.OFF, str(error)))
    except (ProbeError, TimedOut) as error:
        return Reading(None, ProbeReport(name, ProbeStatus.FAILED, str(error)))
    except Exception as error:  # noqa: BLE001 - a probe's library may throw anything; the other probes must go on
        return Reading(None, ProbeReport(name, ProbeStatus.FAILED, f"{type(error).__name__}: {error}"))
