"""Alert states and observations of the Worker, and a history of them."""

from collections.abc import Sequence

from heartbeatd.core.alert_state import AlertState
from heartbeatd.core.alerting import Announcement, advance
from heartbeatd.core.notification import Notification, of_announcement
from heartbeatd.core.payload import AgentInfo
from heartbeatd.core.policy import Policy
from heartbeatd.core.subject import Observation
from heartbeatd.core.text.worker import worker_text
from heartbeatd.core.worker import WORKER, WorkerState
from heartbeatd.rules.worker import observation


def announced(
    state: WorkerState, since_ns: int, reason: str | None = None, problem_since_ns: int | None = None
) -> AlertState:
    """What is kept once the Worker was announced to be in this state."""
    return AlertState(WORKER, state, observation(state, since_ns).severity, since_ns, reason, problem_since_ns)


def notified(agent: AgentInfo, announcement: Announcement, event_id: str, heartbeat_url: str) -> Notification:
    """What is told of an announcement about the Worker."""
    text = worker_text(agent.host, announcement, agent.locale, heartbeat_url)
    return of_announcement(agent, announcement, text, event_id, heartbeat_url)


def replay(
    state: AlertState | None, history: Sequence[Observation], policy: Policy
) -> tuple[AlertState | None, tuple[Announcement, ...]]:
    """`advance` over a whole history: the state at its end and every announcement on the way, in order."""
    announcements: list[Announcement] = []
    for observed in history:
        state, announcement = advance(state, observed, policy)
        if announcement is not None:
            announcements.append(announcement)
    return state, tuple(announcements)
