"""All other channels, by Apprise: e-mail, ntfy, Matrix and a hundred more.

Apprise says True or False, and why in its log alone.
"""

import logging
import re
import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from heartbeatd.config.alerts import ChannelConfig
from heartbeatd.core.alerting import Event
from heartbeatd.core.delivery import Failure
from heartbeatd.core.notification import Notification
from heartbeatd.core.redact import Redactor
from heartbeatd.core.subject import Severity
from heartbeatd.notify.channels.endpoint import endpoint_of
from heartbeatd.notify.failure import NotDelivered
from heartbeatd.notify.n8n import failure_of
from heartbeatd.notify.protocol import Reached, Report

_LIBRARY = "apprise is not installed: apt install apprise"
_STATUS = re.compile(r"error=(\d{3})")
_SHORTEST = 4  # a piece of a URL that is shorter hides nothing


class Apprise:
    """One channel."""

    hint = ""

    def __init__(self, channel: ChannelConfig, timeout_s: float) -> None:
        """Raises NotDelivered if Apprise is not installed, or can make no use of the URL."""
        try:
            import apprise
        except ImportError:
            raise NotDelivered(_LIBRARY, Failure.DOWN) from None
        self._apprise, url = apprise, channel.url.reveal()
        self._log = _Log()
        # As long as a try may take, unless the URL says otherwise (cto=, rto=): the deadline comes first.
        apprise.URLBase.socket_connect_timeout = apprise.URLBase.socket_read_timeout = timeout_s + 1
        asset = apprise.AppriseAsset(app_id="heartbeatd", app_desc="heartbeatd", async_mode=False)
        service = apprise.Apprise.instantiate(url, asset=asset)
        self._redact = Redactor(_secrets(url, service))
        if service is None:
            said = self._redact(self._log.why())
            raise NotDelivered(f"Apprise can make nothing of its URL{said and f' ({said})'}", Failure.REFUSED)
        self._service, self._endpoint = service, endpoint_of(service)
        if service.verify_certificate:
            # smtplib checks no certificate unless it is given a context, and Apprise 1.2 gives it none.
            ssl._create_stdlib_context = lambda **_: ssl.create_default_context()  # type: ignore[attr-defined]
        self._sender = apprise.Apprise(asset=asset)
        self._sender.add(service)

    @property
    def address(self) -> str:
        return str(self._endpoint or self._service.service_name)

    def check(self) -> Report:
        """A connection to where it is, if that can be known."""
        if self._endpoint is None:
            return Report(Reached.UNDERSTOOD, self.address)
        began_ns = time.monotonic_ns()
        self._endpoint.connect(verify=self._service.verify_certificate)
        took_ms = (time.monotonic_ns() - began_ns) / 1e6
        return Report(Reached.SECURED if self._endpoint.tls else Reached.CONNECTED, self.address, took_ms=took_ms)

    def deliver(self, notification: Notification) -> None:
        """With the severity as a type of Apprise's, which each service shows in its own way."""
        self._log.forget()
        done = self._sender.notify(
            title=notification.title,
            body=notification.message,
            notify_type=self._type(notification),
            body_format=self._apprise.NotifyFormat.TEXT,
        )
        if not done:
            reason = self._redact(self._log.why()) or "Apprise does not say why"
            raise NotDelivered(reason, _failure(reason))

    def _type(self, notification: Notification) -> str:
        types = self._apprise.NotifyType
        if notification.details.get("event") == Event.RECOVERY:
            return str(types.SUCCESS)
        by_severity = {Severity.CRITICAL: types.FAILURE, Severity.WARNING: types.WARNING}
        return str(by_severity.get(notification.severity, types.INFO))


def _failure(reason: str) -> Failure:
    """By the status or the words that Apprise's plugins and Python's libraries use. ntfy's 41301 is a 413."""
    if status := _STATUS.search(reason):
        return failure_of(int(status.group(1)))
    if re.search(r"timed out|timeout", reason, re.IGNORECASE):
        return Failure.LATE
    return Failure.DOWN if re.search(r"connection|socket|resolution|throttle", reason, re.IGNORECASE) else Failure.ERROR


class _Log(logging.Handler):
    """Why a try failed, by what Apprise logs of it: a warning or error, and the exception that it tells of at level debug.

    That is the first one, or the first with a status: what a plugin says after it is what it could not do then.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.forget()
        log = logging.getLogger("apprise")
        log.setLevel(logging.DEBUG)
        log.propagate = False
        log.addHandler(self)

    def forget(self) -> None:
        """Begin anew."""
        self._warning = self._exception = ""
        self._kept = False  # the latest warning, of which the next exception is

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().strip()
        if record.exc_info and record.exc_info[0]:
            text = f"{text}: {record.exc_info[0].__name__}"
        if record.levelno >= logging.WARNING:
            self._kept = not self._warning or (bool(_STATUS.search(text)) and not _STATUS.search(self._warning))
            if self._kept:
                self._warning, self._exception = text, ""
        elif self._kept and text.startswith(("Socket Exception:", "I/O Exception:")):
            self._exception = text.partition(":")[2].strip()

    def why(self) -> str:
        """Both; "" if nothing was said."""
        return ": ".join(text.rstrip(".") for text in (self._warning, self._exception) if text)


def _secrets(url: str, service: Any) -> Iterator[str]:
    """What of a URL is not to be shown, as it is written and as it is meant: all but a host's name and what Apprise shows of
    a query. A topic of ntfy's is as good as a password, and stands where others have a host or a path.
    """
    rest, _, query = url.partition("://")[2].partition("?")
    shown, host = (service.url(privacy=True), str(service.host)) if service is not None else ("", "")
    pieces = [
        piece for piece in re.split(r"[/:@,]+", rest) if not piece.isdigit() and not ("." in host and piece == host)
    ]
    values = [value for value in re.split(r"[&=]", query) if value not in shown]
    for piece in (url, rest, *pieces, *values):
        yield from (form for form in (piece, unquote(piece)) if len(form) >= _SHORTEST)
