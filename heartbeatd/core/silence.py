"""Silences: nobody is told of some subjects for a time. They are observed all the same; what is still true at the end is told."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from heartbeatd.core.subject import Subject


@dataclass(frozen=True, slots=True)
class Silence:
    """Of each subject whose text `pattern` fits, as a shell's does, e.g. `disk:*`; until a moment of the wall clock."""

    pattern: str
    until_ns: int
    comment: str = ""


class Held:
    """The subjects that nobody is told of at a moment. `booting`: all but `spared`, as the system is not up yet."""

    def __init__(
        self,
        silences: Iterable[Silence],
        now_ns: int,
        *,
        booting: bool = False,
        spared: frozenset[Subject] = frozenset(),
    ) -> None:
        self._patterns = tuple(silence.pattern for silence in silences if now_ns < silence.until_ns)
        self._booting, self._spared = booting, spared

    def __contains__(self, subject: object) -> bool:
        if self._booting and subject not in self._spared:
            return True
        text = str(subject)
        return any(fnmatchcase(text, pattern) for pattern in self._patterns)
