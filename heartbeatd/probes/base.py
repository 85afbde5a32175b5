"""What a probe is: a row of the table in `registry`. It is read under a deadline, and reports how that went; it never raises.

No data is not a failure: `NoData` (Docker is not installed) and `ProbeError` (Docker refuses) are told apart by the probe that
knows. Whatever else a library throws is a failure too, so that one source can never take the cycle down.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from heartbeatd.cancel import CancelToken, SerialWorker, TimedOut
from heartbeatd.core.container import Container, Reason
from heartbeatd.core.metrics import Series
from heartbeatd.core.sample import NoData, Off, ProbeError, ProbeReport, ProbeStatus
from heartbeatd.core.service import ServiceCheck
from heartbeatd.core.unit import FailedUnit

T = TypeVar("T")
# By the name of what a Sample has, or by the series of what it has not; what is unknown is left out.
Value = (
    float
    | str
    | tuple[Container, ...]
    | Mapping[str, Reason]
    | tuple[ServiceCheck, ...]
    | tuple[FailedUnit, ...]
    | None
)
Values = (
    Mapping[str, Value]
    | Mapping[str, tuple[ServiceCheck, ...]]
    | Mapping[str, tuple[FailedUnit, ...]]
    | Mapping[Series, float]
)
Finish = Callable[[], Values]
Read = Callable[[int, CancelToken], Finish]
EACH_CYCLE = 1


@dataclass(frozen=True, slots=True)
class Probe:
    """A source, which is read in every `every`th cycle, beginning with the first.

    `read` is given its deadline, by the token's clock, and the token to wait with. It begins to read, and returns what waits for
    the values until the deadline; both may raise, see `attempt`.
    """

    name: str
    every: int
    deadline_s: float
    read: Read


def at_once(read: Callable[[], Values]) -> Read:
    """For what cannot hang: it is read in the cycle's own thread, as soon as it is its turn."""

    def begin_here(deadline_ns: int, cancel: CancelToken) -> Finish:
        values = read()
        return lambda: values

    return begin_here


def on_thread(thread: SerialWorker, read: Callable[[], Values], require: Callable[[], None] = lambda: None) -> Read:
    """For what may hang: it goes on in `thread` beside the others. While a call hangs there, no other is begun.

    `require` comes first, in the cycle's own thread, and raises NoData if the other is not needed.
    """

    def begin_there(deadline_ns: int, cancel: CancelToken) -> Finish:
        require()
        return thread.start(read, deadline_ns, cancel).result

    return begin_there


def begin(probe: Probe, cancel: CancelToken) -> Callable[[], tuple[Values | None, ProbeReport]]:
    """Begin to read; what is returned waits for the values, and says how it went."""
    finish, report = attempt(probe.name, lambda: probe.read(cancel.deadline(probe.deadline_s), cancel))
    if finish is None:
        return lambda: (None, report)
    return partial(attempt, probe.name, finish)


def attempt(name: str, work: Callable[[], T]) -> tuple[T | None, ProbeReport]:
    """What `work` returns, and how it went; None if it raises."""
    try:
        return work(), ProbeReport(name, ProbeStatus.OK)
    except NoData as error:
        return None, ProbeReport(name, ProbeStatus.NO_DATA, str(error))
    except Off as error:
        return None, ProbeReport(name, ProbeStatus.OFF, str(error))
    except (ProbeError, TimedOut) as error:
        return None, ProbeReport(name, ProbeStatus.FAILED, str(error))
    except Exception as error:  # noqa: BLE001 - a probe's library may throw anything; the other probes must go on
        return None, ProbeReport(name, ProbeStatus.FAILED, f"{type(error).__name__}: {error}")
