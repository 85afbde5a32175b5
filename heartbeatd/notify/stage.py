"""How far a try had come when it was over, by the names of the functions that it was in."""

from collections.abc import Iterable

# Python's, urllib3's and smtplib's names, from 3.11 and 1.26 on.
_LOOKUP = {"getaddrinfo"}
_BEFORE = {"connect", "create_connection", "do_handshake", "starttls", "ehlo", "helo", "login"}


def before_sending(functions: Iterable[str]) -> str:
    """What it was at, with a participle, while nothing of the notification had left; "" if it may have."""
    names = set(functions)
    if names & _LOOKUP:
        return "looking up the name"
    return "connecting" if names & _BEFORE else ""
