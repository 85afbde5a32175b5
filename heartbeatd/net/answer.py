"""What comes of a request: an answer, or the reason for having none."""

from dataclasses import dataclass

from heartbeatd.core.model import Cause


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status, and how long it took from the start of the try that got it."""

    status: int
    took_ms: float


class NoAnswer(Exception):
    """No status came back; `cause` and `detail` say why. The detail names hosts and system errors, never a secret."""

    def __init__(self, cause: Cause, detail: str) -> None:
        self.cause, self.detail = cause, detail
        super().__init__(f"{cause}: {detail}")


class Interrupted(Exception):
    """The wait for an answer was broken off because the agent is stopping: this says nothing about the other side."""
