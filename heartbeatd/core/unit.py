"""A unit of systemd that has failed, and which are told of."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from heartbeatd.core.subject import Severity

OURS = ("heartbeatd.*", "heartbeatd-*")


@dataclass(frozen=True, slots=True)
class FailedUnit:
    """`result` is systemd's word for why (systemd.service(5), $SERVICE_RESULT), `status` an exit status or a signal's number."""

    name: str
    result: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class WatchedUnits:
    """Names, or patterns as a shell's, of units that are told of when they fail, less those in `ignored`; and how bad that is."""

    names: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    severity: Severity = Severity.WARNING

    def has(self, name: str) -> bool:
        """True if it is told of. Our own are not: what their failure means is told in other ways, or was."""
        return _fits(name, self.names) and not _fits(name, self.ignored) and not _fits(name, OURS)


NO_UNITS = WatchedUnits()


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
