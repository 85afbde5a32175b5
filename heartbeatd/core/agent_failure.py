"""An agent that does not run though it should, and how systemd says that it ended."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentFailure:
    """How the agent ended: systemd's `Result`, and the exit status or signal.

    `lasting_s` is for how long systemd has been starting it again and again; None if it has given it up.
    """

    result: str
    status: str = ""
    lasting_s: float | None = None

    @property
    def refused(self) -> bool:
        """True if it was the configuration."""
        return self.result == "exit-code" and self.status in ("78", "CONFIG")

    @property
    def cause(self) -> str:
        """In a few words, e.g. `exit-code 226`."""
        if self.refused:
            return "configuration refused"
        more = f" {self.status}" if self.status and self.result in ("exit-code", "signal", "core-dump") else ""
        return f"{self.result or 'unknown'}{more}"
