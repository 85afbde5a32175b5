"""Name resolution that never holds anyone longer than a deadline.

getaddrinfo(3) cannot be interrupted, and waits 10 s and more on a resolver that never answers. So each lookup runs on a
thread of its own, at most one per host at a time: whoever asks while one is under way joins it.
"""

import socket
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

from heartbeatd.core.model import Cause
from heartbeatd.net.answer import NoAnswer
from heartbeatd.waiting import seconds_until


@dataclass(frozen=True, slots=True)
class Address:
    """One address to try: family (AF_INET or AF_INET6) and the tuple connect(2) takes."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    def at(self, port: int) -> "Address":
        """The same host's address with this port: a name has the same addresses whatever is asked of them."""
        host, _, *rest = self.sockaddr
        return Address(self.family, (host, port, *rest))  # type: ignore[arg-type]  # two or four, as it was


class Resolver:
    """Looks names up, one lookup in flight per host."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight: dict[str, Future[tuple[Address, ...]]] = {}

    def lookup(self, host: str, port: int, deadline_ns: int) -> tuple[Address, ...]:
        """The addresses of `host`, in the order RFC 6724 and gai.conf(5) give. Raises NoAnswer (dns)."""
        try:
            return _getaddrinfo(host, port, socket.AI_NUMERICHOST)
        except OSError:
            pass  # not an address: a name
        future = self._join(host)
        try:
            found = future.result(timeout=max(0.0, seconds_until(deadline_ns)))
        except FutureTimeoutError:
            raise NoAnswer(Cause.DNS, f"the resolver did not answer for {host}") from None
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise NoAnswer(Cause.DNS, f"{host}: {reason}") from error
        return tuple(address.at(port) for address in found)

    def _join(self, host: str) -> Future[tuple[Address, ...]]:
        with self._lock:
            future = self._in_flight.get(host)
            if future is None:
                future = self._in_flight[host] = Future()
                threading.Thread(target=self._look_up, args=(host, future), name=f"lookup {host}", daemon=True).start()
            return future

    def _look_up(self, host: str, future: Future[tuple[Address, ...]]) -> None:
        try:
            outcome: tuple[Address, ...] | OSError | UnicodeError = _getaddrinfo(host, 0, 0)
        except (OSError, UnicodeError) as error:
            outcome = error
        with self._lock:
            del self._in_flight[host]
        if isinstance(outcome, tuple):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)


def _getaddrinfo(host: str, port: int, flags: int) -> tuple[Address, ...]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return tuple(
        Address(family, sockaddr)  # type: ignore[arg-type]  # typeshed allows for families we do not ask for
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    )
