"""What the agent remembers, and what of that waits in memory for the database.

Rows wait for a day, readings up to `READINGS_MOST` values, and the newest win;
the announced states, the deliveries and the untold gaps wait as long as the agent runs.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from heartbeatd.core.alert_state import AlertState, AlertStates, moments, shifted
from heartbeatd.core.delivery import Delivery
from heartbeatd.core.gap import Run, UntoldGap
from heartbeatd.core.retention import QUEUE_MOST
from heartbeatd.core.sample import Readings, Row
from heartbeatd.core.schedule import STEP_NS
from heartbeatd.core.silence import Silence

DAY_S = 86400
# Values of what has no column: a day of 35 series once a minute, in some 5 MiB.
READINGS_MOST = 50_000


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Seconds between two rows, the days they are kept (0 for ever), and whether each goes to the disk itself at once."""

    interval_s: int
    days: int = 0
    flush_rows: bool = False

    @property
    def rows_a_day(self) -> int:
        return DAY_S // self.interval_s


@dataclass(frozen=True, slots=True)
class Handover:
    """What one store gives to the next: rows and readings that wait, what is undelivered, the states, and more.

    `states_known` and `earlier_boots_ns`: see `Buffer`. `untold` are the gaps that nobody was told of.
    """

    rows: tuple[Row, ...]
    undelivered: tuple[Delivery, ...]
    states: AlertStates
    states_known: bool
    earlier_boots_ns: frozenset[int] = frozenset()
    untold: tuple[UntoldGap, ...] = ()
    readings: tuple[Readings, ...] = ()
    silences: tuple[Silence, ...] = ()


class Buffer:
    """One thread uses it.

    `states_known`: the states are what was announced, not a starting point that was taken while nothing could be read.
    `earlier_boots_ns`: those of their moments that an earlier boot noted, by another clock.
    `untold`: the gaps before this run of which nobody was told, the oldest first. `silences`: those there are.
    """

    def __init__(self, options: StoreOptions) -> None:
        self.rows: deque[Row] = deque(maxlen=options.rows_a_day)
        self.readings: deque[Readings] = deque()
        self._values = 0  # in all readings
        self.deliveries: dict[tuple[str, str], Delivery] = {}
        self.states: AlertStates = {}
        self.unsaved_states: AlertStates = {}
        self.states_known = False
        self.earlier_boots_ns: frozenset[int] = frozenset()
        self.untold: tuple[UntoldGap, ...] = ()
        self.untold_changed = False
        self.silences: tuple[Silence, ...] = ()
        self.unsaved_silences: tuple[Silence, ...] = ()
        self.previous_run: Run | None = None
        self._knows_run = False

    @property
    def urgent(self) -> bool:
        """Whether something waits that a power cut must not take away."""
        return bool(self.deliveries or self.unsaved_states or self.unsaved_silences)

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not (self.rows or self.urgent or self.untold_changed)

    def adjust(self, options: StoreOptions) -> None:
        """Keep by other rules from now on."""
        self.rows = deque(self.rows, maxlen=options.rows_a_day)

    def note(
        self,
        row: Row,
        changed: tuple[AlertState, ...],
        deliveries: tuple[Delivery, ...],
        readings: Readings | None = None,
        *,
        states_known: bool,
    ) -> None:
        """Remember one cycle. `changed` follows from states that were known then, or not: a guess does not win over what is."""
        self.rows.append(row)
        if readings is not None:
            self._keep_readings((readings,))
        self.keep_deliveries(deliveries)
        if changed and states_known >= self.states_known:
            self.keep_states({state.subject: state for state in changed})

    def _keep_readings(self, readings: Iterable[Readings]) -> None:
        """Of more than `READINGS_MOST` values the oldest are given up, but never those that came last."""
        for one in readings:
            self.readings.append(one)
            self._values += len(one)
        while self._values > READINGS_MOST and len(self.readings) > 1:
            self._values -= len(self.readings.popleft())

    def keep_states(self, changed: AlertStates) -> None:
        """These have changed."""
        self.states = {**self.states, **changed}
        self.unsaved_states = {**self.unsaved_states, **changed}

    def keep_untold(self, untold: tuple[UntoldGap, ...]) -> None:
        """These are the gaps that nobody was told of."""
        self.untold, self.untold_changed = untold, True

    def take_up_silences(self, stored: tuple[Silence, ...]) -> None:
        """These are in the file; others are on their way to it, if it takes the place of another."""
        there = {silence.id for silence in stored}
        self.silences = (*stored, *(silence for silence in self.unsaved_silences if silence.id not in there))

    def shift(self, by_ns: int) -> None:
        """Move the moments of the states along with a wall clock that was stepped."""
        earlier = self.earlier_boots_ns
        self.keep_states({subject: shifted(state, by_ns, earlier) for subject, state in self.states.items()})

    def take_up_run(self, previous_run: Run | None, untold: tuple[UntoldGap, ...]) -> None:
        """A file that takes the place of another knows of no run before this one: it gets what is known."""
        if self._knows_run:
            self.untold_changed = True
        else:
            self.previous_run, self.untold, self._knows_run = previous_run, untold, True

    def take_up(self, stored: AlertStates) -> bool:
        """What was announced before this start wins over a starting point taken while the file could not be read; True if so."""
        taken = not self.states_known and bool(stored)
        if taken:
            self.states, self.unsaved_states = stored, {}
        self.states_known = True
        return taken

    def take_up_clock(self, run: Run, boot_id: str, booted_ns: int) -> None:
        """Moments of an earlier boot stay what they are however the clock is stepped; those of this one move along.

        `run` is the one before this, `booted_ns` what the clock would have shown at boot.
        """
        noted = frozenset[int]().union(*map(moments, self.states.values()))
        if run.boot_id != boot_id or run.booted_ns is None:
            self.earlier_boots_ns = noted
            return
        self.earlier_boots_ns = frozenset(at_ns for at_ns in noted if at_ns < run.booted_ns)
        if abs(booted_ns - run.booted_ns) >= STEP_NS:  # while nothing ran
            self.shift(booted_ns - run.booted_ns)

    def keep_deliveries(self, deliveries: Iterable[Delivery]) -> None:
        """This is how far they are now. Of very many that cannot be written the oldest are given up."""
        self.deliveries.update((delivery.key, delivery) for delivery in deliveries)
        while len(self.deliveries) > QUEUE_MOST:
            del self.deliveries[next(iter(self.deliveries))]

    def begin_anew(self, undelivered: Iterable[Delivery]) -> None:
        """Another file is to get what must not be lost with the one before it."""
        self.unsaved_states, self.unsaved_silences = self.states, self.silences
        self._keep_from_before(undelivered)

    def _keep_from_before(self, undelivered: Iterable[Delivery]) -> None:
        later, self.deliveries = self.deliveries, {}
        self.keep_deliveries((*undelivered, *later.values()))

    def hand_over(self, undelivered: tuple[Delivery, ...]) -> Handover:
        """What another store is to go on with; `undelivered` is in the database, too."""
        return Handover(
            tuple(self.rows),
            undelivered,
            self.states,
            self.states_known,
            self.earlier_boots_ns,
            self.untold,
            tuple(self.readings),
            self.silences,
        )

    def adopt(self, handover: Handover) -> None:
        """Go on with that, from before what is here. What was announced by this process wins."""
        self.rows.extendleft(reversed(handover.rows))
        later, self._values = tuple(self.readings), 0
        self.readings.clear()
        self._keep_readings((*handover.readings, *later))
        self._keep_from_before(handover.undelivered)
        if handover.states and (handover.states_known or not self.states):
            self.keep_states(handover.states)
            self.earlier_boots_ns = handover.earlier_boots_ns
        self.unsaved_silences = (*self.unsaved_silences, *handover.silences)
        self.take_up_silences(self.silences)
        # What ran there before is no gap: this process was running.
        self.keep_untold(handover.untold)
        self._knows_run = True

    def saved(self) -> None:
        """All of it is in a database."""
        self.rows.clear()
        self.readings.clear()
        self._values = 0
        self.deliveries = {}
        self.unsaved_states, self.unsaved_silences, self.untold_changed = {}, (), False
