"""CPU, memory and the root filesystem, from psutil."""

from dataclasses import dataclass

import psutil

from heartbeatd.waiting import Call, Lane, Waiter

MB_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """RAM in use: percent of all, and MB of 1024² bytes."""

    percent: float
    used_mb: float


def cpu_percent() -> float:
    """CPU use of the whole host since the last call, 0–100. The first call of a process only sets the mark."""
    return float(psutil.cpu_percent(interval=None))


def memory() -> Memory:
    """RAM in use, as `free` and psutil count it."""
    found = psutil.virtual_memory()
    return Memory(percent=float(found.percent), used_mb=found.used / MB_BYTES)


class Disk:
    """The root filesystem. statvfs(3) on a dead mount never comes back, so it is asked on a lane."""

    def __init__(self, lane: Lane, path: str = "/") -> None:
        self._lane, self._path = lane, path

    def start(self, deadline_ns: int, waiter: Waiter) -> Call[float]:
        """Begin to measure; the outcome is the percentage in use, as `df` counts it. Raises Hung."""
        return self._lane.start(lambda: float(psutil.disk_usage(self._path).percent), deadline_ns, waiter)
