"""One look at everything that is due: each probe under its own deadline, side by side where they may hang."""

from collections.abc import Callable

from heartbeatd.cancel import CancelToken
from heartbeatd.core.metrics import METRICS
from heartbeatd.core.sample import Sample
from heartbeatd.probes.base import Probe, begin

_OF_A_SAMPLE = {"internet_detail", *(metric.name for metric in METRICS)}


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
        found: dict[str, float | str] = {}
        reports = []
        for finish in finishes:
            values, report = finish()
            found.update(values or ())
            reports.append(report)
        others = {name: found.pop(name) for name in tuple(found) if name not in _OF_A_SAMPLE}  # in their order
        return Sample(taken_ns, reports=tuple(reports), values=others, **found)  # type: ignore[arg-type]  # held by a test
