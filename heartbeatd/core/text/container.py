"""Texts about containers."""

from enum import StrEnum

from heartbeatd.core.alerting import Announcement, Event
from heartbeatd.core.subject import GONE
from heartbeatd.core.text import Text
from heartbeatd.core.timefmt import Zone, clock, format_duration


class ContainerState(StrEnum):
    """The states of a container beside ok."""

    STOPPED = "stopped"
    UNHEALTHY = "unhealthy"
    RESTARTING = "restarting"
    UNKNOWN = "unknown"


NO_DOCKER = "docker does not run"
NO_ANSWER = "docker does not answer"
PAUSED = "paused"
_IS: dict[str, str] = {
    ContainerState.STOPPED: "container {name} does not run",
    ContainerState.UNHEALTHY: "container {name} is unhealthy",
    ContainerState.RESTARTING: "container {name} restarts again and again",
    ContainerState.UNKNOWN: "nobody knows whether container {name} runs",
}
_HINTS: dict[str, str] = {
    ContainerState.STOPPED: "See why: docker ps -a --filter name={name}, docker logs --tail 50 {name}.",
    ContainerState.UNHEALTHY: "See what its health check says: docker inspect --format '{{{{json .State.Health}}}}' {name}.",
    ContainerState.RESTARTING: "See why it ends: docker logs --tail 50 {name}.",
}
_REASONS: dict[str, str] = {
    NO_DOCKER: "There is no Docker engine: systemctl status docker.",
    NO_ANSWER: "The Docker engine does not answer: systemctl status docker, heartbeatctl check.",
    PAUSED: "It is paused: docker unpause {name}.",
}


def container_text(host: str, announcement: Announcement, zone: Zone) -> Text:
    """What it does, since when, and where to look."""
    observed = announcement.observed
    name, since = observed.subject.name, clock(announcement.since_ns, zone)
    lasted = "" if announcement.duration_s is None else format_duration(announcement.duration_s)
    if observed.reason == GONE:
        return Text(
            f"{host}: container {name} is gone",
            f"Container {name} on {host} does not run any more, or is not watched any more. "
            f"It was {announcement.previous} before.",
        )
    if announcement.event is Event.RECOVERY:
        after = f" after {lasted}" if lasted else ""
        return Text(
            f"{host}: container {name} is ok again",
            f"Container {name} on {host} has been ok since {since}{after}. Before it was {announcement.previous}.",
        )
    is_now = _IS[observed.state].format(name=name)
    still = f"still, for {lasted}: " if announcement.event is Event.REMINDER else ""
    hint = (_REASONS.get(observed.reason or "") or _HINTS[observed.state]).format(name=name)
    return Text(f"{host}: {still}{is_now}", f"On {host} {is_now}: {observed.state} since {since}. {hint}")
