"""What psutil reads is what the kernel says."""

import os
import time
from pathlib import Path

import pytest

from heartbeatd.core.model import Presence
from heartbeatd.probes import base, host
from heartbeatd.probes.host import Disk
from heartbeatd.waiting import Lane, Waiter, seconds_from_now


def test_memory_is_that_of_the_kernel() -> None:
    """Used RAM is between nothing and all, and percent and MB belong together."""
    total_kb = int(
        next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line).split()[1]
    )
    found = host.memory()
    assert 0 < found.used_mb < total_kb / 1024
    assert 0 < found.percent < 100


def test_cpu_is_since_the_last_call() -> None:
    """A busy second on one core shows; the range is 0–100."""
    host.cpu_percent()
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass
    assert 50 / (os.cpu_count() or 1) < host.cpu_percent() <= 100


def test_the_disk_is_that_of_df() -> None:
    """The root filesystem, as statvfs counts it, without what is reserved for root."""
    lane, waiter = Lane("disk"), Waiter()
    call = Disk(lane).start(seconds_from_now(5), waiter)
    found = os.statvfs("/")
    used = found.f_blocks - found.f_bfree
    assert call.outcome() == pytest.approx(100 * used / (used + found.f_bavail), abs=0.5)
    lane.close()


def test_a_path_that_cannot_be_measured_is_a_fault() -> None:
    """Unknown, with the reason, and no exception."""
    lane, waiter = Lane("disk"), Waiter()
    call = Disk(lane, "/there/is/no/such/path").start(seconds_from_now(5), waiter)
    reading = base.attempt("disk", call.outcome)
    assert reading.value is None
    assert reading.note.presence is Presence.FAULT
    assert "No such file" in reading.note.detail
    lane.close()
