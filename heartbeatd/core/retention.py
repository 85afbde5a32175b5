"""What may be forgotten: rows older than the user wants, never one that was taken over too recently; and alerts in the end."""

from dataclasses import dataclass

from heartbeatd.core.moments import lima

NS_PER_DAY = 86_400_000_000_000
QUEUE_MOST = (
    1000  # undelivered alerts: of a webhook that is gone for good the newest are told, should it ever come back
)


@dataclass(frozen=True, slots=True)
class Takeover:
    """The last row the earlier agent had written (its rowid), and when its database was taken over."""

    rowid: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Cutoff:
    """Rows with `timestamp_lima` below `before` and a rowid above `above_rowid` may go."""

    before: str
    above_rowid: int


def cutoff(now_ns: int, keep_days: int, takeover: Takeover | None) -> Cutoff | None:
    """The rows that may be deleted at `now_ns`, or None if none may (`keep_days` 0 keeps for ever).

    Rows of the earlier agent, which kept everything, stay for `keep_days` from the takeover on, whatever their age: an
    upgrade deletes nobody's history.
    """
    if keep_days == 0:
        return None
    oldest_ns = now_ns - keep_days * NS_PER_DAY
    spared = takeover.rowid if takeover is not None and takeover.at_ns > oldest_ns else 0
    return Cutoff(before=lima(oldest_ns), above_rowid=spared)
