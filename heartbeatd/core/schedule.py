"""When the next cycle is due: on the wall clock's own grid, every slot at most once.

Theory of operation. A slot is a multiple of the interval since the epoch (intervals divide a day, so :00, :10, :20 … in
any zone of whole minutes). The next slot is computed anew from the wall clock each time, so nothing drifts. What was
missed in between is counted on a clock that no one can set, so a stepped wall clock invents no missed slots. When the grid
changes (another interval, a stepped clock), what was missed of the old one is counted there and then, and the new one begins.
"""

from dataclasses import dataclass

NS_PER_S = 1_000_000_000
STEP_NS = NS_PER_S // 4  # more than NTP ever slews between two slots, less than any step worth a line in the log


@dataclass(frozen=True, slots=True)
class Tick:
    """The slot to run next (wall clock, ns) and how many were missed since the last one."""

    slot_ns: int
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Past:
    """What has been on the grid: the last slot that ran, and since when missed slots are counted.

    `elapsed_ns` is how long ago the latest slot began that is accounted for (boot-time clock, suspend included): the one that
    ran or, after the grid has changed, the latest one of the new grid. `missed` were counted on grids before.
    """

    slot_ns: int
    elapsed_ns: int
    missed: int = 0


def first_tick(now_ns: int, interval_ns: int, last_slot_ns: int | None) -> Tick:
    """The first slot of a run. A restart across a slot's boundary loses no slot: the one that began less than a second ago is
    run late, if the one before it was the last to run.

    With an interval of 10 s, at 12:00:20.4 and 12:00:10 the last slot run: 12:00:20; had 12:00:20 run already, 12:00:30.
    """
    slot_ns = now_ns // interval_ns * interval_ns
    if last_slot_ns == slot_ns - interval_ns and now_ns - slot_ns < NS_PER_S:
        return Tick(slot_ns)
    return next_tick(now_ns, interval_ns)


def next_tick(now_ns: int, interval_ns: int, past: Past | None = None) -> Tick:
    """The first slot strictly after `now_ns` that has not run.

    With an interval of 10 s, at 12:00:25.3 and 12:00:00 the last slot run 25.3 s ago: 12:00:30, and two missed (:10 and
    :20). If the clock was set back within the interval, the slot that already ran is passed over; if it was set back by
    more, the labels repeat and the new time line is followed, so nothing stalls.
    """
    slot_ns = (now_ns // interval_ns + 1) * interval_ns
    if past is None:
        return Tick(slot_ns)
    between_ns = past.elapsed_ns + slot_ns - now_ns
    # A slewed clock makes the time between two slots a hair shorter.
    missed = past.missed + max(0, (between_ns + STEP_NS) // interval_ns - 1)
    return Tick(slot_ns + interval_ns if slot_ns == past.slot_ns else slot_ns, missed)


def regridded(past: Past, now_ns: int, old_interval_ns: int, interval_ns: int) -> Past:
    """`past` once the grid has changed at `now_ns`: by a new interval, or by a step of the clock, which `now_ns` is after.

    Slots of the old grid that came and went are missed ones; the new grid has had none before now. With 10 s until 12:00:25, and
    :00 the last to run: two missed (:10, :20), however many slots of a new interval of 2 s lie between.
    """
    missed = past.missed + max(0, (past.elapsed_ns - STEP_NS) // old_interval_ns)
    return Past(past.slot_ns, now_ns % interval_ns, missed)


def stepped_ns(wall_passed_ns: int, real_passed_ns: int) -> int:
    """By how much the wall clock was stepped (ns, negative = back) while both passed; 0 for mere slewing and jitter."""
    drift_ns = wall_passed_ns - real_passed_ns
    return drift_ns if abs(drift_ns) >= STEP_NS else 0
