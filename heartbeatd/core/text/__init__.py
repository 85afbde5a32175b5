"""What people read: the title and message of a notification, the status line, the line of a cycle."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A message for people: a title that says it all in one line, and what to know and do."""

    title: str
    message: str
