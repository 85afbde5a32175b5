"""Where a channel of Apprise's is, as far as its plugin tells, and whether a connection can be made to there.

Apprise has no question of its own for that. Some plugins have the host in their URL, some a server in their code, and others,
such as syslog, have none.
"""

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from heartbeatd.core.delivery import Failure
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.answer import RequestError
from heartbeatd.net.explain import to_request_error
from heartbeatd.notify.failure import NotDelivered


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`tls`: it speaks TLS from the first byte on."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        """E.g. `ntfy.sh:443`, `[::1]:25`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def connect(self, *, verify: bool) -> None:
        """Waits for as long as it takes. Raises NotDelivered."""
        at = "connecting"
        try:
            with socket.create_connection((self.host, self.port)) as connection:
                if self.tls:
                    at = "shaking hands by TLS"
                    context = ssl.create_default_context() if verify else ssl._create_unverified_context()
                    context.wrap_socket(connection, server_hostname=self.host).close()
        except socket.gaierror as error:
            raise _not_delivered(RequestError(Cause.DNS, str(error.strerror))) from None
        except (OSError, UnicodeError) as error:
            raise _not_delivered(to_request_error(error, at)) from None


def endpoint_of(service: Any) -> Endpoint | None:
    """Of Apprise's plugin for a URL; None where it does not tell."""
    if host := getattr(service, "smtp_host", None):
        return Endpoint(host, service.port, bool(service.secure) and str(service.secure_mode) == "ssl")
    mode, host = str(getattr(service, "mode", "")), str(service.host or "")
    if mode == "cloud":
        return _of_url(getattr(service, "cloud_notify_url", ""))
    if "host" not in service.template_tokens:
        return _of_url(getattr(service, "notify_url", ""))
    if not host or (mode and "." not in host):  # a plugin with modes may have a token in its place
        return None
    return Endpoint(host, service.port or (443 if service.secure else 80), bool(service.secure))


def _of_url(url: object) -> Endpoint | None:
    parts = urlsplit(str(url))
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.hostname or ""):
        return None
    tls = parts.scheme == "https"
    return Endpoint(str(parts.hostname), parts.port or (443 if tls else 80), tls)


def _not_delivered(error: RequestError) -> NotDelivered:
    return NotDelivered(str(error), Failure.DOWN, error.cause)
