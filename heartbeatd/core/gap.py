"""What happened while the agent did not run: a planned stop, a shutdown, a crash and a power cut are told apart.

Theory of operation. Three witnesses are heard. The database has the last row, the boot id (sd_id128_get_boot(3)) of the run
that wrote it, and whether that run ended as it should. What `ExecStopPost=` left (`ExitRecord`) has systemd's verdict on that
end, `$SERVICE_RESULT`, and whether the whole system was going down; a power cut leaves none. And this boot has an id of its own.
All three are heard at the first cycle after the gap, for the next run will find others; what they say is kept (`Resumption`).

How long it was is told by the wall clock, once that can be believed. A machine without a battery clock boots with the time
at which it was switched off, or with one years ago, until a time server steps its clock: judged before that, an outage of hours
would be one of seconds. So after a boot one of these is waited for: something that vouches for the clock (a time server that
has synchronised it, a hardware clock that agrees with it), a step of the clock, or the end of `PATIENCE_NS`. The end of the gap
is the first cycle, by the clock as it is when it is believed. Where the kernel has not been started again since, its own clock
has run on, which nobody can set: that one tells the length, and unless the wall clock was set meanwhile there is nothing to
wait for.

A gap that has to wait outlives the agent: the database has it until it is told. If the agent alone is started again, the gap
ends where it ended, and the short one after it is a gap of its own. If the system is started again too, nothing that was stored
in between has a time to be believed, nor has the end: the gap goes on until now.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from heartbeatd.core.schedule import NS_PER_S, STEP_NS
from heartbeatd.core.subject import Subject

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


@dataclass(frozen=True, slots=True)
class Start:
    """What a run finds at its start: this boot's id, and what was left of the end before.

    `failure_told` says that somebody was told that the agent does not run: it is then also told that it is back.
    """

    boot_id: str
    ending: ExitRecord | None = None
    failure_told: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """From the last row to now there was nothing. `result` says more about a crash, in systemd's word."""

    kind: GapKind
    since_ns: int
    until_ns: int
    result: str = ""

    @property
    def subject(self) -> Subject:
        """Who stood still: the host, or the agent alone."""
        return Subject("host" if self.kind in (GapKind.SHUTDOWN, GapKind.POWER) else "agent")

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


@dataclass(frozen=True, slots=True)
class Resumption:
    """The first cycle after a gap: in which boot, and when on its boot-time clock; `booted_ns` is what the wall clock would have
    shown at boot time 0. And why the run before had ended.
    """

    boot_id: str
    boot_ns: int
    booted_ns: int
    kind: GapKind
    result: str = ""


@dataclass(frozen=True, slots=True)
class UntoldGap:
    """What is known of a gap that nobody was told of: the run before it, and, once there was a cycle again, the end of it."""

    run: Run
    resumed: Resumption | None = None


def resumed(untold: tuple[UntoldGap, ...], start: Start, now: Now) -> tuple[UntoldGap, ...]:
    """`untold`, the oldest first, as a cycle of this run finds them: each has been resumed, in this boot."""
    oldest = untold[0] if untold else None
    if oldest is not None and oldest.resumed is not None and not _goes_on_with(oldest.resumed, start.boot_id, now):
        here = replace(oldest.resumed, boot_id=start.boot_id, boot_ns=now.boot_ns, booted_ns=now.booted_ns)
        return (UntoldGap(oldest.run, here),)
    return tuple(
        UntoldGap(
            gap.run,
            _first_cycle(gap.run, start, now) if gap.resumed is None else replace(gap.resumed, boot_id=start.boot_id),
        )
        for gap in untold
    )


def _first_cycle(run: Run, start: Start, now: Now) -> Resumption:
    kind, result = _kind(run, start.ending, start.boot_id)
    if start.failure_told:
        kind = GapKind.FAILURE
    return Resumption(start.boot_id, now.boot_ns, now.booted_ns, kind, result)


def _goes_on_with(earlier: Resumption, boot_id: str, now: Now) -> bool:
    """True if the boot-time clock of then is that of now; see `_same_kernels_last_row` for a boot of another id."""
    return earlier.boot_id == boot_id or abs(now.booted_ns - earlier.booted_ns) < STEP_NS


def classify_gap(untold: UntoldGap, now: Now) -> Gap | None:
    """The gap as it is told; None as long as it cannot be, and where there is none to tell.

    From 10:00:00 to 10:00:04 by a clock that nobody vouches for, and that is then stepped by 3 h: None; after the step 3 h 4 s.
    """
    run, first = untold.run, untold.resumed
    if run.last_row_ns is None or first is None:
        return None
    until_ns = now.booted_ns + first.boot_ns
    stepped = abs(now.booted_ns - first.booted_ns) >= STEP_NS
    waited = now.boot_ns - first.boot_ns >= PATIENCE_NS
    if not (_clock_runs_on(run, first.boot_id, now) or now.vouched or stepped or waited):
        return None
    last_boot_ns = _same_kernels_last_row(run, first, now)
    since_ns = run.last_row_ns if last_boot_ns is None else until_ns - (first.boot_ns - last_boot_ns)
    if until_ns < since_ns:
        return None
    return Gap(first.kind, since_ns, until_ns, first.result)


def cannot_be_told(untold: UntoldGap, now: Now) -> bool:
    """True if the last row is later than a clock that is right: its run had one that was ahead, so the length is unknown."""
    last_row_ns = untold.run.last_row_ns
    return last_row_ns is not None and now.vouched and last_row_ns > now.wall_ns


def _clock_runs_on(run: Run, boot_id: str, now: Now) -> bool:
    """True if the kernel has not been started again since, and nobody has set the wall clock: it is as right as it was."""
    if run.booted_ns is None:  # an earlier version did not note it
        return run.boot_id == boot_id
    return abs(now.booted_ns - run.booted_ns) < STEP_NS


def _same_kernels_last_row(run: Run, first: Resumption, now: Now) -> int | None:
    """When the last row was sampled, on the boot-time clock, if the kernel has not been started again since.

    A container that is booted again has another boot id, but the kernel's boot-time clock and the wall clock run on together.
    """
    if run.booted_ns is None or run.last_row_ns is None:
        return None
    last_boot_ns = run.last_row_ns - run.booted_ns
    same = run.boot_id == first.boot_id or _clock_runs_on(run, first.boot_id, now)
    return last_boot_ns if same and 0 <= last_boot_ns <= first.boot_ns else None


def _kind(run: Run, ending: ExitRecord | None, boot_id: str) -> tuple[GapKind, str]:
    if ending is not None and ending.boot_id == run.boot_id:
        if ending.asked_for:
            return (GapKind.SHUTDOWN if ending.system_stopping else GapKind.STOPPED), ""
        status = f" {ending.exit_status}" if ending.result == "exit-code" else ""
        return GapKind.CRASH, f"{ending.result}{status}"
    if run.ended:
        return GapKind.STOPPED, ""
    return (GapKind.CRASH if run.boot_id == boot_id else GapKind.POWER), ""
