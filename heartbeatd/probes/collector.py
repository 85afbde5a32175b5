"""One look at everything that is due: each probe under its own deadline, side by side where they may hang."""

from collections.abc import Callable

from heartbeatd.cancel import CancelToken
from heartbeatd.core.metrics import Series
from heartbeatd.core.sample import Sample
from heartbeatd.probes.base import Probe, Value, begin


class Probes:
    """Reads the probes of a table, cycle after cycle."""

    def __init__(self, table: tuple[Probe, ...]) -> None:
        self._table = table
        self._cycles = 0  # collected so far

    def collect(self, now: Callable[[], int], cancel: CancelToken) -> Sample:
        """What is there to see. Takes no longer than the longest deadline.

        All are begun, in the order of the table, before any is waited for.
        """
        taken_ns = now()
        finishes = [begin(probe, cancel) for probe in self._table if self._cycles % probe.every == 0]
        self._cycles += 1
        found: dict[str, Value] = {}
        readings: dict[Series, float] = {}
        reports = []
        for finish in finishes:
            values, report = finish()
            for name, value in (values or {}).items():
                if isinstance(name, Series):
                    readings[name] = float(value)  # type: ignore[arg-type]
                else:
                    found[name] = value
            reports.append(report)
        return Sample(taken_ns, reports=tuple(reports), readings=readings, **found)  # type: ignore[arg-type]  # held by a test
