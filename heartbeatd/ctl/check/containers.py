"""Whether running containers can be counted."""

import grp
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.config import Config
from heartbeatd.core.model import Presence
from heartbeatd.ctl.check.finding import Finding, ok, warning
from heartbeatd.probes import base, reader
from heartbeatd.probes.containers import Containers
from heartbeatd.process import Process
from heartbeatd.waiting import seconds_from_now

READER = "heartbeatd-containers"
READER_USER = "heartbeat-containers"


def look(config: Config, process: Process) -> Iterator[Finding]:
    """Counted as in each cycle."""
    settings = config.docker
    probe = Containers(process.lane("docker"), settings.socket, settings.timeout_seconds)
    probe.warm_up(seconds_from_now(10), process.waiter)
    reading = base.begin(
        "containers", lambda: probe.start(seconds_from_now(settings.timeout_seconds), process.waiter)
    )()
    probe.close()
    if reading.value is not None:
        yield ok("docker", f"{reading.value} containers run")
    elif reading.note.presence in (Presence.ABSENT, Presence.OFF):
        yield ok("docker", f"{reading.note.detail}; container_count stays NULL")
    else:
        hint = _hint(Path(settings.socket.removeprefix("unix://")))
        yield warning("docker", f"{reading.note.detail}; container_count stays NULL", hint)


def _hint(path: Path) -> str:
    """What to do about an engine that cannot be read."""
    if not reader.SOCKET.exists():
        return f"`systemctl start {READER}.socket` (a start of heartbeatd.service does so too); or set docker.socket to nothing"
    try:
        group = grp.getgrgid(path.stat().st_gid)
    except (OSError, KeyError):
        return f"`journalctl -u {READER}` says more"
    if READER_USER not in group.gr_mem and group.gr_name != "root":
        return f"`adduser {READER_USER} {group.gr_name}` and `systemctl restart {READER}`"
    return f"is the engine up? `docker info`; `journalctl -u {READER}` says more"
