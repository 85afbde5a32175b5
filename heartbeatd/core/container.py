"""A container that runs, as the list of the Docker engine has it, and which are watched."""

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
    def fine(self) -> bool:
        """True if it has been running for a minute, and its health check, if it has one, has not failed."""
        return self.state == "running" and self.health != "unhealthy" and not self.recent


@dataclass(frozen=True, slots=True)
class Watched:
    """Names, or patterns as a shell's, of containers that must run; and whether others are told of when they are bad."""

    names: tuple[str, ...] = ()
    any_unhealthy: bool = True

    def has(self, name: str) -> bool:
        """True if the container called `name` must run."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)


NOTHING = Watched()
