"""The webhook: one POST of an alert to n8n. Delivered means 2xx; everything else is to be tried again."""

from heartbeatd.core.model import Alert
from heartbeatd.core.payload import delivery
from heartbeatd.net.answer import NoAnswer
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target
from heartbeatd.waiting import Waiter


class NotDelivered(Exception):
    """This try failed; the text says why, without the URL's user info or query."""


class Webhook:
    """Posts alerts to `url`, each try within `timeout_s` in all."""

    def __init__(self, client: Client, url: str, timeout_s: float) -> None:
        self._client, self._target, self._timeout_s = client, Target.of(url), timeout_s

    def send(self, alert: Alert, now_ns: int, waiter: Waiter) -> int:
        """Deliver `alert` and return the status, a 2xx. Raises NotDelivered, or Interrupted when the agent is stopping."""
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._client.send(
                Request("POST", self._target, headers, delivery(alert, now_ns)), self._timeout_s, waiter
            )
        except NoAnswer as error:
            raise NotDelivered(str(error)) from None
        if not 200 <= answer.status < 300:
            raise NotDelivered(f"HTTP {answer.status}" + (_NOT_REGISTERED if answer.status == 404 else ""))
        return answer.status

    def distrust(self) -> None:
        """Make a new connection for the next alert. Safe from any thread."""
        self._client.distrust()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


_NOT_REGISTERED = " (n8n answers so while the workflow is not active, or to a wrong path)"
