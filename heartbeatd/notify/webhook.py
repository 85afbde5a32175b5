"""The webhook: one POST of an alert to n8n. Delivered means 2xx; everything else is to be tried again."""

from enum import StrEnum

from heartbeatd.cancel import CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.notification import Notification, QueuedNotification, for_this_try
from heartbeatd.core.payload import json_text
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target


class Failure(StrEnum):
    """What a try that failed says about the alert, and about those behind it."""

    DOWN = "down"  # the webhook takes nothing at present, or nothing with these credentials, or at this address
    ERROR = "error"  # it broke off over this alert, or over any
    REFUSED = "refused"  # it does not take this alert
    LATE = "late"  # it was sent this alert, and may have taken it, but did not answer in time
    UNREADABLE = "unreadable"  # what is stored is no alert


class NotDelivered(Exception):
    """This try failed; the text says why, without the URL's user info or query."""

    def __init__(self, reason: str, failure: Failure) -> None:
        self.failure = failure
        super().__init__(reason)


class Webhook:
    """Posts alerts to `url`, each try within `timeout_s` in all."""

    def __init__(self, client: Client, url: str, timeout_s: float) -> None:
        self._client, self._target, self._timeout_s = client, Target.of(url), timeout_s

    def send(self, alert: QueuedNotification, now_ns: int, waiter: CancelToken) -> int:
        """Deliver `alert` and return the status, a 2xx. Raises NotDelivered, or Interrupted when the agent is stopping."""
        headers = {"Content-Type": "application/json"}
        try:
            body = body_of(for_this_try(alert, now_ns))
        except (ValueError, TypeError, OverflowError):
            raise NotDelivered("what is stored is no notification", Failure.UNREADABLE) from None
        try:
            answer = self._client.send(Request("POST", self._target, headers, body), self._timeout_s, waiter)
        except RequestError as error:
            raise self._unanswered(error) from None
        if not 200 <= answer.status < 300:
            raise NotDelivered(f"HTTP {answer.status}{_explained(answer.status)}", failure_of(answer.status))
        return answer.status

    def distrust(self) -> None:
        """Make a new connection for the next alert. Safe from any thread."""
        self._client.distrust()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _unanswered(self, error: RequestError) -> NotDelivered:
        if not error.sent:
            return NotDelivered(str(error), Failure.DOWN)
        if error.cause is not Cause.TIMEOUT:
            return NotDelivered(str(error), Failure.ERROR)
        late = f"it was sent and not answered within {self._timeout_s:g} s; {RESPOND}"
        return NotDelivered(late, Failure.LATE)


def body_of(notification: Notification) -> bytes:
    """`notification` as n8n is told it, see heartbeat-protocol(7): JSON with `title`, `message` and `details`."""
    body = {"title": notification.title, "message": notification.message, "details": notification.details}
    return json_text(body).encode()


def failure_of(status: int) -> Failure:
    """What an answer that is no 2xx says. 401 and 403 are about the credentials, 404 about the flow; 408, 425, 429, 5xx pass."""
    if status == 500:
        return Failure.ERROR
    if 400 <= status < 500 and status not in (401, 403, 404, 408, 425, 429):
        return Failure.REFUSED
    return Failure.DOWN


RESPOND = "if this is n8n, set Respond of its Webhook node to Immediately"


def _explained(status: int) -> str:
    if status == 404:
        return " (n8n answers so while the workflow is not active, or to a wrong path)"
    if 300 <= status < 400:
        return " (redirects are not followed: set alerts.webhook_url to the address that answers itself)"
    return ""
