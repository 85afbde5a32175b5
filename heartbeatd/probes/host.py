"""CPU and memory, from psutil; swap and load, from the kernel."""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psutil

from heartbeatd.core.metrics import Series
from heartbeatd.core.sample import NoData

MB_BYTES = 1024 * 1024
_SWAP = re.compile(rb"^Swap(Total|Free): +(\d+) kB$", re.MULTILINE)


def cpu() -> Mapping[str, float]:
    """CPU use of the whole host since the last call, 0–100. The first call of a process says it since psutil was loaded."""
    return {"cpu_percent": float(psutil.cpu_percent(interval=None))}


def memory(proc: Path = Path("/proc"), container: Path = Path("/run/systemd/container")) -> Mapping[str, float]:
    """RAM in use, as `free` and psutil count it, less what ZFS would give back of its cache (ARC), which they count as used."""
    found = psutil.virtual_memory()
    spare_bytes = _zfs_spare_bytes(proc / "spl/kstat/zfs/arcstats")
    if spare_bytes and not _is_lxc(proc / "self/mountinfo", container):
        available_bytes = min(found.total, found.available + spare_bytes)
        percent = round(100 * (found.total - available_bytes) / found.total, 1)
        return {"ram_percent": percent, "ram_used_mb": max(0, found.used - spare_bytes) / MB_BYTES}
    return {"ram_percent": float(found.percent), "ram_used_mb": found.used / MB_BYTES}


def swap(meminfo: Path = Path("/proc/meminfo")) -> Mapping[Series, float]:
    """Swap in use in percent. Raises NoData if there is none."""
    found = dict(_SWAP.findall(meminfo.read_bytes()))
    total, free = int(found.get(b"Total", 0)), int(found.get(b"Free", 0))
    if not total:
        raise NoData("there is no swap")
    return {Series("swap_percent"): round(100 * (total - free) / total, 1)}


def load() -> Mapping[Series, float]:
    """The average of the last 5 minutes for each core."""
    return {Series("load_per_core"): round(os.getloadavg()[1] / (os.cpu_count() or 1), 2)}


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
