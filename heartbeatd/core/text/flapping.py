"""What is added to any announcement of a subject that changes too often to be told each time."""

from heartbeatd.core.alerting import MOST_CHANGES, STEADY_S, Announcement
from heartbeatd.core.text import Text
from heartbeatd.core.timefmt import format_duration, plural


def with_flapping(text: Text, announcement: Announcement) -> Text:
    """`text`, which also says so if the subject is flapping."""
    number = announcement.flapping
    if not number:
        return text
    changes = plural(number, "change") if number < MOST_CHANGES else f"{MOST_CHANGES} changes or more"
    flapping = f"flapping: {changes} in an hour"
    held_back = f"Until it is steady, a change is only announced once it has lasted for {format_duration(STEADY_S)}."
    return Text(f"{text.title}, {flapping}", f"{text.message} It is {flapping}. {held_back}")
