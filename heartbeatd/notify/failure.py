"""A try to deliver that failed."""

from heartbeatd.core.delivery import Failure


class NotDelivered(Exception):
    """This try failed; the text says why, without the URL's user info or query."""

    def __init__(self, reason: str, failure: Failure) -> None:
        self.failure = failure
        super().__init__(reason)
