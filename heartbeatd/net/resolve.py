"""Name resolution that never holds anyone longer than a deadline.

getaddrinfo(3) cannot be interrupted, and waits 5 s for each name server that does not answer. So each look-up runs on a
thread of its own, at most one per host at a time: whoever asks while one is under way joins it.

An answer that comes when somebody has given up waiting for it is late, and is kept: with a dead first name server every answer
is late, and to throw them away would mean that none is ever used. The contract:

- each question starts (or joins) a look-up, so that what is used is never older than the question before;
- while there is a late answer, the look-up is waited for `GRACE_S`, and then the late answer is used in its place;
- an answer that is in time, or says that there is no such name, ends the use of a late one; so do `KEPT_S`.
"""

import errno
import socket
import threading
from dataclasses import dataclass
from typing import Protocol

from heartbeatd.cancel import Cancelled, CancelToken
from heartbeatd.clock import SYSTEM_CLOCK, Clock
from heartbeatd.core.heartbeat import BLOCKED, NO_NAME, Cause
from heartbeatd.net.answer import RequestError

KEPT_S = 7200.0  # twice the longest interval between two cycles
GRACE_S = 0.3


@dataclass(frozen=True, slots=True)
class Address:
    """One address to try: family (AF_INET or AF_INET6) and the tuple connect(2) takes."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    def at(self, port: int) -> "Address":
        """The same host's address with this port: a name has the same addresses whatever is asked of them."""
        host, _, *rest = self.sockaddr
        return Address(self.family, (host, port, *rest))  # type: ignore[arg-type]  # two or four, as it was

    @property
    def nowhere(self) -> bool:
        """True for 0.0.0.0 and ::, which belong to no host; to connect to them is to connect to oneself."""
        return self.sockaddr[0] in ("0.0.0.0", "::", "::ffff:0.0.0.0")

    @property
    def is_loopback(self) -> bool:
        """True for an address of this host itself: 127.0.0.0/8 and ::1."""
        return self.sockaddr[0].startswith("127.") or self.sockaddr[0] == "::1"


Addresses = tuple[Address, ...]


class Names(Protocol):
    """Who says which addresses a name has."""

    def lookup(self, host: str, port: int, deadline_ns: int, cancel: CancelToken) -> Addresses:
        """The addresses of `host`. Raises RequestError (dns), or Cancelled."""


class _Lookup:
    """One lookup under way, and who waits for it. `given_up`: somebody who asked went away without an answer."""

    def __init__(self) -> None:
        self.result: Addresses | OSError | UnicodeError | None = None
        self.waiting: list[CancelToken] = []
        self.given_up = False


class Resolver:
    """Looks names up, one lookup in flight per host, and `most` in all; see the module's contract."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK, most: int | None = None) -> None:
        self._clock, self._most = clock, most
        self._lock = threading.Lock()
        self._in_flight: dict[str, _Lookup] = {}
        self._late: dict[str, tuple[Addresses, int]] = {}  # and until when it may be used

    def lookup(self, host: str, port: int, deadline_ns: int, cancel: CancelToken) -> Addresses:
        """The addresses of `host`, in the order RFC 6724 and gai.conf(5) give. Raises RequestError (dns), or Cancelled."""
        try:
            return _getaddrinfo(host, port, socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            pass  # not an address: a name
        lookup, late = self._join(host, cancel)
        until_ns = min(deadline_ns, cancel.deadline(GRACE_S)) if late else deadline_ns
        cancel.wait(lambda: lookup.result is not None, until_ns)
        with self._lock:
            found = lookup.result
            lookup.given_up = lookup.given_up or found is None
        if cancel.cancelled and not isinstance(found, tuple):
            raise Cancelled
        if found is None and late:
            found = late
        if isinstance(found, tuple):
            return _usable(host, found, port)
        raise RequestError(Cause.DNS, _reason(host, found)) from found

    def forget(self) -> None:
        """Use no late answer that was given so far: the machine may be in another network now."""
        with self._lock:
            self._late.clear()

    def _join(self, host: str, cancel: CancelToken) -> tuple[_Lookup, Addresses]:
        with self._lock:
            lookup = self._in_flight.get(host)
            if lookup is None:
                lookup = self._in_flight[host] = _Lookup()
                self._start(host, lookup)
            lookup.waiting.append(cancel)
            late, until_ns = self._late.get(host, ((), 0))
            return lookup, late if self._clock.monotonic_ns() < until_ns else ()

    def _start(self, host: str, lookup: _Lookup) -> None:
        if self._most is not None and len(self._in_flight) > self._most:
            del self._in_flight[host]
            lookup.result = OSError(errno.EAGAIN, f"the resolver has not answered for {self._most} other names")
            return
        try:
            threading.Thread(target=self._look_up, args=(host, lookup), name=f"lookup {host}", daemon=True).start()
        except RuntimeError:  # as many as the unit may have
            del self._in_flight[host]
            lookup.result = OSError(errno.EAGAIN, "no thread can be started to look it up")

    def _look_up(self, host: str, lookup: _Lookup) -> None:
        try:
            outcome: Addresses | OSError | UnicodeError = _getaddrinfo(host, 0, 0)
        except (OSError, UnicodeError) as error:
            outcome = error
        with self._lock:
            del self._in_flight[host]
            lookup.result = outcome
            if isinstance(outcome, tuple) and lookup.given_up:
                self._late[host] = (outcome, self._clock.monotonic_ns() + int(KEPT_S * 1e9))
            elif not _is_passing(outcome):
                self._late.pop(host, None)
        for token in lookup.waiting:
            token.wake()


def _is_passing(outcome: Addresses | OSError | UnicodeError) -> bool:
    """True for a failure that says nothing of the name: no server answered, or none could say."""
    return isinstance(outcome, socket.gaierror) and outcome.errno in (socket.EAI_AGAIN, socket.EAI_SYSTEM)


def _usable(host: str, found: Addresses, port: int) -> Addresses:
    """The addresses one may connect to, with their port. Raises RequestError if a filter has taken all of them away.

    Addresses of the loopback stay: in /etc/hosts, and where a resolver of one's own answers, they are meant.
    """
    usable = tuple(address.at(port) for address in found if not address.nowhere)
    if found and not usable:
        raise RequestError(Cause.DNS, f"{host} {BLOCKED}, which answers {found[0].sockaddr[0]}")
    return usable


def _reason(host: str, failed: OSError | UnicodeError | None) -> str:
    shown = host if len(host) <= 253 else f"{host[:250]}..."
    if failed is None:
        return f"the resolver did not answer for {shown}"
    if isinstance(failed, UnicodeError):
        return f"{shown} {NO_NAME}: a part of it is empty or longer than 63 characters"
    return f"{shown}: {failed.strerror or failed}"


def _getaddrinfo(host: str, port: int, flags: int) -> Addresses:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return tuple(
        Address(family, sockaddr)  # type: ignore[arg-type]  # typeshed allows for families we do not ask for
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    )
