"""What a check finds: one line of the report each."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is. A warning leaves the agent working; an error does not."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """On what, how it stands, and what to do."""

    verdict: Verdict
    subject: str
    text: str
    hint: str = ""


def ok(subject: str, text: str, hint: str = "") -> Finding:
    return Finding(Verdict.OK, subject, text, hint)


def warning(subject: str, text: str, hint: str = "") -> Finding:
    """Something is not as it should be, and the agent works all the same."""
    return Finding(Verdict.WARNING, subject, text, hint)


def error(subject: str, text: str, hint: str = "") -> Finding:
    """The agent cannot do its work."""
    return Finding(Verdict.ERROR, subject, text, hint)
