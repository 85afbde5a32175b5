"""What has a state, and how it was found: the same for the Worker and for whatever else is watched."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from heartbeatd.core.locale import Sentence

# The one state, of every subject, in which nobody needs to be told anything.
OK = "ok"
GONE = "gone"  # the reason why something is ok that was not: it is not there, or not watched, any more


class Severity(StrEnum):
    """How bad a state is, in Nagios' words."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


RANKS: Mapping[str, int] = {severity: rank for rank, severity in enumerate(Severity)}  # from good to bad


@dataclass(frozen=True, slots=True)
class Subject:
    """E.g. `worker`, `disk:/srv`, `container:web`. Its text is the key of table `alert_state` and stands in alerts.

    What is no Unicode, as a name on a disk may be, becomes `?`: neither the database nor a channel takes it.
    """

    kind: str
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name.isascii():
            object.__setattr__(self, "name", self.name.encode(errors="replace").decode())

    @classmethod
    def parse(cls, text: str) -> Self:
        """`disk:/srv` → kind `disk`, name `/srv`."""
        kind, _, name = text.partition(":")
        return cls(kind, name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class Observation:
    """A subject's state as one cycle found it.

    `state` is one of the words of its kind, `OK` among them; `value` is the measure behind it (of the Worker: the HTTP status)
    and `reason` a word for why; `detail` says what that means, `hints` what to do about it. `limit` is what a
    `value` that is bad was held against.
    """

    subject: Subject
    state: str
    severity: Severity
    at_ns: int
    value: float | None = None
    reason: str | None = None
    detail: str = ""
    hints: tuple[Sentence, ...] = ()
    limit: float | None = None

    @property
    def ok(self) -> bool:
        return self.state == OK


def gone(subject: Subject, at_ns: int) -> Observation:
    """It was bad, and is not there, or not watched, any more."""
    return Observation(subject, OK, Severity.OK, at_ns, reason=GONE)
