"""Which cycles have a line in the journal."""

from heartbeatd.core.cyclelog import Due, Hour, LogCycles, Logged, advance
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.sample import Row
from heartbeatd.core.subject import Observation
from heartbeatd.core.text.cycle import hour_line
from heartbeatd.core.timefmt import LIMA_ZONE
from heartbeatd.core.worker import WorkerState
from heartbeatd.rules.worker import observation

S = 1_000_000_000
HOUR_S = 3600
OK = observation(WorkerState.OK, 0, 200)
SILENT = observation(WorkerState.UNREACHABLE, 0, None, Cause.TIMEOUT)
Cycle = tuple[int, Row, Observation | None]


def row(cpu: float | None = 5.0, internet_ok: int | None = 1, containers: int | None = 3) -> Row:
    """A row that saw this."""
    return Row("id", "t", cpu, 40.0, 800.0, 60.0, containers, internet_ok, 12.0, 200, 50.0)


def run(which: LogCycles, *cycles: Cycle) -> list[Due]:
    """What was due after each cycle."""
    logged, found = Logged(), []
    for slot_s, seen_row, seen in cycles:
        logged, due = advance(logged, which, slot_s * S, seen_row, seen)
        found.append(due)
    return found


def test_all() -> None:
    """Each cycle has its line."""
    assert run(LogCycles.ALL, *[(i * 10, row(), OK) for i in range(3)]) == [Due(cycle=True)] * 3


def test_changes() -> None:
    """The first, and those in which the answer, the internet or the containers are others; figures alone are no change."""
    due = run(
        LogCycles.CHANGES,
        (0, row(), OK),
        (10, row(cpu=99.0), OK),
        (20, row(), SILENT),
        (30, row(), None),  # no heartbeat was sent: nothing is known to be different
        (40, row(), SILENT),
        (50, row(internet_ok=0), SILENT),
        (60, row(internet_ok=0, containers=None), SILENT),
        (70, row(internet_ok=0, containers=None), SILENT),
    )
    assert [d.cycle for d in due] == [True, False, True, False, False, True, True, False]
    assert all(d.hour is None for d in due)


def test_hourly() -> None:
    """The first cycle, and then each hour of the wall clock in one line, in the first cycle of the next."""
    due = run(
        LogCycles.HOURLY,
        (HOUR_S - 20, row(cpu=5.0), OK),
        (HOUR_S - 10, row(cpu=7.0, internet_ok=0), SILENT),
        (HOUR_S, row(cpu=99.0), None),
        (HOUR_S + 10, row(cpu=None, internet_ok=None), OK),
        (3 * HOUR_S, row(), OK),
    )
    assert [d.cycle for d in due] == [True, False, False, False, False]
    assert [d.hour for d in due] == [
        None,
        None,
        Hour((HOUR_S - 20) * S, 2, 2, 1, 2, 1, 7.0, 40.0, 60.0),
        None,
        Hour(HOUR_S * S, 2, 1, 1, 1, 1, 99.0, 40.0, 60.0),
    ]


def test_an_hour_reads_well() -> None:
    """How many cycles ran, in how many the Worker and the internet were ok, and the most of each."""
    hour = Hour(20 * HOUR_S * S, 360, 359, 358, 360, 357, 31.24, 41.0, None)
    assert hour_line(hour, LIMA_ZONE) == (
        "360 cycles since 15:00:00 (America/Lima): Worker ok in 358 of 359, internet ok in 357 of 360, "
        "at most cpu 31.2% ram 41.0% disk ?"
    )
    assert "no heartbeats" in hour_line(Hour(0, 1), LIMA_ZONE)
