"""A try to deliver that failed."""

from heartbeatd.core.delivery import Failure
from heartbeatd.core.heartbeat import Cause


class NotDelivered(Exception):
    """This try failed; the text says why, without the URL's user info or query.

    `cause` is what kept an answer away, where that is known.
    """

    def __init__(self, reason: str, failure: Failure, cause: Cause | None = None) -> None:
        self.failure, self.cause = failure, cause
        super().__init__(reason)
