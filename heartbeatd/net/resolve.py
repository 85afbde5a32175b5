"""Name resolution that never holds anyone longer than a deadline.

getaddrinfo(3) cannot be interrupted, and waits 10 s and more on a resolver that never answers. So each lookup runs on a
thread of its own, at most one per host at a time: whoever asks while one is under way joins it.
"""

import socket
import threading
from dataclasses import dataclass

from heartbeatd.core.model import Cause
from heartbeatd.net.answer import Interrupted, NoAnswer
from heartbeatd.waiting import Waiter


@dataclass(frozen=True, slots=True)
class Address:
    """One address to try: family (AF_INET or AF_INET6) and the tuple connect(2) takes."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    def at(self, port: int) -> "Address":
        """The same host's address with this port: a name has the same addresses whatever is asked of them."""
        host, _, *rest = self.sockaddr
        return Address(self.family, (host, port, *rest))  # type: ignore[arg-type]  # two or four, as it was


class _Lookup:
    """One lookup under way, and who waits for it."""

    def __init__(self) -> None:
        self.outcome: tuple[Address, ...] | OSError | UnicodeError | None = None
        self.waiters: list[Waiter] = []


class Resolver:
    """Looks names up, one lookup in flight per host."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight: dict[str, _Lookup] = {}

    def lookup(self, host: str, port: int, deadline_ns: int, waiter: Waiter) -> tuple[Address, ...]:
        """The addresses of `host`, in the order RFC 6724 and gai.conf(5) give. Raises NoAnswer (dns), or Interrupted."""
        try:
            return _getaddrinfo(host, port, socket.AI_NUMERICHOST)
        except OSError:
            pass  # not an address: a name
        lookup = self._join(host, waiter)
        waiter.wait(lambda: lookup.outcome is not None, deadline_ns)
        found = lookup.outcome
        if isinstance(found, tuple):
            return tuple(address.at(port) for address in found)
        if waiter.interrupted:
            raise Interrupted
        if found is None:
            raise NoAnswer(Cause.DNS, f"the resolver did not answer for {host}")
        reason = found.strerror if isinstance(found, OSError) and found.strerror else str(found)
        raise NoAnswer(Cause.DNS, f"{host}: {reason}") from found

    def _join(self, host: str, waiter: Waiter) -> _Lookup:
        with self._lock:
            lookup = self._in_flight.get(host)
            if lookup is None:
                lookup = self._in_flight[host] = _Lookup()
                threading.Thread(target=self._look_up, args=(host, lookup), name=f"lookup {host}", daemon=True).start()
            lookup.waiters.append(waiter)
            return lookup

    def _look_up(self, host: str, lookup: _Lookup) -> None:
        try:
            outcome: tuple[Address, ...] | OSError | UnicodeError = _getaddrinfo(host, 0, 0)
        except (OSError, UnicodeError) as error:
            outcome = error
        with self._lock:
            del self._in_flight[host]
            lookup.outcome = outcome
        for waiter in lookup.waiters:
            waiter.ring()


def _getaddrinfo(host: str, port: int, flags: int) -> tuple[Address, ...]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return tuple(
        Address(family, sockaddr)  # type: ignore[arg-type]  # typeshed allows for families we do not ask for
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    )
