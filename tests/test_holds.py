"""Of whom nobody is told for now."""

from collections.abc import Iterator

import pytest

from heartbeatd.cancel import CancelToken, SerialWorker
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.silence import Silence
from heartbeatd.core.subject import Subject
from heartbeatd.core.worker import WORKER
from heartbeatd.holds import STARTING_NS, Holds, system_state
from tests.support.clocks import FakeClock
from tests.support.wait import wait_until

BOOT = "b" * 32
DISK, WEB = Subject("disk", "/srv"), Subject("container", "web")


@pytest.fixture
def thread() -> Iterator[SerialWorker]:
    made = SerialWorker("system")
    yield made
    made.close()


def holds(thread: SerialWorker, clock: FakeClock, *states: str, silences: tuple[Silence, ...] = ()) -> Holds:
    """The system is in these states, one after the other; the last one stays."""
    found = list(states)
    return Holds(lambda: silences, thread, CancelToken(clock), BOOT, lambda: found.pop(0) if found[1:] else found[0])


def test_a_silence_is_a_pattern_for_a_time(thread: SerialWorker) -> None:
    clock = FakeClock()
    until_ns = clock.wall_ns + NS_PER_S
    found = holds(thread, clock, silences=(Silence("disk:*", until_ns), Silence("worker", clock.wall_ns)))
    assert [subject in found.held() for subject in (DISK, WEB, WORKER)] == [True, False, False]
    clock.pass_s(1)
    assert DISK not in found.held()


@pytest.mark.parametrize("state", ["running", "degraded", "maintenance", "offline"])
def test_the_start_of_the_system_is_over_when_systemd_says_so(thread: SerialWorker, state: str) -> None:
    """All but the Worker are held back until then."""
    clock = FakeClock()
    clock.boot_ns = 0
    found = holds(thread, clock, "starting", state)
    held = found.held()
    assert (DISK in held, WORKER in held) == (True, False)
    wait_until(lambda: DISK not in found.held())


@pytest.mark.parametrize("state", ["starting", ""])
def test_a_start_that_does_not_end_is_over_after_five_minutes(thread: SerialWorker, state: str) -> None:
    """Nor is more waited for where systemd says nothing."""
    clock = FakeClock()
    clock.boot_ns = 0
    found = holds(thread, clock, state)
    assert DISK in found.held()
    assert found.notes() == ("alerts wait until the system is up",)
    clock.pass_s(STARTING_NS / 1e9)
    assert DISK not in found.held()


def test_systemd_is_asked() -> None:
    """Or says nothing, where it does not run."""
    assert system_state() in ("", "offline", "running", "degraded", "starting", "maintenance", "unknown")
