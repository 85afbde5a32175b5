"""The heartbeat: one authenticated POST to the Worker."""

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.core.heartbeat import HeartbeatResult
from heartbeatd.net.answer import RequestError
from heartbeatd.net.http import Client, Request
from heartbeatd.net.target import Target


class Heartbeat:
    """Beats at `url` with the Bearer `key`, each beat within `timeout_s` in all."""

    def __init__(self, client: Client, url: str, key: str, timeout_s: float) -> None:
        self._client, self._target, self._timeout_s = client, Target.of(url), timeout_s
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def send(self, body: bytes, cancel: CancelToken) -> HeartbeatResult | None:
        """One beat; None if it was broken off because the agent is stopping, which says nothing about the Worker."""
        try:
            request = Request("POST", self._target, self._headers, body, repeatable=True)
            answer = self._client.send(request, self._timeout_s, cancel)
        except RequestError as error:
            return HeartbeatResult(None, error.cause, error.detail)
        except Cancelled:
            return None
        return HeartbeatResult(answer.status, took_ms=answer.took_ms, headers=answer.headers)

    def distrust(self) -> None:
        """Make a new connection for the next beat."""
        self._client.distrust()

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
