"""A client for one server at a time, with one kept-alive connection and a total deadline.

The library at hand, `http.client`, bounds each socket operation, not the whole request, and name resolution not at all. Here a
request ends at its deadline, whatever the other side does: each operation gets only the time that is left for all of them.
Only a name lookup can outlast it, and that has a thread of its own (`resolve`). Whoever waits may be interrupted: then the
connection is cut under the operation that waits for it.

The contract of a request:

- one try, and one quick retry if that failed without an answer, was not a matter of time or certificates, and time allows;
  the retry is what a kept-alive connection that the other side closed costs;
- the answer counts once its status line and headers are in; its body is not waited for. What has come of it by the next request
  is read then, at most `DRAIN_BYTES`, to go on with the connection; if that was not all of it, a new one is made;
- no redirect is followed, no cookie kept, and neither proxy variables nor netrc are looked at.
"""

import contextlib
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse

from heartbeatd.core.model import Cause
from heartbeatd.net.answer import EXPLAINING, Answer, Interrupted, NoAnswer
from heartbeatd.net.connect import connect
from heartbeatd.net.explain import explain
from heartbeatd.net.resolve import Resolver
from heartbeatd.net.target import Target
from heartbeatd.net.trust import trusting
from heartbeatd.net.wire import Wire
from heartbeatd.waiting import Waiter, seconds_from_now, seconds_until

DRAIN_BYTES = 16 * 1024
RETRY_PAUSE_S = 0.2
_NO_RETRY = (Cause.TIMEOUT, Cause.TLS)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `headers` may hold a secret, so none of this is ever printed."""

    method: str
    target: Target
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


class Client:
    """Sends requests one after the other; see the module's contract. `ca_file` is trusted beside the system's own CAs.

    Raises ConfigError if `ca_file` cannot be used.
    """

    def __init__(self, resolver: Resolver, user_agent: str, ca_file: str = "") -> None:
        self._resolver, self._user_agent = resolver, user_agent
        self._tls = trusting(ca_file) if ca_file else None
        self._wire: Wire | None = None
        self._server: tuple[bool, str, int] | None = None
        self._response: HTTPResponse | None = None
        self._phase = ""

    def send(self, request: Request, timeout_s: float, waiter: Waiter) -> Answer:
        """`request` from beginning to end. Raises NoAnswer; Interrupted if `waiter` is, which says nothing of the server."""
        deadline_ns = seconds_from_now(timeout_s)
        with waiter.ending(self.cut):
            try:
                return self._try(request, deadline_ns, waiter)
            except NoAnswer as first:
                if not _may_retry(first, deadline_ns, waiter):
                    raise
                return self._try(request, deadline_ns, waiter)

    def cut(self) -> None:
        """End the present connection under whatever is being done with it. Safe in a signal handler, and from any thread."""
        wire = self._wire
        if wire is not None:
            wire.cut()

    def close(self) -> None:
        """Let go of the connection."""
        response, wire = self._response, self._wire
        self._response = self._wire = None
        if wire is not None:
            if response is not None:
                _drained(wire, response)  # what is left unread would have the other side see a reset in place of an end
            wire.close()

    def _try(self, request: Request, deadline_ns: int, waiter: Waiter) -> Answer:
        began_ns = time.monotonic_ns()
        try:
            wire = self._connection(request.target, deadline_ns, waiter)
            self._phase = "waiting for the answer"
            wire.sendall(_message(request, self._user_agent))
            response = HTTPResponse(wire, method=request.method)  # type: ignore[arg-type]  # all it needs of a socket
            response.begin()
        except (NoAnswer, HTTPException, OSError, ValueError) as error:
            self.close()
            if waiter.interrupted:
                raise Interrupted from None
            raise explain(error, self._phase) from error
        self._response = response
        headers = {name: value[:100] for name in EXPLAINING if (value := response.headers.get(name))}
        return Answer(response.status, (time.monotonic_ns() - began_ns) / 1e6, headers)

    def _connection(self, target: Target, deadline_ns: int, waiter: Waiter) -> Wire:
        """The kept connection if it is still good, or a new one."""
        if waiter.interrupted:
            raise Interrupted
        wire, response, server = self._wire, self._response, (target.tls, target.host, target.port)
        self._response = None
        if wire is not None and response is not None and _drained(wire, response) and self._server == server:
            wire.deadline_ns = deadline_ns
            return wire
        self.close()
        self._server = server
        return self._dial(target, deadline_ns, waiter)

    def _dial(self, target: Target, deadline_ns: int, waiter: Waiter) -> Wire:
        if target.tls and self._tls is None:
            self._tls = trusting()  # one for all connections: it is what is dear in them
        self._phase = "resolving the name"
        addresses = self._resolver.lookup(target.host, target.port, deadline_ns, waiter)
        self._phase = "connecting"
        sock = connect(addresses, deadline_ns, waiter)
        self._phase = "talking to the server"
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.tls and self._tls is not None:
            # The handshake comes when there is something that can be cut.
            sock = self._tls.wrap_socket(sock, server_hostname=target.host, do_handshake_on_connect=False)
        wire = self._wire = Wire(sock, deadline_ns)
        if waiter.interrupted:
            raise Interrupted
        wire.shake_hands()
        return wire


def _may_retry(first: NoAnswer, deadline_ns: int, waiter: Waiter) -> bool:
    if first.cause in _NO_RETRY:
        return False
    if first.cause is Cause.DNS and seconds_until(deadline_ns) < RETRY_PAUSE_S:
        return False
    # A kept-alive connection that the other side closed needs no pause; a refusal may pass in a moment.
    if first.cause is not Cause.RESET:
        waiter.wait(lambda: False, min(seconds_from_now(RETRY_PAUSE_S), deadline_ns))
    return seconds_until(deadline_ns) > 0


def _drained(wire: Wire, response: HTTPResponse) -> bool:
    """True if the answer before has come whole, and nothing has come after it, an end of the connection least of all."""
    wire.deadline_ns = 0  # nothing is waited for
    with contextlib.closing(response):
        if response.will_close:
            return False
        try:
            response.read(DRAIN_BYTES)
        except (HTTPException, OSError, ValueError):
            return False
        return response.isclosed() and wire.quiet()


def _message(request: Request, user_agent: str) -> bytes:
    """The request as it goes over the wire (RFC 9112)."""
    target = request.target
    lines = [
        f"{request.method} {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        f"User-Agent: {user_agent}",
        "Accept-Encoding: identity",
        "Accept: */*",
        "Connection: keep-alive",
    ]
    if target.authorization:
        lines.append(f"Authorization: {target.authorization}")
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body is not None:
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (request.body or b"")
