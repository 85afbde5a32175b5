"""One look at everything: what may hang is started side by side, the rest is read meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

from heartbeatd.cancel import CancelToken, seconds_from_now
from heartbeatd.core.sample import Sample
from heartbeatd.probes import base, host
from heartbeatd.probes.containers import Containers
from heartbeatd.probes.host import Disk
from heartbeatd.probes.internet import Internet, Ping


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds each probe may take."""

    internet_s: float
    docker_s: float
    disk_s: float


class Probes:
    """All the probes of one configuration."""

    def __init__(self, disk: Disk, containers: Containers, internet: Internet, timeouts: Timeouts) -> None:
        self._disk, self._containers, self._internet, self._timeouts = disk, containers, internet, timeouts

    def prepare(self) -> None:
        """Set the mark that CPU use is measured from."""
        host.cpu_percent()

    def collect(self, now: Callable[[], int], waiter: CancelToken) -> Sample:
        """What is there to see. Takes no longer than the longest deadline."""
        limits = self._timeouts
        taken_ns = now()
        cpu = base.attempt("cpu", host.cpu_percent)
        memory = base.attempt("memory", host.memory)
        containers = base.begin("containers", lambda: self._containers.start(seconds_from_now(limits.docker_s), waiter))
        disk = base.begin("disk", lambda: self._disk.start(seconds_from_now(limits.disk_s), waiter))
        pinged = base.attempt("internet", lambda: self._internet.check(limits.internet_s, waiter))
        used, counted = disk(), containers()
        ping = pinged.value or Ping(False, None)
        return Sample(
            taken_ns=taken_ns,
            cpu_percent=cpu.value,
            ram_percent=memory.value.percent if memory.value else None,
            ram_used_mb=memory.value.used_mb if memory.value else None,
            disk_percent=used.value,
            container_count=counted.value,
            internet_ok=ping.ok if pinged.value else None,
            ping_ms=ping.ms,
            internet_detail=ping.detail,
            reports=tuple(r.report for r in (cpu, memory, used, counted, pinged)),
        )
