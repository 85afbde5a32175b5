"""What happened while the agent did not run: a planned stop, a shutdown, a crash and a power cut are told apart.

Theory of operation. Three witnesses are heard. The database has the last row, the boot id (sd_id128_get_boot(3)) of the run
that wrote it, and whether that run ended as it should. What `ExecStopPost=` left (`ExitRecord`) has systemd's verdict on that
end, `$SERVICE_RESULT`, and whether the whole system was going down; a power cut leaves none. And this boot has an id of its own.

How long it was is told by the wall clock, once that can be believed. A machine without a battery clock boots with the time
at which it was switched off, or with one years ago, until a time server steps its clock: judged before that, an outage of hours
would be one of seconds. So after a boot one of these is waited for: something that vouches for the clock (a time server that
has synchronised it, a hardware clock that agrees with it), a step of the clock, or the end of `PATIENCE_NS`. The end of the gap
is the first cycle, by the clock as it is when it is believed. Where the kernel has not been started again since, its own clock
has run on, which nobody can set: that one tells the length, and unless the wall clock was set meanwhile there is nothing to
wait for.
"""

from dataclasses import dataclass
from enum import StrEnum

from heartbeatd.core.schedule import NS_PER_S, STEP_NS

PATIENCE_NS = 600 * NS_PER_S


class GapKind(StrEnum):
    """Why there are no rows, in the words an alert gives as the cause."""

    STOPPED = "stopped"
    SHUTDOWN = "shutdown"
    CRASH = "crash"
    FAILURE = "failure"
    POWER = "power loss or crash"


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """What systemd said when the run ended (systemd.exec(5)): `result` is `success`, `watchdog`, `oom-kill`, `exit-code` …

    `was_watching`: it had finished a cycle.
    """

    boot_id: str
    result: str
    exit_status: str = ""
    system_stopping: bool = False
    was_watching: bool = False

    @property
    def asked_for(self) -> bool:
        """True if it was told to stop, even if it then could not end in time, as on a frozen filesystem."""
        return self.result == "success" or (self.result == "timeout" and self.was_watching)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the agent, as the database knows it: when its last row was sampled, and whether it ended in good order.

    `booted_ns` is what its wall clock would have shown at boot time 0, or None if it noted no such thing.
    """

    boot_id: str
    last_row_ns: int | None
    ended: bool
    booted_ns: int | None = None


@dataclass(slots=True)
class PreviousRun:
    """What is known of the run before this one; `run` is None where there was none, and once its gap has been told.

    `began_boot_ns` is when the first cycle of this one sampled (boot-time clock), and `stepped` whether the wall clock was since.
    `failure_told` says that somebody was told that the agent does not run: it is then also told that it is back.
    """

    boot_id: str
    run: Run | None = None
    ending: ExitRecord | None = None
    began_boot_ns: int | None = None
    stepped: bool = False
    failure_told: bool = False


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


@dataclass(frozen=True, slots=True)
class Now:
    """This moment by the wall clock and by the boot-time clock; `vouched`: something says that the wall clock is right."""

    wall_ns: int
    boot_ns: int
    vouched: bool = False

    @property
    def booted_ns(self) -> int:
        """What this wall clock would have shown at boot time 0."""
        return self.wall_ns - self.boot_ns


def classify_gap(before: PreviousRun, now: Now) -> Gap | None:
    """The gap before this run; None as long as it cannot be told, and where there is none to tell.

    From 10:00:00 to 10:00:04 by a clock that nobody vouches for, and that is then stepped by 3 h: None; after the step 3 h 4 s.
    """
    run, began_boot_ns = before.run, before.began_boot_ns
    if run is None or run.last_row_ns is None or began_boot_ns is None:
        return None
    until_ns = now.wall_ns - (now.boot_ns - began_boot_ns)
    waited = now.boot_ns - began_boot_ns >= PATIENCE_NS
    if not (_clock_runs_on(run, before.boot_id, now) or now.vouched or before.stepped or waited):
        return None
    last_boot_ns = _same_kernels_last_row(run, before.boot_id, began_boot_ns, now)
    since_ns = run.last_row_ns if last_boot_ns is None else until_ns - (began_boot_ns - last_boot_ns)
    if until_ns < since_ns:
        return None
    kind, result = _kind(run, before.ending, before.boot_id)
    if before.failure_told:
        kind = GapKind.FAILURE
    return Gap(kind, since_ns, until_ns, result)


def cannot_be_told(before: PreviousRun, now: Now) -> bool:
    """True if the last row is later than a clock that is right: its run had one that was ahead, so the length is unknown."""
    run = before.run
    return run is not None and run.last_row_ns is not None and now.vouched and run.last_row_ns > now.wall_ns


def _clock_runs_on(run: Run, boot_id: str, now: Now) -> bool:
    """True if the kernel has not been started again since, and nobody has set the wall clock: it is as right as it was."""
    if run.booted_ns is None:  # an earlier version did not note it
        return run.boot_id == boot_id
    return abs(now.booted_ns - run.booted_ns) < STEP_NS


def _same_kernels_last_row(run: Run, boot_id: str, began_boot_ns: int, now: Now) -> int | None:
    """When the last row was sampled, on the boot-time clock, if the kernel has not been started again since.

    A container that is booted again has another boot id, but the kernel's boot-time clock and the wall clock run on together.
    """
    if run.booted_ns is None or run.last_row_ns is None:
        return None
    last_boot_ns = run.last_row_ns - run.booted_ns
    same = run.boot_id == boot_id or _clock_runs_on(run, boot_id, now)
    return last_boot_ns if same and 0 <= last_boot_ns <= began_boot_ns else None


def _kind(run: Run, ending: ExitRecord | None, boot_id: str) -> tuple[GapKind, str]:
    if ending is not None and ending.boot_id == run.boot_id:
        if ending.asked_for:
            return (GapKind.SHUTDOWN if ending.system_stopping else GapKind.STOPPED), ""
        status = f" {ending.exit_status}" if ending.result == "exit-code" else ""
        return GapKind.CRASH, f"{ending.result}{status}"
    if run.ended:
        return GapKind.STOPPED, ""
    return (GapKind.CRASH if run.boot_id == boot_id else GapKind.POWER), ""
