"""What psutil reads is what the kernel says."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from heartbeatd.cancel import CancelToken
from heartbeatd.core.sample import ProbeStatus
from heartbeatd.probes import disks, host
from heartbeatd.probes.base import EACH_CYCLE, Probe, at_once
from heartbeatd.probes.collector import Probes
from tests.support.agent import run_python


def test_memory_is_that_of_the_kernel() -> None:
    """Used RAM is between nothing and all, and percent and MB belong together."""
    total_kb = int(
        next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line).split()[1]
    )
    found = host.memory()
    assert 0 < found["ram_used_mb"] < total_kb / 1024
    assert 0 < found["ram_percent"] < 100


GIB = 1 << 30
KIB = 1 << 10


def a_machine(
    folder: Path, *, arc_gib: float, least_gib: float, mounted: str = "", container: str = ""
) -> Mapping[str, float]:
    """What is measured on a host with 32 GiB, of which 8.6 are available to the kernel's knowledge, and 22 used."""
    (folder / "meminfo").write_text(
        f"MemTotal: {32 * GIB // KIB} kB\nMemFree: {8 * GIB // KIB} kB\nMemAvailable: {int(8.6 * GIB / KIB)} kB\n"
        f"Buffers: 0 kB\nCached: {2 * GIB // KIB} kB\nShmem: 0 kB\nSReclaimable: 0 kB\nActive: 0 kB\nInactive: 0 kB\n"
        "Slab: 0 kB\n"
    )
    (folder / "spl/kstat/zfs").mkdir(parents=True)
    (folder / "spl/kstat/zfs/arcstats").write_text(
        "9 1 0x01 147 39984 4 5\nname                            type data\nhits                            4    1\n"
        f"c_min                           4    {int(least_gib * GIB)}\n"
        f"size                            4    {int(arc_gib * GIB)}\n"
    )
    (folder / "self").mkdir()
    (folder / "self/mountinfo").write_text(f"22 1 0:1 / / rw - ext4 /dev/sda1 rw\n{mounted}")
    if container:
        (folder / "container").write_text(container)
    before, psutil.PROCFS_PATH = getattr(psutil, "PROCFS_PATH", "/proc"), str(folder)  # psutil's own setting
    try:
        return host.memory(folder, folder / "container")
    finally:
        psutil.PROCFS_PATH = before


def test_what_zfs_would_give_back_is_not_in_use(tmp_path: Path) -> None:
    """14 of the 15 GiB of its cache: 29 % are in use, not 73."""
    without = tmp_path / "without"
    without.mkdir()
    used_mb = a_machine(without, arc_gib=1, least_gib=1)["ram_used_mb"]
    found = a_machine(tmp_path, arc_gib=15, least_gib=1)
    assert found["ram_percent"] == pytest.approx(29.4, abs=0.1)
    assert found["ram_used_mb"] == pytest.approx(used_mb - 14 * 1024)


def test_zfs_that_has_nothing_to_give_back(tmp_path: Path) -> None:
    """Its cache is below its least size; or it says what cannot be: what psutil says, between nothing and all."""
    for number, (arc_gib, least_gib, percent) in enumerate(((0.5, 1, 73.1), (1, 1, 73.1), (999, 1, 0))):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = a_machine(folder, arc_gib=arc_gib, least_gib=least_gib)
        assert found["ram_percent"] == pytest.approx(percent, abs=0.1)
        assert found["ram_used_mb"] >= 0


LXCFS = "812 22 0:52 /proc/meminfo /proc/meminfo rw,nosuid,nodev,relatime shared:1 - fuse.lxcfs lxcfs rw,user_id=0\n"


@pytest.mark.parametrize(("mounted", "container"), [(LXCFS, ""), ("", "lxc\n")], ids=["lxcfs", "systemd's word"])
def test_in_a_container_of_lxc_the_hosts_zfs_is_left_out(tmp_path: Path, mounted: str, container: str) -> None:
    """The container's memory is its own, ZFS's cache is the host's."""
    found = a_machine(tmp_path, arc_gib=15, least_gib=1, mounted=mounted, container=container)
    assert found["ram_percent"] == pytest.approx(73.1, abs=0.1)


def test_a_meminfo_that_is_bound_over_is_no_lxc(tmp_path: Path) -> None:
    """Another file in the place of /proc/meminfo, of no lxcfs."""
    bound = "812 22 8:1 /tmp/meminfo /proc/meminfo rw - ext4 /dev/sda1 rw\n"
    assert a_machine(tmp_path, arc_gib=15, least_gib=1, mounted=bound)["ram_percent"] == pytest.approx(29.4, abs=0.1)


def test_cpu_is_since_the_last_call() -> None:
    """A busy half second on one core shows; the range is 0–100."""
    host.cpu()
    _be_busy()
    assert 50 / (os.cpu_count() or 1) < host.cpu()["cpu_percent"] <= 100


FIRST = """
import time
from heartbeatd.probes import host
until_s = time.monotonic() + 0.5
while time.monotonic() < until_s:
    pass
print(host.cpu()["cpu_percent"])
"""


def test_the_first_call_is_since_the_start() -> None:
    """A process that was busy from its start sees that in its first cycle."""
    done = run_python("-c", FIRST)
    assert float(done.stdout) > 50 / (os.cpu_count() or 1), done.stderr


def _be_busy() -> None:
    until_s = time.monotonic() + 0.5
    while time.monotonic() < until_s:
        pass


def test_the_disk_is_that_of_df() -> None:
    """The root filesystem, as statvfs counts it, without what is reserved for root."""
    found = os.statvfs("/")
    used = found.f_blocks - found.f_bfree
    assert disks.usage()["disk_percent"] == pytest.approx(100 * used / (used + found.f_bavail), abs=0.5)


def test_a_path_that_cannot_be_measured_has_failed() -> None:
    """Unknown, with the reason, and no exception."""
    row = Probe("disk", EACH_CYCLE, 0, at_once(lambda: disks.usage("/there/is/no/such/path")))
    sample = Probes((row,)).collect(lambda: 0, CancelToken())
    assert sample.disk_percent is None
    (report,) = sample.reports
    assert report.status is ProbeStatus.FAILED
    assert "No such file" in report.detail
