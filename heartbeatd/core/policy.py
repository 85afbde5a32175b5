"""When a change of a subject's state counts, what its first state means, and when a bad one is told again."""

from dataclasses import dataclass
from enum import StrEnum

from heartbeatd.core.subject import Severity

DAY_S = 86_400
CHANGE_CYCLES = 6  # a minute, with the default interval


class Initial(StrEnum):
    """What is taken to have been announced before anything was observed."""

    SILENT = "silent"  # the first state, whatever it is: nobody was watching, so nothing has changed
    ASSUME_OK = "assume ok"  # ok: what is bad from the first cycle on is told


@dataclass(frozen=True, slots=True)
class Policy:
    """How many consecutive cycles it takes until a state counts as changed.

    While it is bad it is told again each `remind_s` seconds; never, if that is None.
    """

    for_cycles: int = 1
    recover_cycles: int = 1
    initial: Initial = Initial.SILENT
    remind_s: int | None = None
    worse_cycles: int | None = None  # from one bad state to another; None: see `change_cycles`

    @property
    def change_cycles(self) -> int:
        """From one bad state to another: whoever is told of an outage is in no hurry to hear that it has another face."""
        return self.worse_cycles or max(CHANGE_CYCLES, 3 * self.for_cycles)


CLOSE = Policy(initial=Initial.ASSUME_OK)  # of what is gone: it is over at once


def reminder_s(severity: Severity) -> int | None:
    """After how long what lasts is told again: what is critical each day, a warning never."""
    return DAY_S if severity is Severity.CRITICAL else None
