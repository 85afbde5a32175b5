"""A client for one URL at a time, with one kept-alive connection and a total deadline.

`requests` bounds each socket operation, not the whole request, and does not bound name resolution. Here a request runs on
the client's lane, and whoever waits for it stops at the deadline: then the connection is cut from outside, which ends
whatever the lane was reading or writing. Nothing can outlast its deadline but a name lookup, and that has a thread of its
own (`resolve`).

The contract of a request:

- one try, and one quick retry if that failed without an answer, was not a matter of time or certificates, and time allows;
  the retry is what a kept-alive connection that the other side closed costs;
- the answer counts once its status line and headers are in; at most `DRAIN_BYTES` of a body are read, to keep the
  connection, never to look at;
- no redirect is followed, no cookie kept, and neither proxy variables nor netrc are looked at.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import requests.adapters
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.util.ssl_

from heartbeatd.core.model import Cause
from heartbeatd.net.answer import Answer, Interrupted, NoAnswer, explain
from heartbeatd.net.connect import connect
from heartbeatd.net.resolve import Resolver
from heartbeatd.waiting import Call, Hung, Lane, Waiter, seconds_until

DRAIN_BYTES = 16 * 1024
RETRY_PAUSE_S = 0.2
_NO_RETRY = (Cause.TIMEOUT, Cause.TLS)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `headers` may hold a secret, so none of this is ever printed."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


class Exchange:
    """A request under way; `Pending` of an Answer."""

    def __init__(self, client: "Client", request: Request, deadline_ns: int, waiter: Waiter) -> None:
        self.deadline_ns = deadline_ns
        self.answer: Answer | None = None
        self.phase = "waiting for the request before it"
        self.given_up = False
        self.call: Call[None] | None = None
        self.request, self.waiter = request, waiter
        self._client = client

    def settled(self) -> bool:
        """True once the status is known, or it is known that none will come."""
        return self.answer is not None or (self.call is not None and self.call.settled())

    def outcome(self) -> Answer:
        """The answer. Raises NoAnswer, or Interrupted. A request that is not settled is cut off."""
        if not self.settled():
            self.given_up = True
            self._client.cut()
            if self.waiter.interrupted:
                raise Interrupted
            cause = Cause.DNS if self.phase == _RESOLVING else Cause.TIMEOUT
            raise NoAnswer(cause, f"gave up while {self.phase}")
        if self.answer is None and self.call is not None:
            self.call.outcome()  # raises why there is none
        if self.answer is None:
            raise NoAnswer(Cause.PROTOCOL, "no answer")
        return self.answer


_RESOLVING = "resolving the name"


class Client:
    """Sends requests one after the other; see the module's contract. `ca_file` is trusted beside the system's own CAs."""

    def __init__(self, lane: Lane, resolver: Resolver, user_agent: str, ca_file: str = "") -> None:
        self._lane, self._resolver = lane, resolver
        self._exchange: Exchange | None = None
        self._cutter: socket.socket | None = None
        self._session = _session(_Adapter(self._dial, _tls_context(ca_file)), user_agent)

    def start(self, request: Request, deadline_ns: int, waiter: Waiter) -> Exchange:
        """Begin `request`; wait for it with `waiter`."""
        exchange = Exchange(self, request, deadline_ns, waiter)
        if self._lane.busy:
            self.cut()  # the one before was given up, or its body is still dribbling in
            waiter.wait(lambda: not self._lane.busy, min(deadline_ns, time.monotonic_ns() + 100_000_000))
        try:
            exchange.call = self._lane.start(lambda: self._run(exchange), deadline_ns, waiter)
        except Hung as error:
            exchange.call = _settled(error, deadline_ns, waiter)
        return exchange

    def send(self, request: Request, timeout_s: float, waiter: Waiter) -> Answer:
        """`request` from beginning to end. Raises NoAnswer or Interrupted."""
        exchange = self.start(request, time.monotonic_ns() + int(timeout_s * 1e9), waiter)
        waiter.wait(exchange.settled, exchange.deadline_ns)
        return exchange.outcome()

    def cut(self) -> None:
        """End the present connection from outside, whatever its thread is doing with it."""
        cutter = self._cutter
        if cutter is not None:
            with contextlib.suppress(OSError):  # already gone
                cutter.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection. The lane is the caller's."""
        self.cut()
        self._session.close()
        self._drop_cutter()

    # On the lane's thread from here on.

    def _run(self, exchange: Exchange) -> None:
        self._exchange = exchange
        try:
            self._try(exchange)
        except NoAnswer as first:
            if not self._may_retry(exchange, first):
                raise
            self._try(exchange)

    def _may_retry(self, exchange: Exchange, first: NoAnswer) -> bool:
        if first.cause in _NO_RETRY or exchange.given_up:
            return False
        if first.cause is Cause.DNS and seconds_until(exchange.deadline_ns) < RETRY_PAUSE_S:
            return False
        # A kept-alive connection that the other side closed needs no pause; a refusal may pass in a moment.
        if first.cause is not Cause.RESET:
            time.sleep(min(RETRY_PAUSE_S, max(0.0, seconds_until(exchange.deadline_ns))))
        return not exchange.given_up and seconds_until(exchange.deadline_ns) > 0

    def _try(self, exchange: Exchange) -> None:
        began_ns = time.monotonic_ns()
        request = exchange.request
        left_s = max(0.001, seconds_until(exchange.deadline_ns))
        exchange.phase = "waiting for the answer"
        try:
            response = self._session.request(
                request.method,
                request.url,
                data=request.body,
                headers=dict(request.headers),
                timeout=left_s,
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise explain(error) from error
        exchange.answer = Answer(response.status_code, (time.monotonic_ns() - began_ns) / 1e6)
        exchange.waiter.ring()
        with contextlib.closing(response), contextlib.suppress(urllib3.exceptions.HTTPError, OSError, ValueError):
            response.raw.read(DRAIN_BYTES, decode_content=False)

    def _dial(self, host: str, port: int) -> socket.socket:
        """A connected socket, and a second handle on it with which the connection can be cut."""
        exchange = self._exchange
        assert exchange is not None, "connections are made only for a request"
        exchange.phase = _RESOLVING
        addresses = self._resolver.lookup(host, port, exchange.deadline_ns)
        exchange.phase = "connecting"
        sock = connect(addresses, exchange.deadline_ns)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(max(0.001, seconds_until(exchange.deadline_ns)))
        exchange.phase = "talking to the server"
        self._drop_cutter()
        # A dup, because TLS takes the socket object over; shutdown(2) works on the connection, not on the handle.
        self._cutter = sock.dup()
        if exchange.given_up:
            self.cut()
        return sock

    def _drop_cutter(self) -> None:
        cutter, self._cutter = self._cutter, None
        if cutter is not None:
            cutter.close()


class _Adapter(requests.adapters.HTTPAdapter):
    """One pool of one connection, made by `dial` and trusted by `tls`, on every version of requests that Debian has."""

    def __init__(self, dial: Callable[[str, int], socket.socket], tls: ssl.SSLContext) -> None:
        self._dial, self._tls = dial, tls
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._tls)  # type: ignore[no-untyped-call]
        self.poolmanager.pool_classes_by_scheme = _pool_classes(self._dial)

    def close(self) -> None:
        """Close the connection now: urllib3 2 would leave that to the garbage collector."""
        for key in self.poolmanager.pools.keys():  # noqa: SIM118 - not a dict, and not iterable
            self.poolmanager.pools[key].close()
        super().close()  # type: ignore[no-untyped-call]

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave trust to our own context: requests would load its bundle again for every connection."""
        conn.cert_reqs = "CERT_REQUIRED"


def _pool_classes(dial: Callable[[str, int], socket.socket]) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """urllib3's pools, but for who makes the connection: `_new_conn` is its own seam for that (SOCKS uses it too)."""

    class Plain(urllib3.connection.HTTPConnection):  # type: ignore[misc]  # untyped in Debian 12
        def _new_conn(self) -> socket.socket:
            return dial(self.host, self.port)

    class Tls(urllib3.connection.HTTPSConnection):  # type: ignore[misc]  # untyped in Debian 12
        def _new_conn(self) -> socket.socket:
            return dial(self.host, self.port)

    class PlainPool(urllib3.HTTPConnectionPool):  # type: ignore[misc]  # untyped in Debian 12
        ConnectionCls = Plain

    class TlsPool(urllib3.HTTPSConnectionPool):  # type: ignore[misc]  # untyped in Debian 12
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _session(adapter: _Adapter, user_agent: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy variables, no netrc, no REQUESTS_CA_BUNDLE
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _tls_context(ca_file: str) -> ssl.SSLContext:
    """urllib3's own context, since that of urllib3 1.26 checks host names itself, addresses among them."""
    context: ssl.SSLContext = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.load_default_certs()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def _settled(error: Hung, deadline_ns: int, waiter: Waiter) -> Call[None]:
    """A call that has already failed: the lane is still held by the request before it."""

    def fail() -> None:
        raise NoAnswer(Cause.TIMEOUT, str(error))

    call = Call("http", fail, deadline_ns, waiter)
    call.run()
    return call
