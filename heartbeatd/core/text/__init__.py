"""What people read: the title and message of a notification, the status line, the line of a cycle."""

from dataclasses import dataclass

# What a phone shows of a title before it is unlocked, with the host's name before it.
LONGEST_TITLE = 60
LONGEST_HOST = 30
LONGEST_LABEL = 22  # in a title


@dataclass(frozen=True, slots=True)
class Text:
    """A message for people: a title that says it all in one line, before which the host is named, and what to know and do."""

    title: str
    message: str


def full_title(host: str, text: Text) -> str:
    """With the host before it, which is known by its first part where the whole is too long.

    >>> full_title("nas", Text("the CPU is 97 % busy", ""))
    'nas: the CPU is 97 % busy'
    """
    known = host if len(host) <= LONGEST_HOST else shortened(host.partition(".")[0], LONGEST_HOST)
    return f"{known}: {shortened(text.title, LONGEST_TITLE)}"


def shortened(text: str, longest: int) -> str:
    """
    >>> shortened("the heartbeat Worker is ok", 20)
    'the heartbeat Worke…'
    """
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def in_title(label: str) -> str:
    """A path or name without its middle, where it is too long for a title: both of its ends tell what it is.

    >>> in_title("/var/lib/docker/volumes/shop_db/_data")
    '/var/lib/do…p_db/_data'
    """
    if len(label) <= LONGEST_LABEL:
        return label
    half = LONGEST_LABEL // 2
    return f"{label[:half]}…{label[1 - half :]}"
