"""What is read about once a minute: filesystems, swap, load, stalls, temperatures."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from heartbeatd.core.metrics import Series
from heartbeatd.core.sample import NoData, ProbeError
from heartbeatd.probes import host
from heartbeatd.probes.filesystems import LocalFilesystems, NetworkMount, usage
from heartbeatd.probes.pressure import stalls
from heartbeatd.probes.temperatures import require_sensors, temperatures


def a_table(folder: Path, *lines: str) -> Path:
    """A table of mounts with these lines, which have `point`, `device`, `kind`, and the filesystem's options."""
    file = folder / "mountinfo"
    mounts = [line.split() for line in lines]
    file.write_text("".join(f"{n} 0 {m[1]} / {m[0]} rw - {m[2]} none {m[3]}\n" for n, m in enumerate(mounts, 1)))
    return file


def device(path: Path) -> str:
    found = path.stat().st_dev
    return f"{os.major(found)}:{os.minor(found)}"


def a_disk(path: Path) -> str:
    """Device and type of a local filesystem there. Where there is no device, as in most containers, it is one that has none."""
    found = device(path)
    return f"{found} {'btrfs' if found.startswith('0:') else 'ext4'}"


def labels(values: Mapping[Series, float]) -> set[str]:
    return {series.label for series in values}


def test_usage_is_that_of_df(tmp_path: Path) -> None:
    """Of what is there for users, without what is reserved for root; and of all inodes."""
    found = os.statvfs(tmp_path)
    values = usage(str(tmp_path))
    used = found.f_blocks - found.f_bfree
    space = values[Series("disk_used_percent", str(tmp_path))]
    assert space == pytest.approx(100 * used / (used + found.f_bavail), abs=0.5)
    if found.f_files:
        inodes = 100 * (found.f_files - found.f_ffree) / found.f_files
        assert values[Series("disk_inodes_percent", str(tmp_path))] == pytest.approx(inodes, abs=0.5)


def test_what_has_no_size_has_no_series() -> None:
    """/proc has neither blocks nor inodes."""
    assert usage("/proc") == {}


def test_local_filesystems_are_looked_at_by_their_mount_points(tmp_path: Path) -> None:
    """One that is not there, or is not what is there, takes nothing from the others."""
    table = a_table(
        tmp_path,
        f"{tmp_path} {a_disk(tmp_path)} rw",
        "/there/is/none 8:99 ext4 rw",
        "/proc 8:98 ext4 rw",
        "/dev/null 8:97 xfs rw",
    )
    assert labels(LocalFilesystems(table).read()) == {str(tmp_path)}


def test_a_mount_that_comes_or_goes_is_seen_at_the_next_reading(tmp_path: Path) -> None:
    """Without a restart or reload."""
    table = a_table(tmp_path, f"{tmp_path} {a_disk(tmp_path)} rw")
    reader = LocalFilesystems(table)
    assert labels(reader.read()) == {str(tmp_path)}
    a_table(tmp_path, "/proc 0:20 proc rw")
    with pytest.raises(NoData, match="no local filesystem"):
        reader.read()
    a_table(tmp_path, f"{tmp_path} {a_disk(tmp_path)} rw")
    assert labels(reader.read()) == {str(tmp_path)}


def test_what_is_meant_to_be_read_only_is_left_out(tmp_path: Path) -> None:
    """It is as full as it will ever be. One that has become so by an error is looked at on: fstab has it without `ro`."""
    table = a_table(tmp_path, f"{tmp_path} {a_disk(tmp_path)} ro,errors=remount-ro")
    fstab = tmp_path / "fstab"
    with pytest.raises(NoData):
        LocalFilesystems(table, fstab).read()
    fstab.write_text(f"/dev/sdb1 {tmp_path} ext4 defaults,ro 0 2\n")
    with pytest.raises(NoData):
        LocalFilesystems(table, fstab).read()
    fstab.write_text(f"/dev/sdb1 {tmp_path} ext4 errors=remount-ro 0 2\n")
    assert labels(LocalFilesystems(table, fstab).read()) == {str(tmp_path)}


def test_if_none_can_be_asked_it_has_failed(tmp_path: Path) -> None:
    """There are some, so it is not that there is no data."""
    with pytest.raises(ProbeError, match="/there/is/none: No such file or directory"):
        LocalFilesystems(a_table(tmp_path, "/there/is/none 8:99 ext4 rw")).read()


def test_datasets_of_zfs_have_no_inodes_to_run_out_of(tmp_path: Path) -> None:
    """What it says is how many would fit into the space that is left."""
    values = LocalFilesystems(a_table(tmp_path, f"{tmp_path} 0:99 zfs rw")).read()
    assert {series.metric for series in values} == {"disk_used_percent", "disk_read_only"}


def test_one_that_becomes_read_only_is_looked_at_on(tmp_path: Path) -> None:
    """Also where fstab says nothing of it; what is mounted in its place is another."""
    table = a_table(tmp_path, f"{tmp_path} {a_disk(tmp_path)} rw")
    reader, series = LocalFilesystems(table, tmp_path / "none"), Series("disk_read_only", str(tmp_path))
    assert reader.read()[series] == 0
    a_table(tmp_path, f"{tmp_path} {a_disk(tmp_path)} ro")
    assert reader.read()[series] == 1
    a_table(tmp_path, f"{tmp_path} {a_disk(tmp_path)} rw")
    assert reader.read()[series] == 0
    a_table(tmp_path, f"{tmp_path} 0:77 zfs ro")
    with pytest.raises(NoData):
        reader.read()


def test_a_network_mount_is_looked_at_while_it_is_mounted(tmp_path: Path) -> None:
    """Else it would be the folder below it."""
    point = str(tmp_path)
    assert labels(NetworkMount(point, a_table(tmp_path, f"{point} 0:45 nfs4 rw")).read()) == {point}
    with pytest.raises(NoData, match=f"nothing is mounted on {point}"):
        NetworkMount(point, a_table(tmp_path, "/elsewhere 0:45 nfs4 rw")).read()
    with pytest.raises(ProbeError, match="/there/is/none: No such file"):
        NetworkMount("/there/is/none", a_table(tmp_path, "/there/is/none 0:45 nfs4 rw")).read()


MEMINFO = "MemTotal: 8010228 kB\nSwapCached: 12 kB\nSwapTotal: {total} kB\nSwapFree: {free} kB\n"


def test_swap_in_use(tmp_path: Path) -> None:
    """As /proc/meminfo has it; without any there is no data."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(MEMINFO.format(total=1000, free=250))
    assert host.swap(meminfo) == {Series("swap_percent"): 75.0}
    for none in (MEMINFO.format(total=0, free=0), ""):
        meminfo.write_text(none)
        with pytest.raises(NoData, match="no swap"):
            host.swap(meminfo)


def test_the_load_is_that_of_each_core() -> None:
    """As uptime(1) has it for 5 minutes, divided by the cores."""
    expected = float(Path("/proc/loadavg").read_text().split()[1]) / (os.cpu_count() or 1)
    assert host.load()[Series("load_per_core")] == pytest.approx(expected, abs=0.5)


MEMORY = "some avg10=0.00 avg60=1.23 avg300=0.40 total=3129\nfull avg10=0.00 avg60=0.75 avg300=0.10 total=2011\n"
IO = "some avg10=9.17 avg60=21.31 avg300=8.20 total=884\nfull avg10=7.00 avg60=17.50 avg300=7.10 total=761\n"


def test_stalls_of_a_minute(tmp_path: Path) -> None:
    """The share of time in which no task could go on."""
    (tmp_path / "memory").write_text(MEMORY)
    (tmp_path / "io").write_text(IO)
    assert stalls(tmp_path) == {Series("memory_stall_percent"): 0.75, Series("io_stall_percent"): 17.5}


def test_a_kernel_that_counts_no_stalls(tmp_path: Path) -> None:
    """No data without the files; what is there and cannot be understood has failed."""
    with pytest.raises(NoData, match="does not count"):
        stalls(tmp_path)
    (tmp_path / "memory").write_text("some avg10=0.00\n")
    with pytest.raises(ProbeError, match="no line that begins with full"):
        stalls(tmp_path)


def a_sensor(sys_class: Path, folder: str, kind: str, *thousandths: str) -> None:
    sensor = sys_class / "hwmon" / folder
    sensor.mkdir(parents=True)
    (sensor / "name").write_text(f"{kind}\n")
    for number, value in enumerate(thousandths, 1):
        (sensor / f"temp{number}_input").write_text(f"{value}\n")
        (sensor / f"temp{number}_label").write_text(f"Core {number}\n")


def test_the_hottest_of_each_kind_of_sensor(tmp_path: Path) -> None:
    """Sensors that are not connected, or say nothing that can be, are left out."""
    a_sensor(tmp_path, "hwmon0", "coretemp", "51000", "63500", "49000")
    a_sensor(tmp_path, "hwmon1", "nvme", "38850")
    a_sensor(tmp_path, "hwmon2", "nvme", "44850", "-273150", "215000")
    a_sensor(tmp_path, "hwmon3", "acpitz", "0", "", "hot")
    found = temperatures(tmp_path)
    assert found == {Series("temperature_celsius", "coretemp"): 63.5, Series("temperature_celsius", "nvme"): 44.85}


def test_a_board_with_thermal_zones_alone(tmp_path: Path) -> None:
    """Some have no hwmon; where there is one, zones would be the same sensors once more."""
    zone = tmp_path / "thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("47236\n")
    assert temperatures(tmp_path) == {Series("temperature_celsius", "cpu-thermal"): 47.236}
    a_sensor(tmp_path, "hwmon0", "cpu_thermal", "47000")
    assert temperatures(tmp_path) == {Series("temperature_celsius", "cpu_thermal"): 47.0}


def test_without_any_sensor_there_is_no_data(tmp_path: Path) -> None:
    """As on most virtual machines."""
    for read in (require_sensors, temperatures):
        with pytest.raises(NoData, match="no sensor"):
            read(tmp_path)
    a_sensor(tmp_path, "hwmon0", "acpitz", "0")
    require_sensors(tmp_path)


@pytest.mark.parametrize("read", [LocalFilesystems().read, host.swap, host.load, stalls, temperatures])
def test_this_machine_has_values_or_no_data(read: Callable[[], Mapping[Series, float]]) -> None:
    """Whatever is beneath the tests."""
    with suppress(NoData):
        assert all(value >= 0 for value in read().values())
