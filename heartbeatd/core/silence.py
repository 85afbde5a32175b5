"""Silences: nobody is told of some subjects for a time. They are observed all the same; what is still true at the end is told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from heartbeatd.core.subject import Subject

ALL = "*"


@dataclass(frozen=True, slots=True)
class Silence:
    """Of each subject whose text `pattern` fits, as a shell's does, e.g. `disk:*`; until a moment of the wall clock.

    Its moments are by the clock that would have shown `booted_ns` at the start of the boot `boot_id`. `who` made it.
    """

    pattern: str
    until_ns: int
    comment: str = ""
    created_ns: int = 0
    who: str = ""
    id: str = ""
    boot_id: str = ""
    booted_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Now:
    """The wall clock of now, and what it would have shown at the start of this boot."""

    at_ns: int
    boot_id: str
    booted_ns: int


def by_this_clock(silence: Silence, now: Now) -> Silence:
    """With its moments by the clock of now, so that it lasts as long as was asked for.

    If the clock was set since, in this boot, by how much is known. In a later boot it is the wall clock that tells; one that is
    behind the beginning of the silence is wrong, and then the silence lasts for its length from the start of the boot at most.
    """
    if silence.boot_id == now.boot_id and silence.booted_ns is not None:
        by_ns = now.booted_ns - silence.booted_ns
        return replace(
            silence, until_ns=silence.until_ns + by_ns, created_ns=silence.created_ns + by_ns, booted_ns=now.booted_ns
        )
    if now.at_ns < silence.created_ns:
        length_ns = silence.until_ns - silence.created_ns
        return replace(silence, until_ns=min(silence.until_ns, now.booted_ns + length_ns))
    return silence


def in_force(silences: Iterable[Silence], now: Now) -> tuple[Silence, ...]:
    """Those that have not ended, with their moments by this clock; the one that ends first comes first."""
    by_now = (by_this_clock(silence, now) for silence in silences)
    return tuple(sorted((silence for silence in by_now if now.at_ns < silence.until_ns), key=lambda one: one.until_ns))


def fits(silence: Silence, subject: Subject) -> bool:
    """Whether it is of that subject."""
    return fnmatchcase(str(subject), silence.pattern)


class Held:
    """The subjects that nobody is told of: those of the `silences`. `booting`: all but `spared`, as the system is not up yet."""

    def __init__(
        self, silences: Sequence[Silence], *, booting: bool = False, spared: frozenset[Subject] = frozenset()
    ) -> None:
        self.silences, self.booting = silences, booting
        self._spared = spared

    def __contains__(self, subject: object) -> bool:
        if not isinstance(subject, Subject):
            return False
        return (self.booting and subject not in self._spared) or any(fits(one, subject) for one in self.silences)
