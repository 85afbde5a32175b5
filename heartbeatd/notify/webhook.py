"""The webhook: one POST of an alert to n8n. Delivered means 2xx; everything else is to be tried again."""

from heartbeatd.cancel import CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.notification import QueuedNotification, for_this_try
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target
from heartbeatd.notify.failure import Failure as Failure
from heartbeatd.notify.failure import NotDelivered as NotDelivered
from heartbeatd.notify.n8n import RESPOND, explained
from heartbeatd.notify.n8n import body_of as body_of
from heartbeatd.notify.n8n import failure_of as failure_of


class Webhook:
    """Posts alerts to `url`, each try within `timeout_s` in all."""

    def __init__(self, client: Client, url: str, timeout_s: float) -> None:
        self._client, self._target, self._timeout_s = client, Target.of(url), timeout_s

    def send(self, alert: QueuedNotification, now_ns: int, cancel: CancelToken) -> int:
        """Deliver `alert` and return the status, a 2xx. Raises NotDelivered, or Cancelled."""
        headers = {"Content-Type": "application/json"}
        try:
            body = body_of(for_this_try(alert, now_ns))
        except (ValueError, TypeError, OverflowError):
            raise NotDelivered("what is stored is no notification", Failure.UNREADABLE) from None
        try:
            answer = self._client.send(Request("POST", self._target, headers, body), self._timeout_s, cancel)
        except RequestError as error:
            raise self._unanswered(error) from None
        if not 200 <= answer.status < 300:
            raise NotDelivered(f"HTTP {answer.status}{explained(answer.status)}", failure_of(answer.status))
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
