"""What is added to any announcement of a subject that changes too often to be told each time."""

from heartbeatd.core.alerting import MOST_CHANGES, STEADY_S, Announcement
from heartbeatd.core.locale import Locale
from heartbeatd.core.text import Text
from heartbeatd.core.timefmt import format_duration


def with_flapping(text: Text, announcement: Announcement, locale: Locale) -> Text:
    """`text`, which also says so if the subject is flapping."""
    number = announcement.flapping
    if not number:
        return text
    steady = format_duration(STEADY_S)
    if number < MOST_CHANGES:
        message = locale.say_number(
            "It is flapping: {number} change in an hour. Until it is steady, a change is only announced once it has lasted for "
            "{steady}.",
            "It is flapping: {number} changes in an hour. Until it is steady, a change is only announced once it has lasted for "
            "{steady}.",
            number,
            steady=steady,
        )
    else:
        message = locale.say(
            "It is flapping: {number} changes or more in an hour. Until it is steady, a change is only announced once it has "
            "lasted for {steady}.",
            number=MOST_CHANGES,
            steady=steady,
        )
    return Text(locale.say("flapping: {title}", title=text.title), f"{text.message} {message}")
