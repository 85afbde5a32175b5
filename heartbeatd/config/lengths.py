"""The kinds of setting for lengths of time, for a number that need not be there, and for yes or no."""

import re
from dataclasses import dataclass

from heartbeatd.config.options import Number, text_of

# As systemd.time(7) has them.
_UNITS_S = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
_PART = re.compile(rf"([0-9]{{1,9}})\s*({'|'.join(sorted(_UNITS_S, key=len, reverse=True))})\s*")


@dataclass(frozen=True, slots=True)
class Length:
    """A length of time in words, such as `5min` or `1h 30min`; its value is in seconds."""

    longest_s: int
    other: str = ""  # a word that is allowed, too, for none
    shortest_s: int = 0

    @property
    def allowed(self) -> str:
        """E.g. `a length of time such as "90s", "5min", "2h" or "1d"`."""
        return 'a length of time such as "90s", "5min", "2h" or "1d"' + (f', or "{self.other}"' if self.other else "")

    def check(self, value: object) -> int | None:
        """None for the other word."""
        text = text_of(value).strip()
        if self.other and text == self.other:
            return None
        seconds, at = 0, 0
        while found := _PART.match(text, at):
            seconds, at = seconds + int(found[1]) * _UNITS_S[found[2]], found.end()
        if not text or at < len(text):
            raise ValueError("it is no length of time" + ("; write its unit, too" if text.isdecimal() else ""))
        if not self.shortest_s <= seconds <= self.longest_s:
            raise ValueError("it is out of range")
        return seconds


@dataclass(frozen=True, slots=True)
class MaybeNumber:
    """A number of at most `most`, with either sign, or "" for none."""

    most: float
    allowed: str = 'a number or ""'

    def check(self, value: object) -> float | None:
        return None if value == "" else Number(-self.most, self.most).check(value)


@dataclass(frozen=True, slots=True)
class YesNo:
    """True or false."""

    allowed: str = "true or false"

    def check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError("it is neither; write it without quotes" if isinstance(value, str) else "it is neither")
        return value
