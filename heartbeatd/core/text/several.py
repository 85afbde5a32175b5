"""The text for what changed in one cycle, if that is more than one thing."""

from collections.abc import Sequence

from heartbeatd.core.locale import Locale
from heartbeatd.core.text import LONGEST_TITLE, Text, shortened

MOST_IN_TITLE = 6
MOST_TOLD = 10  # in full
MOST_NAMED = 40  # in the message


def several_text(texts: Sequence[Text], locale: Locale) -> Text:
    """One of all of them, the first ones in full."""
    lines = [f"- {text.message}" for text in texts[:MOST_TOLD]]
    lines += [f"- {text.title}" for text in texts[MOST_TOLD:MOST_NAMED]]
    left = len(texts) - MOST_NAMED
    if left > 0:
        lines.append(f"- {locale.say('and {left} more: see heartbeatctl status.', left=left)}")
    return Text(_title([text.title for text in texts], locale), "\n".join(lines))


def _title(titles: Sequence[str], locale: Locale) -> str:
    """The first ones, as many as there is room for, and how many more there are."""
    for named in range(min(len(titles), MOST_IN_TITLE), 0, -1):
        shown = locale.say("{number} changes: {first}", number=len(titles), first="; ".join(titles[:named]))
        more = "" if named == len(titles) else locale.say("; {left} more", left=len(titles) - named)
        if named == 1 or len(shown + more) <= LONGEST_TITLE:
            return shortened(shown, LONGEST_TITLE - len(more)) + more
    raise AssertionError("there is at least one")
