"""The webhook of n8n: one POST, by requests. Delivered means 2xx.

To check it, it is asked what a browser asks before it posts across sites: OPTIONS, with an `Origin` and the method to come (the
Fetch standard, "CORS-preflight request"), and nothing is started by that. n8n answers 204, with the methods of the address, if a
workflow with that path is active, and 404 if none is; without an `Origin` it answers 204 to any path.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from traceback import walk_tb
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from heartbeatd import __version__
from heartbeatd.config.alerts import AlertsConfig
from heartbeatd.config.several import headers_of
from heartbeatd.core.delivery import Failure
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.notification import Notification
from heartbeatd.core.plain import plain
from heartbeatd.core.redact import Redactor, redact_url, secrets_in
from heartbeatd.net.answer import RequestError
from heartbeatd.net.explain import to_request_error
from heartbeatd.net.target import Target
from heartbeatd.net.tls import trust_too
from heartbeatd.notify.failure import NotDelivered
from heartbeatd.notify.n8n import RESPOND, body_of, explained, failure_of
from heartbeatd.notify.protocol import Reached, Report
from heartbeatd.notify.stage import before_sending

_QUESTION = {"Access-Control-Request-Method": "POST"}
METHODS = "access-control-allow-methods"
LONGEST_METHODS = 100


class Webhook:
    """What requests would add of its own is taken away: redirects, .netrc, proxies and authorities from the environment."""

    hint = RESPOND

    def __init__(self, alerts: AlertsConfig) -> None:
        """Raises ConfigError if `alerts.ca_file` cannot be used."""
        url = alerts.webhook_url.reveal()
        self._redact = Redactor((*alerts.header_secrets, *secrets_in(url)))
        self._source = str(alerts.webhook_url.origin or "")
        target = Target.of(url)
        self._authorized = bool(target.authorization or alerts.webhook_headers)
        self._origin = f"{'https' if target.tls else 'http'}://{target.authority}"
        self._url = self._origin + target.path
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("https://", _Adapter(alerts.ca_file))
        self._session.headers.clear()
        self._session.headers.update(_headers(target))
        self._session.headers.update(headers_of(alerts.webhook_headers.reveal()))

    @property
    def address(self) -> str:
        return redact_url(self._url)

    def deliver(self, notification: Notification) -> int:
        """Of the answer only the status is read, and believed."""
        status = self._send("POST", data=body_of(notification)).status_code
        if not 200 <= status < 300:
            raise NotDelivered(f"HTTP {status}{explained(status)}", failure_of(status))
        return status

    def check(self) -> Report:
        """Whatever the status, it is one: what it means is for whoever asked."""
        began_ns = time.monotonic_ns()
        answer = self._send("OPTIONS", headers={"Origin": self._origin, **_QUESTION, "Content-Type": None})
        took_ms = (time.monotonic_ns() - began_ns) / 1e6
        methods = plain(answer.headers.get(METHODS, "")[:LONGEST_METHODS])
        return Report(
            Reached.ANSWERED,
            self.address,
            status=answer.status_code,
            methods=methods,
            took_ms=took_ms,
            authorized=self._authorized,
            source=self._source,
        )

    def _send(self, method: str, **more: Any) -> requests.Response:
        """Raises NotDelivered if there is no answer."""
        try:
            with self._session.request(method, self._url, allow_redirects=False, stream=True, **more) as answer:
                return answer
        except (requests.RequestException, OSError, http.client.HTTPException, UnicodeError) as error:
            failed = _not_delivered(error, self.address)
            raise NotDelivered(self._redact(str(failed)), failed.failure, failed.cause) from None


class _Adapter(HTTPAdapter):
    """TLS by whom requests trusts, which in Debian is whom the system trusts, and by the authorities in a file of the user's."""

    def __init__(self, ca_file: str) -> None:
        self._context = create_urllib3_context()  # which leaves the host's name for urllib3 to check
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        if ca_file:
            trust_too(self._context, ca_file, "alerts.ca_file", "heartbeat-notify")
        super().__init__()

    def init_poolmanager(self, *words: Any, **more: Any) -> None:
        super().init_poolmanager(*words, ssl_context=self._context, **more)  # type: ignore[no-untyped-call]


def _headers(target: Target) -> dict[str, str]:
    ours = {
        "User-Agent": f"heartbeatd/{__version__}",
        "Accept-Encoding": "identity",
        "Accept": "*/*",
        "Connection": "close",
    }
    if target.authorization:
        ours["Authorization"] = target.authorization
    return {**ours, "Content-Type": "application/json"}


def _not_delivered(error: Exception, shown: str) -> NotDelivered:
    """By what was raised first, below the words of requests and urllib3, and where."""
    first = [e for e in _chain(error) if isinstance(e, OSError | http.client.HTTPException)]
    root = first[-1] if first else error
    if isinstance(root, requests.exceptions.SSLError):  # nothing below it: urllib3's own look at the certificate
        return NotDelivered("tls: certificate refused: it is not for this host's name", Failure.DOWN, Cause.TLS)
    if isinstance(root, requests.RequestException | UnicodeError):  # nothing below it: its own look at the URL
        return NotDelivered(f"{type(root).__name__}: {shown} is no address to post to", Failure.DOWN)
    stage = before_sending(frame.f_code.co_name for frame, _ in walk_tb(root.__traceback__))
    if isinstance(root, socket.gaierror):
        return NotDelivered(str(RequestError(Cause.DNS, str(root.strerror))), Failure.DOWN, Cause.DNS)
    said = to_request_error(root, stage or "waiting for the answer")
    if stage:
        return NotDelivered(str(said), Failure.DOWN, said.cause)
    return NotDelivered(str(said), Failure.LATE if said.cause is Cause.TIMEOUT else Failure.ERROR, said.cause)


def _chain(error: BaseException | None) -> Iterator[Exception]:
    """An error and those it came of."""
    while isinstance(error, Exception):
        yield error
        error = error.__cause__ or error.__context__
