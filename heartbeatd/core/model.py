"""The nouns: what is looked at, what the Worker answered, what is remembered.

Names carry their units. `None` means unknown everywhere: a value that could not be read is never guessed or repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class WorkerState(StrEnum):
    """What the Worker's last answer, or its silence, says about it."""

    OK = "ok"
    DEGRADED = "degraded"
    REJECTED = "rejected"
    ERROR = "error"
    UNREACHABLE = "unreachable"

    @property
    def good(self) -> bool:
        """True for the one state in which nobody needs to be told anything."""
        return self is WorkerState.OK


class Cause(StrEnum):
    """Why no answer came back."""

    NO_INTERNET = "no internet"
    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TLS = "tls"
    RESET = "reset"
    PROTOCOL = "protocol"


class ProbeStatus(StrEnum):
    """How a probe's reading stands: there, nothing there to read, not asked for, or there but unreadable."""

    READ = "read"
    ABSENT = "absent"
    OFF = "off"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What one probe has to say beside its value, for the log: said when it changes, not each cycle."""

    probe: str
    presence: ProbeStatus
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the probes saw in one cycle."""

    taken_ns: int  # wall clock, ns since the epoch
    cpu_percent: float | None = None
    ram_percent: float | None = None
    ram_used_mb: float | None = None  # MB of 1024² bytes
    disk_percent: float | None = None
    container_count: int | None = None
    internet_ok: bool | None = None
    ping_ms: float | None = None
    internet_detail: str = ""  # why the internet check failed; "" when it passed or did not run
    notes: tuple[ProbeReport, ...] = ()

    def presence(self, probe: str) -> ProbeStatus | None:
        """How this probe's reading stands; None if there is no such probe."""
        return next((note.presence for note in self.notes if note.probe == probe), None)


@dataclass(frozen=True, slots=True)
class HeartbeatResult:
    """The outcome of one heartbeat: a status, or the cause of having none."""

    status: int | None
    cause: Cause | None = None
    detail: str = ""
    took_ms: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)  # of the answer, those of `net.answer.EXPLAINING`


@dataclass(frozen=True, slots=True)
class Row:
    """One line of table `metrics`, its columns in order. The database and its readers depend on these names."""

    id: str
    timestamp_lima: str
    cpu_percent: float | None
    ram_percent: float | None
    ram_used_mb: float | None
    disk_percent: float | None
    container_count: int | None
    internet_ok: int | None
    ping_ms: float | None
    worker_status: int | None
    cycle_duration_ms: float


@dataclass(frozen=True, slots=True)
class Observation:
    """The Worker as one cycle found it; `detail` says what that means, `advice`, in whole sentences, what to do about it."""

    state: WorkerState
    at_ns: int
    status: int | None = None
    cause: Cause | None = None
    detail: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class AlertState:
    """What has been announced, and what is building up against it. Kept in the database.

    `untold` is the state that enough cycles agreed on, since `untold_since_ns`, where it is another than the announced one: while
    the Worker is flapping. `changes_ns` are the moments of the last hour at which its state changed, announced or not. `streak`
    counts the latest consecutive cycles at odds with it, `streak_since_ns` is the first of them, `streak_state` what the latest
    saw. `problem_since_ns` is when the Worker was last seen to leave `ok`, or None while `ok` is announced.
    """

    announced: WorkerState
    since_ns: int
    cause: Cause | None = None
    problem_since_ns: int | None = None
    streak: int = 0
    streak_state: WorkerState | None = None
    streak_since_ns: int | None = None
    untold: WorkerState | None = None
    untold_since_ns: int | None = None
    changes_ns: tuple[int, ...] = ()

    @property
    def current(self) -> WorkerState:
        """The state that enough cycles agreed on last."""
        return self.announced if self.untold is None else self.untold


class Event(StrEnum):
    """The kinds of alert."""

    PROBLEM = "problem"
    CHANGE = "change"
    RECOVERY = "recovery"
    GAP = "gap"
    FAILURE = "failure"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Announcement:
    """One announcement that is due: the Worker went from `previous` to `current`, since `since_ns`."""

    event: Event
    previous: WorkerState
    current: WorkerState
    previous_cause: Cause | None
    since_ns: int
    at_ns: int
    status: int | None
    cause: Cause | None
    detail: str
    duration_s: float | None  # on recovery: how long the Worker was not ok
    advice: str = ""
    flapping: int = 0  # how often it changed within an hour, if that is too often to tell each time


@dataclass(frozen=True, slots=True)
class Alert:
    """One message in the queue. `body` is the JSON text of what is sent, less what only the moment of sending knows.

    Its moments are by the wall clock of the boot `boot_id`, which would have shown `booted_ns` at boot time 0.
    """

    event_id: str
    queued_ns: int
    body: str
    attempts: int = 0
    boot_id: str | None = None
    booted_ns: int | None = None
