"""A client for one server at a time, with one kept-alive connection and a total deadline.

The library at hand, `http.client`, bounds each socket operation, not the whole request, and name resolution not at all. Here a
request ends at its deadline, whatever the other side does: each operation gets only the time that is left for all of them.
Only a name lookup can outlast it, and that has a thread of its own (`resolve`). Whoever waits does so with a `CancelToken`, which
ends the request at once.

The contract of a request:

- one try, and one quick retry if that failed without an answer, was not a matter of time or certificates, and time allows;
  the retry is what a kept-alive connection that the other side closed costs;
- a kept connection may have died without a word (another WAN address, a NAT table flushed). If nothing at all comes on one for
  half of the time, a request that may be repeated is sent once more, over a new connection; the kept one stays open meanwhile,
  and its answer counts if the new one brings none in time. So that a server that is merely slow is not sent everything twice,
  the kept connection is given `LEAST_PATIENCE_S`, and twice the time of the slowest of the last answers, if that is longer;
  where this leaves no time for a second try, there is none;
- so a request is sent twice at the most;
- an answer has `ANSWER_BYTES` at the most, up to `INTERIM_ANSWERS` interim ones (1xx) before it included;
- the answer counts once its status line and headers are in; its body is not waited for, unless the request asks for the beginning
  of it. What has come of it by the next request is read then, at most `DRAIN_BYTES`, to go on with the connection; if that was
  not all of it, a new one is made;
- no redirect is followed, no cookie kept, and neither proxy variables nor netrc are looked at.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from http.client import HTTPException, HTTPResponse

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.answer import Answer, RequestError
from heartbeatd.net.connect import connect
from heartbeatd.net.deadline_socket import DeadlineSocket
from heartbeatd.net.explain import to_request_error
from heartbeatd.net.message import DRAIN_BYTES, Final, Request, drained, explaining, inspected, message
from heartbeatd.net.resolve import Address, Names
from heartbeatd.net.target import Target
from heartbeatd.net.tls import create_ssl_context

__all__ = ["DRAIN_BYTES", "Client", "Request"]

ANSWER_BYTES = 64 * 1024
HANDSHAKE_BYTES = 128 * 1024
RETRY_PAUSE_S = 0.2
LEAST_PATIENCE_S = 0.5
_SENT = "waiting for the answer"
_FADING = 0.9  # how much of the slowest answer's time is left of it after another
_NO_RETRY = (Cause.TIMEOUT, Cause.TLS)


class Client:
    """Sends requests one after the other; see the module's contract. `ca_file` is trusted beside the system's own CAs.

    `tls` is used in place of a context of its own. Raises ConfigError if `ca_file` cannot be used.
    """

    def __init__(self, resolver: Names, user_agent: str, ca_file: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._resolver, self._user_agent = resolver, user_agent
        self._tls = create_ssl_context(ca_file) if ca_file else tls
        self._wire: DeadlineSocket | None = None
        self._server: tuple[bool, str, int] | None = None
        self._response: HTTPResponse | None = None
        self._phase, self._sent = "", 0  # what is being done of a request, and how often it has been sent
        self._slowest_s = 0.0
        self._distrusted = False

    def send(self, request: Request, timeout_s: float, cancel: CancelToken) -> Answer:
        """`request` from beginning to end. Raises RequestError, or Cancelled."""
        deadline_ns, self._sent = cancel.deadline(timeout_s), 0
        try:
            return self._try(request, deadline_ns, cancel)
        except RequestError as first:
            if self._sent > 1 or not _may_retry(first, deadline_ns, cancel):
                raise
            return self._try(request, deadline_ns, cancel)

    def distrust(self) -> None:
        """Make a new connection for the next request: the kept one may be dead. Safe from any thread."""
        self._distrusted = True

    def close(self) -> None:
        """Let go of the connection."""
        response, wire = self._response, self._wire
        self._response = self._wire = None
        if wire is not None:
            if response is not None:
                drained(wire, response)  # what is left unread would have the other side see a reset in place of an end
            wire.close()

    def _try(self, request: Request, deadline_ns: int, cancel: CancelToken) -> Answer:
        with self._explaining():
            began_ns, kept = cancel.clock.monotonic_ns(), self._kept(request.target)
            if kept is None:
                return self._ask_anew(request, deadline_ns, cancel)
            asked_ns = self._say(kept, request, deadline_ns, cancel)
            patience_ns = self._patience_ns(asked_ns, deadline_ns) if request.repeatable else deadline_ns
            if patience_ns >= deadline_ns or kept.heard_by(patience_ns):
                return self._hear(kept, request, began_ns, asked_ns, cancel)
            self._wire = None
        try:
            return self._ask_anew_while(kept, request, asked_ns, deadline_ns, cancel)
        finally:
            if kept is not self._wire:
                kept.close()

    def _ask_anew_while(
        self, silent: DeadlineSocket, request: Request, asked_ns: int, deadline_ns: int, cancel: CancelToken
    ) -> Answer:
        """What a new connection brings or, if that is nothing in time, what has come after all on the one that was silent."""
        try:
            with self._explaining():
                return self._ask_anew(request, deadline_ns, cancel)
        except RequestError as error:
            if error.cause is not Cause.TIMEOUT or not silent.heard_by(deadline_ns):
                raise
        with self._explaining():
            self._wire = silent
            silent.allow_no_waiting(ANSWER_BYTES)
            return self._hear(silent, request, asked_ns, asked_ns, cancel)

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        """Whatever fails in the block ends the connection, and becomes a RequestError, unless it is Cancelled."""
        try:
            yield
        except Cancelled:
            self.close()
            raise
        except (RequestError, HTTPException, OSError, ValueError) as error:
            self.close()
            failed = to_request_error(error, self._phase)
            failed.sent = self._phase == _SENT
            raise failed from error

    def _ask_anew(self, request: Request, deadline_ns: int, cancel: CancelToken) -> Answer:
        began_ns = cancel.clock.monotonic_ns()
        wire = self._dial(request.target, deadline_ns, cancel)
        asked_ns = self._say(wire, request, deadline_ns, cancel)
        return self._hear(wire, request, began_ns, asked_ns, cancel)

    def _say(self, wire: DeadlineSocket, request: Request, deadline_ns: int, cancel: CancelToken) -> int:
        """Send the request; when that was."""
        self._phase, self._sent = _SENT, self._sent + 1
        wire.allow(cancel, deadline_ns, ANSWER_BYTES)
        wire.sendall(message(request, self._user_agent))
        return cancel.clock.monotonic_ns()

    def _hear(
        self, wire: DeadlineSocket, request: Request, began_ns: int, asked_ns: int, cancel: CancelToken
    ) -> Answer:
        response = Final(wire, method=request.method)  # type: ignore[arg-type]  # all it needs of a socket
        try:
            response.begin()
        except BaseException:
            response.close()  # or its destructor would, when what it reads from may be closed already
            raise
        self._response = response
        headers = explaining(response)
        now_ns = cancel.clock.monotonic_ns()
        self._slowest_s = max((now_ns - asked_ns) / 1e9, self._slowest_s * _FADING)
        found = None if request.inspect is None else inspected(response, request.inspect, wire.certificate_ends_s)
        return Answer(response.status, (now_ns - began_ns) / 1e6, headers, found)

    def _patience_ns(self, asked_ns: int, deadline_ns: int) -> int:
        """Until when a kept connection may be silent; beyond the deadline if it should have all the time there is."""
        half_s = (deadline_ns - asked_ns) / 2e9
        return asked_ns + int(max(half_s, LEAST_PATIENCE_S, 2 * self._slowest_s) * 1e9)

    def _kept(self, target: Target) -> DeadlineSocket | None:
        """The kept connection if it leads there and is still good. If not, it is closed."""
        wire, response, distrusted = self._wire, self._response, self._distrusted
        self._response, self._distrusted = None, False
        same = wire is not None and self._server == _server(target) and not distrusted
        if wire is not None and response is not None and same and drained(wire, response):
            return wire
        self.close()
        return None

    def _dial(self, target: Target, deadline_ns: int, cancel: CancelToken) -> DeadlineSocket:
        if cancel.cancelled:
            raise Cancelled
        if target.tls and self._tls is None:
            self._tls = create_ssl_context()  # one for all connections: it is what is dear in them
        self._server = _server(target)
        self._phase = "resolving the name"
        addresses = self._resolver.lookup(target.host, target.port, deadline_ns, cancel)
        self._phase = "connecting"
        try:
            sock = connect(addresses, deadline_ns, cancel)
        except RequestError as error:
            raise _pointing_at_us(error, target.host, addresses) from None
        self._phase = "talking to the server"
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = self._wire = DeadlineSocket(sock, cancel, deadline_ns, HANDSHAKE_BYTES)
        if target.tls and self._tls is not None:
            wire.secure(self._tls, target.host)
        return wire


def _server(target: Target) -> tuple[bool, str, int]:
    return target.tls, target.host, target.port


def _may_retry(first: RequestError, deadline_ns: int, cancel: CancelToken) -> bool:
    if first.cause in _NO_RETRY:
        return False
    if first.cause is Cause.DNS and cancel.seconds_until(deadline_ns) < RETRY_PAUSE_S:
        return False
    # A kept-alive connection that the other side closed needs no pause; a refusal may pass in a moment.
    if first.cause is not Cause.RESET:
        cancel.wait(lambda: False, min(cancel.deadline(RETRY_PAUSE_S), deadline_ns))
    return cancel.seconds_until(deadline_ns) > 0


def _pointing_at_us(error: RequestError, host: str, addresses: Sequence[Address]) -> RequestError:
    """The same, with a word about a name that leads to this host itself: some DNS filters answer so."""
    ours = addresses[0].sockaddr[0] if addresses and all(a.is_loopback for a in addresses) else host
    if error.cause is not Cause.REFUSED or ours == host or host == "localhost":
        return error
    return RequestError(error.cause, f"{error.detail} ({host} is {ours}, which is this host itself)")
