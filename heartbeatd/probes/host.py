"""CPU, memory and the root filesystem, from psutil."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from heartbeatd.cancel import CancelToken, Future, SerialWorker

MB_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """RAM in use: percent of all, and MB of 1024² bytes."""

    percent: float
    used_mb: float


def cpu_percent() -> float:
    """CPU use of the whole host since the last call, 0–100. The first call of a process only sets the mark."""
    return float(psutil.cpu_percent(interval=None))


def memory(proc: Path = Path("/proc"), container: Path = Path("/run/systemd/container")) -> Memory:
    """RAM in use, as `free` and psutil count it, less what ZFS would give back of its cache (ARC), which they count as used."""
    found = psutil.virtual_memory()
    spare_bytes = _zfs_spare_bytes(proc / "spl/kstat/zfs/arcstats")
    if spare_bytes and not _is_lxc(proc / "self/mountinfo", container):
        available_bytes = min(found.total, found.available + spare_bytes)
        percent = round(100 * (found.total - available_bytes) / found.total, 1)
        return Memory(percent, max(0, found.used - spare_bytes) / MB_BYTES)
    return Memory(percent=float(found.percent), used_mb=found.used / MB_BYTES)


def _zfs_spare_bytes(arcstats: Path) -> int:
    """What ZFS would give back of its cache if others needed it: all above its least size. 0 without ZFS.

    A line is `name type value`, e.g. `size 4 16106127360`.
    """
    try:
        words = [line.split() for line in arcstats.read_text(encoding="ascii", errors="replace").splitlines()]
        stats = {line[0]: int(line[2]) for line in words if len(line) == 3 and line[0] in ("size", "c_min")}
        return max(0, stats["size"] - stats["c_min"])
    except (OSError, LookupError, ValueError):
        return 0


@cache
def _is_lxc(mountinfo: Path, container: Path) -> bool:
    """True in a container of LXC, whose /proc/meminfo is its own (lxcfs), while ZFS's figures are the whole machine's."""
    try:
        if container.read_text(encoding="ascii", errors="replace").strip().startswith("lxc"):
            return True
    except OSError:
        pass  # no container that systemd knows of
    try:
        mounts = [line.split() for line in mountinfo.read_text(errors="replace").splitlines()]
    except OSError:
        return False
    # proc(5): the fifth field is the mount point, and the file system's type comes after a field that is a hyphen.
    return any(m[4] == "/proc/meminfo" and m[m.index("-") + 1].startswith("fuse") for m in mounts if "-" in m[5:])


class Disk:
    """The root filesystem. statvfs(3) on a dead mount never comes back, so it is asked on a lane."""

    def __init__(self, lane: SerialWorker, path: str = "/") -> None:
        self._lane, self._path = lane, path

    def start(self, deadline_ns: int, waiter: CancelToken) -> Future[float]:
        """Begin to measure; the outcome is the percentage in use, as `df` counts it. Raises Hung."""
        return self._lane.start(lambda: float(psutil.disk_usage(self._path).percent), deadline_ns, waiter)
