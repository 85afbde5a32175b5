"""A clock that a test sets."""

from dataclasses import dataclass

from heartbeatd.core.schedule import NS_PER_S

NOW_NS = 1_795_540_060 * NS_PER_S  # 2026-11-24T17:07:40Z


@dataclass
class HandSet:
    """It shows what it is told, ten minutes after boot. `time_server`: somebody vouches for it."""

    wall_ns: int = NOW_NS
    boot_ns: int = 600 * NS_PER_S
    time_server: bool = False

    def now_ns(self) -> int:
        return self.wall_ns

    def monotonic_ns(self) -> int:
        return self.boot_ns

    def boottime_ns(self) -> int:
        return self.boot_ns

    def vouched(self) -> bool:
        return self.time_server

    def pass_s(self, seconds: float) -> None:
        """Time goes by."""
        self.wall_ns += round(seconds * NS_PER_S)
        self.boot_ns += round(seconds * NS_PER_S)

    def boot(self, *, after_s: float, resumed: bool) -> None:
        """The machine is off for so long, and is up for 20 s; the clock goes on where it stood, or was kept by a battery."""
        self.wall_ns += (0 if resumed else round(after_s * NS_PER_S)) + 20 * NS_PER_S
        self.boot_ns = 20 * NS_PER_S
