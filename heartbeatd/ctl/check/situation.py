"""What all checks start from."""

import os
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.config.model import Config
from heartbeatd.ctl.service import Service
from heartbeatd.ctl.unit_file import Settings
from heartbeatd.files import Identity


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

    `folder` is the database's folder as seen from outside the service's sandbox, None if it is not there; `read_only` says that
    its filesystem is mounted so there, too. `settings` are those
    of the service's unit, `engine` is the Docker engine's socket: in a user namespace most groups look like `nogroup`.
    """

    config: Config
    path: Path
    service: Service | None
    folder: Identity | None
    settings: Settings = ()
    engine: EngineSocket | None = None
    sandboxed: bool = False
    read_only: bool = False

    def setting(self, name: str) -> str:
        """The value of a setting of the service's unit that counts, in lower case; "" without one."""
        return next((value.lower() for key, value in reversed(self.settings) if key == name), "")


def database_of(config: Config) -> Path:
    """Where the database is: `storage.path`, or what that is a link to. SQLite makes its files there."""
    path = Path(config.storage.path)
    try:
        return Path(os.path.realpath(path)) if path.is_symlink() else path
    except PermissionError:  # a folder on the way is shut
        return path


def is_read_only(folder: Path) -> bool:
    """Whether it cannot be written because of how its filesystem is mounted; False if it cannot be seen."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False
