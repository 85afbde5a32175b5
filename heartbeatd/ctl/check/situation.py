"""What all checks start from."""

from dataclasses import dataclass
from pathlib import Path

from heartbeatd.config import Config
from heartbeatd.ctl.service import Service
from heartbeatd.ctl.unit_file import Settings

Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True, slots=True)
class EngineSocket:
    """Whose it is."""

    group: int
    mode: int

    @classmethod
    def at(cls, path: Path) -> "EngineSocket | None":
        """None if it is not there, or not for us to see."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_gid, found.st_mode)


@dataclass(frozen=True, slots=True)
class Situation:
    """The configuration and the file it is from, the service as systemd sees it (None: systemd does not answer).

    `folder` is storage.path's folder as seen from outside the service's sandbox, None if it is not there. `settings` are those
    of the service's unit, `engine` is the Docker engine's socket: in a user namespace most groups look like `nogroup`.
    """

    config: Config
    path: Path
    service: Service | None
    folder: Identity | None
    settings: Settings = ()
    engine: EngineSocket | None = None
    sandboxed: bool = False

    def setting(self, name: str) -> str:
        """The value of a setting of the service's unit that counts, in lower case; "" without one."""
        return next((value.lower() for key, value in reversed(self.settings) if key == name), "")


def identity(path: Path) -> Identity | None:
    """Which file that is, None if there is none or it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
