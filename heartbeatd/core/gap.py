"""What happened while the agent did not run: a planned stop, a shutdown, a crash and a power cut are told apart.

Theory of operation. Three witnesses are heard. The database has the last row, the boot id (sd_id128_get_boot(3)) of the run
that wrote it, and whether that run ended as it should. What `ExecStopPost=` left (`Ending`) has systemd's verdict on that end,
`$SERVICE_RESULT`, and whether the whole system was going down; a power cut leaves none. And this boot has an id of its own.
"""

from dataclasses import dataclass
from enum import StrEnum

from heartbeatd.core.schedule import NS_PER_S


class GapKind(StrEnum):
    """Why there are no rows, in the words an alert gives as the cause."""

    STOPPED = "stopped"
    SHUTDOWN = "shutdown"
    CRASH = "crash"
    POWER = "power loss or crash"


@dataclass(frozen=True, slots=True)
class Ending:
    """What systemd said when the run ended (systemd.exec(5)): `result` is `success`, `watchdog`, `oom-kill`, `exit-code` …"""

    boot_id: str
    result: str
    exit_status: str = ""
    system_stopping: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the agent, as the database knows it: when its last row was sampled, and whether it ended in good order."""

    boot_id: str
    last_row_ns: int | None
    ended: bool


@dataclass(slots=True)
class Before:
    """What is known of the run before this one; `run` is None where there was none, and once its gap has been told."""

    boot_id: str
    run: Run | None = None
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """From the last row to now there was nothing. `result` says more about a crash, in systemd's word."""

    kind: GapKind
    since_ns: int
    until_ns: int
    result: str = ""

    @property
    def duration_s(self) -> float:
        """How long it was."""
        return (self.until_ns - self.since_ns) / NS_PER_S


def judge(run: Run, ending: Ending | None, boot_id: str, now_ns: int) -> Gap | None:
    """The gap since `run`; None if it left no row, or if the clock is not back at that time yet (a machine without RTC)."""
    if run.last_row_ns is None or now_ns < run.last_row_ns:
        return None
    kind, result = _kind(run, ending, boot_id)
    return Gap(kind, run.last_row_ns, now_ns, result)


def _kind(run: Run, ending: Ending | None, boot_id: str) -> tuple[GapKind, str]:
    if ending is not None and ending.boot_id == run.boot_id:
        if ending.result == "success":
            return (GapKind.SHUTDOWN if ending.system_stopping else GapKind.STOPPED), ""
        status = f" {ending.exit_status}" if ending.result == "exit-code" else ""
        return GapKind.CRASH, f"{ending.result}{status}"
    if run.ended:
        return GapKind.STOPPED, ""
    return (GapKind.CRASH if run.boot_id == boot_id else GapKind.POWER), ""
