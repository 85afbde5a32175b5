"""The text for what changed in one cycle, if that is more than one thing."""

from collections.abc import Sequence

from heartbeatd.core.text import Text

MOST_NAMED = 3  # in the title
MOST_TOLD = 10  # in the message


def several_text(host: str, texts: Sequence[Text]) -> Text:
    """One of all of them, the first ones in full."""
    shown = [text.title.removeprefix(f"{host}: ") for text in texts]
    more = len(shown) - MOST_NAMED
    title = "; ".join(shown[:MOST_NAMED]) + (f"; {more} more" if more > 0 else "")
    lines = [f"- {text.message}" for text in texts[:MOST_TOLD]]
    lines += [f"- {line}" for line in shown[MOST_TOLD : 4 * MOST_TOLD]]
    left = len(shown) - 4 * MOST_TOLD
    if left > 0:
        lines.append(f"- and {left} more: see heartbeatctl status.")
    return Text(f"{host}: {len(shown)} changes: {title}", "\n".join(lines))
