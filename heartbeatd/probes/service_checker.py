"""One look at a service, in a thread that waits for it: over HTTP, TCP, or by asking systemd."""

import ssl
import threading
from collections.abc import Callable

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.clock import Clock
from heartbeatd.core.heartbeat import Cause
from heartbeatd.core.service import (
    HEALTHY,
    Outcome,
    Service,
    ServiceCheck,
    ServiceKind,
    ServiceState,
    Why,
    of_answer,
    of_unit,
    without_answer,
)
from heartbeatd.net.answer import RequestError
from heartbeatd.net.connect import connect
from heartbeatd.net.http import Client, Request
from heartbeatd.net.outside import Located
from heartbeatd.net.resolve import Names
from heartbeatd.net.target import Target
from heartbeatd.net.tls import create_ssl_context
from heartbeatd.probes.systemd import NotAsked, show

BODY_BYTES = 32 * 1024  # of an answer, in which a text is looked for
_DAY_S = 86_400
_UNIT = ("LoadState", "ActiveState", "SubState", "Result")

Look = Callable[[CancelToken], ServiceCheck]


class Checker:
    """Makes the look at each service; they share a context for TLS, which is made for the first that needs one."""

    def __init__(self, names: Names, user_agent: str, clock: Clock) -> None:
        self._names, self._user_agent, self._clock = names, user_agent, clock
        self._tls: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def at(self, service: Service) -> Look:
        """What looks at it, within its time. It never raises, but Cancelled."""
        look = {ServiceKind.HTTP: self._http, ServiceKind.TCP: self._tcp}.get(service.kind, self._unit)(service)

        def guarded(cancel: CancelToken) -> ServiceCheck:
            try:
                return look(cancel)
            except Cancelled:
                raise
            except Exception as error:  # noqa: BLE001 - one service must not end the thread that looks at others
                failed = Outcome(ServiceState.UNKNOWN, Why.NOT_ASKED, f"{type(error).__name__}: {error}")
                return ServiceCheck(service.name, self._clock.now_ns(), failed)

        return guarded

    def _http(self, service: Service) -> Look:
        located, target = Located(self._names, service.address), Target.of(service.at)
        request = Request("GET", target, repeatable=True, inspect=BODY_BYTES if service.expected.text else 0)

        def look(cancel: CancelToken) -> ServiceCheck:
            began_ns, days = cancel.clock.monotonic_ns(), None
            # A new connection each time: whoever comes to the service makes one, too.
            client = Client(located, self._user_agent, tls=self._context() if target.tls else None)
            try:
                answer = client.send(request, service.timeout_s, cancel)
                found = answer.inspected
                assert found is not None, "it was asked for"
                outcome = of_answer(service.expected, answer.status, found.headers, found.body)
                if found.certificate_ends_s is not None:
                    days = int((found.certificate_ends_s - self._clock.now_ns() / 1e9) // _DAY_S)
            except RequestError as error:
                outcome = without_answer(error.cause, error.detail)
            finally:
                client.close()
            return self._check(service, outcome, began_ns, located.is_outside(target.host), days)

        return look

    def _tcp(self, service: Service) -> Look:
        located = Located(self._names, service.address)
        host, _, port = service.at.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")

        def look(cancel: CancelToken) -> ServiceCheck:
            began_ns, deadline_ns = cancel.clock.monotonic_ns(), cancel.deadline(service.timeout_s)
            try:
                connect(located.lookup(host, int(port), deadline_ns, cancel), deadline_ns, cancel).close()
                outcome = HEALTHY
            except RequestError as error:
                outcome = without_answer(error.cause, error.detail)
            return self._check(service, outcome, began_ns, located.is_outside(host))

        return look

    def _unit(self, service: Service) -> Look:
        def look(cancel: CancelToken) -> ServiceCheck:
            began_ns = cancel.clock.monotonic_ns()
            try:
                outcome = of_unit(show(service.at, _UNIT, service.timeout_s, cancel))
            except NotAsked as error:
                outcome = Outcome(ServiceState.UNKNOWN, Why.NOT_ASKED, str(error))
            return self._check(service, outcome, began_ns, outside=False)

        return look

    def _check(
        self, service: Service, outcome: Outcome, began_ns: int, outside: bool, days: int | None = None
    ) -> ServiceCheck:
        took_ms = None
        if outcome.reason not in (*Cause, Why.NOT_ASKED):
            took_ms = (self._clock.monotonic_ns() - began_ns) / 1e6
        return ServiceCheck(service.name, self._clock.now_ns(), outcome, took_ms, days, outside)

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if self._tls is None:
                self._tls = create_ssl_context()
            return self._tls
