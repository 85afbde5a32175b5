"""A container that runs, as the list of the Docker engine has it, and which are watched."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Container:
    """`recent`: it was started less than a minute ago. `health` is None for one without a health check."""

    name: str
    state: str
    health: str | None = None
    recent: bool = False

    @property
    def bad(self) -> bool:
        """True if it does not run as it should, or its health check, if it has one, has failed."""
        return self.state != "running" or self.health == "unhealthy"

    @property
    def fine(self) -> bool:
        """True if it has been running for a minute, and is not bad."""
        return not self.bad and not self.recent


@dataclass(frozen=True, slots=True)
class Reason:
    """What the engine knows of a container that is not well.

    `ends` is how often it ended within the last hour, `health` what its health check said when it failed, `log` the last lines
    of its output; `missing`: there is no such container.
    """

    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    ends: int = 0
    health: str = ""
    log: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """Names, or patterns as a shell's, of containers that must run; and whether others are told of when they are bad."""

    names: tuple[str, ...] = ()
    any_unhealthy: bool = True

    def has(self, name: str) -> bool:
        """True if the container called `name` must run."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)

    def missing(self, listed: Iterable[Container]) -> tuple[str, ...]:
        """Those that no container listed goes by."""
        there = [one.name for one in listed]
        return tuple(name for name in self.names if not any(fnmatchcase(one, name) for one in there))


NOTHING = Watched()
