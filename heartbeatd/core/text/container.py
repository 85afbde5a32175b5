"""Texts about containers."""

from dataclasses import replace
from enum import StrEnum

from heartbeatd.core.alerting import Announcement
from heartbeatd.core.container import Reason
from heartbeatd.core.locale import N_, Locale, Sentence
from heartbeatd.core.text import Text
from heartbeatd.core.text.states import Words, state_text


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
    ContainerState.STOPPED: N_("container {name} does not run"),
    ContainerState.UNHEALTHY: N_("container {name} is unhealthy"),
    ContainerState.RESTARTING: N_("container {name} keeps restarting"),
    ContainerState.UNKNOWN: N_("container {name} cannot be seen"),
}
_HINTS: dict[str, str] = {
    ContainerState.STOPPED: N_("See why: docker ps -a --filter name={name}, docker logs --tail 50 {name}."),
    ContainerState.UNHEALTHY: N_(
        "See what its health check says: docker inspect --format '{{{{json .State.Health}}}}' {name}."
    ),
    ContainerState.RESTARTING: N_("See why it ends: docker logs --tail 50 {name}."),
}
_REASONS: dict[str, str] = {
    NO_DOCKER: N_("There is no Docker engine: systemctl status docker."),
    NO_ANSWER: N_("The Docker engine does not answer: systemctl status docker, heartbeatctl check."),
    PAUSED: N_("It is paused: docker unpause {name}."),
}

_OUTPUT = N_("The last lines of its output:")


def known(why: Reason) -> tuple[Sentence, ...]:
    """What the engine says of it, as sentences."""
    if why.missing:
        return (Sentence(N_("There is no container of this name.")),)
    found = []
    if why.oom_killed:
        found.append(Sentence(N_("The kernel killed it for want of memory.")))
    if why.exit_code is not None:
        found.append(Sentence(N_("Its exit code is {code}."), (("code", str(why.exit_code)),)))
    if why.error:
        found.append(Sentence(N_("Docker says: {error}."), (("error", why.error.rstrip(".")),)))
    if why.ends > 1:
        found.append(Sentence(N_("It ended {number} times in the last hour."), (("number", str(why.ends)),)))
    if why.health:
        found.append(Sentence(N_("Its health check says: {health}."), (("health", why.health.rstrip(".")),)))
    return tuple(found)


def container_text(host: str, announcement: Announcement, locale: Locale) -> Text:
    """What it does, since when, and where to look."""
    observed = announcement.observed
    name = observed.subject.name
    if observed.ok:
        return state_text(host, announcement, locale, Words(N_("container {name}"), name))
    hint = _REASONS.get(observed.reason or "") or _HINTS[observed.state]
    hints = (*observed.hints, Sentence(hint, (("name", name),)))
    text = state_text(host, announcement, locale, Words(_IS[observed.state], name, hints=hints))
    if not observed.detail:
        return text
    return replace(text, message=f"{text.message}\n{locale.say(_OUTPUT)}\n{observed.detail}")
