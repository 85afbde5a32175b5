"""How long heartbeats are held back because the Worker asked for it (`Retry-After`, RFC 9110 section 10.2.3).

Only an answer of 429 or 503 can ask. It names seconds or a date; what is neither asks for nothing. The first such answer holds
heartbeats back for `FIRST_S` at most, and each that follows without another answer in between for twice as long as the one
before, up to `LONGEST_S`: so a single one, whatever it says, does not make the Worker take this host for dead, and a limit that
goes on is not kept alive by one request every ten seconds. Nothing is held back before the state counts as changed, or the alert
about it would be late. A restart or a reload forgets it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.core.schedule import NS_PER_S
from heartbeatd.core.timefmt import moment

STATUSES = (429, 503)
FIRST_S = 30
LONGEST_S = 900
_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")  # RFC 9110 section 5.6.7


@dataclass(frozen=True, slots=True)
class Hold:
    """No heartbeat before `until_ns` (boot-time clock); `answers` in a row have asked for it."""

    until_ns: int
    answers: int


def held_after(before: Hold | None, beat: HeartbeatResult, now_ns: int, boottime_ns: int) -> Hold | None:
    """What a heartbeat's outcome asks for, by the wall clock and the boot-time clock; None if it asks for nothing."""
    asked_s = _asked_s(beat.headers, now_ns) if beat.status in STATUSES else 0.0
    if asked_s <= 0:
        return None
    answers = before.answers + 1 if before is not None else 1
    bound_s = min(FIRST_S * 2 ** min(answers - 1, 10), LONGEST_S)
    return Hold(boottime_ns + round(min(asked_s, bound_s) * NS_PER_S), answers)


def _asked_s(headers: Mapping[str, str], now_ns: int) -> float:
    """Seconds that the header asks for; 0 or less for nothing."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:10])  # ten digits are three hundred years
    for form in _DATES:
        try:
            named = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return (named - moment(now_ns)).total_seconds()
    return 0.0
