"""Whether running containers can be counted: the helper is asked, which has the rights."""

import grp
import stat
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.containers import client
from heartbeatd.core.sample import ProbeReport, ProbeStatus
from heartbeatd.ctl.check.finding import Finding, ok, warning
from heartbeatd.ctl.check.situation import EngineSocket, Situation
from heartbeatd.probes.base import EACH_CYCLE, Probe
from heartbeatd.probes.collector import Probes
from heartbeatd.probes.containers import Containers, has_rights
from heartbeatd.runtime import Runtime

HELPER = "heartbeatd-containers"
HELPER_USER = "heartbeat-containers"


def check(situation: Situation, runtime: Runtime) -> Iterator[Finding]:
    """Counted as in each cycle."""
    settings = situation.config.docker
    path = Path(settings.socket.removeprefix("unix://"))
    probe = Containers(runtime.thread("docker"), settings.socket)
    row = Probe("containers", EACH_CYCLE, settings.timeout_seconds, probe.read)
    sample = Probes((row,)).collect(runtime.clock.now_ns, runtime.cancel)
    if sample.container_count is not None:
        yield number_running(sample.container_count)
    else:
        yield not_counted(sample.reports[0], path, situation, path if has_rights(path) else client.SOCKET)


def number_running(number: int) -> Finding:
    return ok("docker", f"{number} containers run")


def not_counted(report: ProbeReport, path: Path, situation: Situation, asked: Path = client.SOCKET) -> Finding:
    """Why there is no number of containers. The helper's socket may not be there before the agent's first start.

    `asked` is the socket that was asked: the helper's, or that of the engine, for who has rights on it.
    """
    if report.status in (ProbeStatus.NO_DATA, ProbeStatus.OFF):
        return ok("docker", f"{report.detail}; container_count stays NULL")
    if not asked.exists() and not _runs(situation):
        return ok("docker", f"{path}: containers are counted once the agent runs, by {HELPER}.service")
    return warning(
        "docker", f"{report.detail}; container_count stays NULL", hint(report.detail, path, situation.engine, asked)
    )


def _runs(situation: Situation) -> bool:
    return situation.service is not None and situation.service.running


def hint(detail: str, path: Path, engine: EngineSocket | None, asked: Path = client.SOCKET) -> str:
    """What to do about an engine that cannot be read, by what the helper says of it, and by whose its socket is."""
    if not asked.exists():
        return f"`systemctl start {HELPER}.socket` (a start of heartbeatd.service does so, too)"
    if "reads " in detail:
        return f"name the same socket as docker.socket and in the drop-in for {HELPER}.service: heartbeatd(8), DOCKER"
    if "is a link to" in detail:
        return (
            f"is the engine rootless? The sandbox of {HELPER}.service hides that folder: heartbeatd(8), DOCKER, says how "
            "the helper is let in"
        )
    if "permission denied" in detail.lower():
        return _no_rights(path, engine)
    if "connection refused" in detail:
        return "is the engine running? `systemctl status docker`"
    if "no answer in time" in detail or "hang" in detail:
        return (
            "is the engine busy, or does it hang? `docker info`; docker.timeout_seconds says how long it is waited for"
        )
    return f"`journalctl -u {HELPER}` says more"


def _no_rights(path: Path, engine: EngineSocket | None) -> str:
    """Why the helper has none: not in the group of the socket, in it since it was started, or the socket is not for a group."""
    try:
        group = grp.getgrgid(engine.group) if engine is not None else None
    except KeyError:
        group = None
    if engine is None or group is None:
        return "the engine is Podman's, or rootless? heartbeatd(8), DOCKER, says how the helper is let in"
    if group.gr_gid == 0 or not engine.mode & stat.S_IWGRP:
        return f"{path} is for its owner alone: heartbeatd(8), DOCKER, says how the helper is let in"
    if HELPER_USER not in group.gr_mem:
        return f"`adduser {HELPER_USER} {group.gr_name}` and `systemctl restart {HELPER}`"
    return joined_since(group.gr_name)


def joined_since(group: str) -> str:
    """A process has the groups of its start."""
    return f"{HELPER_USER} is in the group {group} by now: `systemctl restart {HELPER}`"
