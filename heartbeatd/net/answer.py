"""What comes of a request: an answer, or the reason for having none."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import requests
import urllib3.exceptions
from urllib3.util.ssl_match_hostname import CertificateError

from heartbeatd.core.model import Cause


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status, and how long it took from the start of the try that got it."""

    status: int
    took_ms: float


class NoAnswer(Exception):
    """No status came back; `cause` and `detail` say why. The detail names hosts and system errors, never a secret."""

    def __init__(self, cause: Cause, detail: str) -> None:
        self.cause, self.detail = cause, detail
        super().__init__(f"{cause}: {detail}")


class Interrupted(Exception):
    """The wait for an answer was broken off because the agent is stopping: this says nothing about the other side."""


_LIBRARY = (requests.RequestException, urllib3.exceptions.HTTPError)


def explain(error: Exception) -> NoAnswer:
    """The cause behind what requests, urllib3, ssl or http.client raised: the most telling error in the chain decides."""
    chain = list(_chain(error))
    for kinds, cause in _TELLING:
        for link in chain:
            if isinstance(link, kinds):
                return NoAnswer(cause, _text(link))
    return NoAnswer(Cause.PROTOCOL, _text(chain[-1]))


_TELLING: tuple[tuple[tuple[type[BaseException], ...], Cause], ...] = (
    ((ssl.SSLCertVerificationError, CertificateError), Cause.TLS),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError), Cause.RESET),
    ((ssl.SSLError,), Cause.TLS),
    ((TimeoutError, urllib3.exceptions.TimeoutError), Cause.TIMEOUT),
    ((ConnectionRefusedError,), Cause.REFUSED),
    ((ConnectionError, http.client.IncompleteRead), Cause.RESET),
    ((socket.gaierror,), Cause.DNS),
    ((http.client.HTTPException,), Cause.PROTOCOL),
    ((OSError,), Cause.RESET),
)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all it wraps, however the library at hand wraps it; the libraries' own wrappers are passed over."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        link = todo.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        # requests' errors are OSErrors by inheritance only: they wrap, and tell nothing of their own.
        if not isinstance(link, _LIBRARY) or isinstance(link, urllib3.exceptions.TimeoutError):
            yield link
        todo += [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]
    yield error


def _text(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, CertificateError):
        return f"certificate refused: {error}"
    if isinstance(error, ssl.SSLError):
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return "the other side does not speak TLS (http:// in place of https://?)"
        return error.reason or str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, http.client.HTTPException):
        return type(error).__name__
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
