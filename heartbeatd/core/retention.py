"""What may be forgotten: rows older than the user wants, never one that was taken over too recently; and alerts in the end."""

from dataclasses import dataclass

from heartbeatd.core.moments import lima

NS_PER_DAY = 86_400_000_000_000
# Undelivered alerts: of a webhook that is gone for good the newest are told, should it ever come back.
QUEUE_MOST = 1000


@dataclass(frozen=True, slots=True)
class Takeover:
    """The last row the earlier agent had written (its rowid), and when its database was taken over."""

    rowid: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Keep:
    """At `now_ns` what is younger than so many days is to be kept; 0 keeps for ever."""

    now_ns: int
    days: int

    @property
    def since_ns(self) -> int | None:
        """What is older may go; None if nothing may."""
        return self.now_ns - self.days * NS_PER_DAY if self.days else None


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Rows with `timestamp_lima` below `before` and a rowid above `above_rowid` may go."""

    before: str
    above_rowid: int


def cutoff(keep: Keep, takeover: Takeover | None) -> Cutoff | None:
    """The rows that may be deleted, or None if none may.

    Rows of the earlier agent, which kept everything, stay for `keep.days` from the takeover on, whatever their age: an upgrade
    deletes nobody's history.
    """
    oldest_ns = keep.since_ns
    if oldest_ns is None:
        return None
    spared = takeover.rowid if takeover is not None and takeover.at_ns > oldest_ns else 0
    return Cutoff(before=lima(oldest_ns), above_rowid=spared)
