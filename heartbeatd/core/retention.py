"""What may be forgotten: rows older than the user wants, never one that was taken over too recently; and alerts in the end."""

from dataclasses import dataclass

from heartbeatd.core.timefmt import to_lima

NS_PER_DAY = 86_400_000_000_000
# Undelivered alerts: of a webhook that is gone for good the newest are told, should it ever come back.
QUEUE_MOST = 1000


@dataclass(frozen=True, slots=True)
class RetentionCutoff:
    """At `now_ns` what is younger than so many days is to be kept; 0 keeps for ever."""

    now_ns: int
    days: int

    @property
    def since_ns(self) -> int | None:
        """What is older may go; None if nothing may."""
        return self.now_ns - self.days * NS_PER_DAY if self.days else None


def cutoff(keep: RetentionCutoff, taken_over_ns: int | None) -> str | None:
    """Rows with a `timestamp_lima` below this may be deleted; None if none may.

    Rows of the earlier agent, which kept everything, stay for `keep.days` from the takeover on, whatever their age: an upgrade
    deletes nobody's history. Rows of this one are younger than the takeover, so until then none is too old.
    """
    oldest_ns = keep.since_ns
    if oldest_ns is None or (taken_over_ns is not None and taken_over_ns > oldest_ns):
        return None
    return to_lima(oldest_ns)
