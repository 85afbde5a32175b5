"""The webhook of n8n: one POST, by requests. Delivered means 2xx."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from traceback import walk_tb
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from heartbeatd import __version__
from heartbeatd.config.model import AlertsConfig
from heartbeatd.config.several import headers_of
from heartbeatd.core.delivery import Failure
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.notification import Notification
from heartbeatd.core.redact import Redactor, redact_url, secrets_in
from heartbeatd.net.answer import RequestError
from heartbeatd.net.explain import to_request_error
from heartbeatd.net.target import Target
from heartbeatd.net.tls import trust_too
from heartbeatd.notify.failure import NotDelivered
from heartbeatd.notify.n8n import RESPOND, body_of, explained, failure_of
from heartbeatd.notify.stage import before_sending


class Webhook:
    """What requests would add of its own is taken away: redirects, .netrc, proxies and authorities from the environment."""

    hint = RESPOND

    def __init__(self, alerts: AlertsConfig) -> None:
        """Raises ConfigError if `alerts.ca_file` cannot be used."""
        url = alerts.webhook_url.reveal()
        self._redact = Redactor((*alerts.header_secrets, *secrets_in(url)))
        self._target = Target.of(url)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("https://", _Adapter(alerts.ca_file))
        self._session.headers.clear()
        self._session.headers.update(_headers(self._target))
        self._session.headers.update(headers_of(alerts.webhook_headers.reveal()))

    def deliver(self, notification: Notification) -> int:
        """Of the answer only the status is read, and believed."""
        url = f"{'https' if self._target.tls else 'http'}://{self._target.authority}{self._target.path}"
        try:
            with self._session.post(url, data=body_of(notification), allow_redirects=False, stream=True) as answer:
                status = answer.status_code
        except (requests.RequestException, OSError, http.client.HTTPException, UnicodeError) as error:
            failed = _not_delivered(error, redact_url(url))
            raise NotDelivered(self._redact(str(failed)), failed.failure) from None
        if not 200 <= status < 300:
            raise NotDelivered(f"HTTP {status}{explained(status)}", failure_of(status))
        return status


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
        return NotDelivered("tls: certificate refused: it is not for this host's name", Failure.DOWN)
    if isinstance(root, requests.RequestException | UnicodeError):  # nothing below it: its own look at the URL
        return NotDelivered(f"{type(root).__name__}: {shown} is no address to post to", Failure.DOWN)
    stage = before_sending(frame.f_code.co_name for frame, _ in walk_tb(root.__traceback__))
    if isinstance(root, socket.gaierror):
        return NotDelivered(str(RequestError(Cause.DNS, str(root.strerror))), Failure.DOWN)
    said = to_request_error(root, stage or "waiting for the answer")
    if stage:
        return NotDelivered(str(said), Failure.DOWN)
    return NotDelivered(str(said), Failure.LATE if said.cause is Cause.TIMEOUT else Failure.ERROR)


def _chain(error: BaseException | None) -> Iterator[Exception]:
    """An error and those it came of."""
    while isinstance(error, Exception):
        yield error
        error = error.__cause__ or error.__context__
