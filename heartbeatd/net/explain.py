"""From what the libraries raise to the reason for having no answer."""

import http.client
import ssl

from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.answer import RequestError
from heartbeatd.net.deadline_socket import Unusable


def to_request_error(error: Exception, phase: str) -> RequestError:
    """The cause behind what ssl, http.client or the system raised in a phase of the request, said with a participle."""
    if isinstance(error, RequestError):
        return error
    cause = next((cause for kinds, cause in _TELLING if isinstance(error, kinds)), Cause.PROTOCOL)
    return RequestError(cause, f"gave up while {phase}" if cause is Cause.TIMEOUT else _text(error))


_TELLING: tuple[tuple[tuple[type[BaseException], ...], Cause], ...] = (
    ((ssl.SSLCertVerificationError,), Cause.TLS),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError), Cause.RESET),
    ((ssl.SSLError,), Cause.TLS),
    ((TimeoutError, BlockingIOError), Cause.TIMEOUT),
    ((ConnectionRefusedError,), Cause.REFUSED),
    ((ConnectionError, http.client.IncompleteRead), Cause.RESET),
    ((http.client.HTTPException,), Cause.PROTOCOL),
    ((OSError,), Cause.RESET),
)


def _text(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return "the other side does not speak TLS (http:// in place of https://?)"
        return error.reason or str(error)
    if isinstance(error, http.client.RemoteDisconnected):
        return "the other side hung up without an answer"
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
