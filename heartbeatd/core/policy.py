"""When a change of a subject's state counts, and what its first state means."""

from dataclasses import dataclass
from enum import StrEnum

CHANGE_CYCLES = 6  # a minute, with the default interval


class Initial(StrEnum):
    """What is taken to have been announced before anything was observed."""

    SILENT = "silent"  # the first state, whatever it is: nobody was watching, so nothing has changed
    ASSUME_OK = "assume ok"  # ok: what is bad from the first cycle on is told


@dataclass(frozen=True, slots=True)
class Policy:
    """How many consecutive cycles it takes until a state counts as changed."""

    for_cycles: int = 1
    recover_cycles: int = 1
    initial: Initial = Initial.SILENT

    @property
    def change_cycles(self) -> int:
        """From one bad state to another: whoever is told of an outage is in no hurry to hear that it has another face."""
        return max(CHANGE_CYCLES, 3 * self.for_cycles)
