"""What systemd knows about heartbeatd.service, and acting as its user."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

UNIT = "heartbeatd.service"
USER = "heartbeat"
_PROPERTIES = ("ActiveState", "SubState", "UnitFileState", "StatusText", "NRestarts", "ActiveEnterTimestamp", "MainPID")


@dataclass(frozen=True, slots=True)
class Service:
    """The unit as systemd sees it; texts are systemd's own (`systemctl show`)."""

    active: str
    sub: str
    enabled: str
    status: str
    restarts: int
    since: str
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
            text=True,
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
        pid=int(found.get("MainPID", "0") or 0),
    )


def credentials() -> Path | None:
    """Where the service's credentials are: handed to us by systemd, or those of the running service if we may read them."""
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    running = Path("/run/credentials") / UNIT
    if given:
        return Path(given)
    return running if os.access(running, os.X_OK) else None


def become_user() -> bool:
    """If root, act as the service's user from here on, so that what is tried is what the agent can do; False if not root."""
    if os.geteuid() != 0:
        return False
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        return False
    os.initgroups(USER, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    return True
