"""Why a try to deliver failed, and what that says about the alert and those behind it."""

from enum import StrEnum


class Failure(StrEnum):
    """What a try that failed says about the alert, and about those behind it."""

    DOWN = "down"  # the channel takes nothing at present, or nothing with these credentials, or at this address
    ERROR = "error"  # it broke off over this alert, or over any
    REFUSED = "refused"  # it does not take this alert
    LATE = "late"  # it was sent this alert, and may have taken it, but did not answer in time
    UNREADABLE = "unreadable"  # what is stored is no alert


class NotDelivered(Exception):
    """This try failed; the text says why, without the URL's user info or query."""

    def __init__(self, reason: str, failure: Failure) -> None:
        self.failure = failure
        super().__init__(reason)
