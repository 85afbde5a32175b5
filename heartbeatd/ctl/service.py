"""What systemd knows about heartbeatd.service, and what it gives it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.credentials import NAMES, Credential, Credentials, passed, places, read
from heartbeatd.errors import ConfigError, Problem
from heartbeatd.files import NotRegularFile, require_regular

UNIT = "heartbeatd.service"
USER = "heartbeat"
_PROPERTIES = (
    *("ActiveState", "SubState", "UnitFileState", "StatusText", "NRestarts"),
    *("ActiveEnterTimestamp", "ActiveEnterTimestampMonotonic", "MainPID"),
)


@dataclass(frozen=True, slots=True)
class Service:
    """The unit as systemd sees it; texts are systemd's own (`systemctl show`)."""

    active: str
    sub: str
    enabled: str
    status: str
    restarts: int
    since: str
    since_monotonic_us: int
    pid: int

    @property
    def running(self) -> bool:
        """True for a unit that is up, reloading included."""
        return self.active in ("active", "reloading")


def look() -> Service | None:
    """The unit's state, or None where systemd is not running or does not answer within five seconds."""
    try:
        shown = subprocess.run(
            ["systemctl", "show", UNIT, *(f"--property={name}" for name in _PROPERTIES)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=5,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    return Service(
        active=found.get("ActiveState", "unknown"),
        sub=found.get("SubState", ""),
        enabled=found.get("UnitFileState", ""),
        status=found.get("StatusText", ""),
        restarts=int(found.get("NRestarts", "0") or 0),
        since=found.get("ActiveEnterTimestamp", ""),
        since_monotonic_us=int(found.get("ActiveEnterTimestampMonotonic", "0") or 0),
        pid=int(found.get("MainPID", "0") or 0),
    )


def credentials() -> Credentials:
    """Those of the running service, if we may read them; else, as root, those it would be given from systemd's stores.

    What a drop-in passes in some other way is not known before the service runs.
    """
    running = Path("/run/credentials") / UNIT
    if os.access(running, os.X_OK):
        return passed(running)
    found: dict[str, Credential] = {}
    for name in NAMES:
        encrypted, plain = places(name)
        for path in (encrypted, plain):
            _refuse_what_is_no_file(path)
        for path, data in ((encrypted, _decrypted(encrypted, name)), (plain, read(plain))):
            if data is not None:
                found.setdefault(name, Credential(str(path), data))
    return found


def credentials_hidden() -> bool:
    """True if there may be credentials of the service that we cannot see."""
    running = Path("/run/credentials") / UNIT
    stores = {place.parent for name in NAMES for place in places(name)}
    return any(os.access(folder, os.F_OK) and not os.access(folder, os.X_OK) for folder in (running, *stores))


def _refuse_what_is_no_file(path: Path) -> None:
    """Raises ConfigError for e.g. a FIFO, which would have whoever reads it wait for ever."""
    try:
        require_regular(path)
    except NotRegularFile as error:
        hint = "`heartbeatctl set-secret` puts a file in its place"
        raise ConfigError(Problem(str(path), str(error.strerror), hint)) from None
    except OSError:
        return  # not there, or not for us to see


def _decrypted(path: Path, name: str) -> bytes | None:
    """What systemd-creds(1) makes of an encrypted credential; None if it is not there, or not for us to read."""
    if not os.access(path, os.R_OK):
        return None
    words = ["systemd-creds", "decrypt", f"--name={name}", str(path), "-"]
    try:
        done = subprocess.run(words, capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(Problem(str(path), f"systemd-creds: {error}", "install systemd's own tools")) from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ConfigError(
            Problem(
                str(path), f"cannot be decrypted: {reason}", "it was made on another machine? `heartbeatctl set-secret`"
            )
        ) from None
    return done.stdout
