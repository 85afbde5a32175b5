"""Connecting to whichever address answers first (RFC 8305, "Happy Eyeballs"), before a deadline.

A host with a broken IPv6 route and a working IPv4 one connects a quarter of a second later, not never.
"""

import errno
import os
import socket
from collections.abc import Iterable, Sequence

from heartbeatd.cancel import CancelToken
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.answer import RequestError
from heartbeatd.net.resolve import Address

CONNECTION_ATTEMPT_DELAY_S = 0.25  # RFC 8305, section 8: Connection Attempt Delay


def connect(addresses: Sequence[Address], deadline_ns: int, cancel: CancelToken) -> socket.socket:
    """A non-blocking TCP socket, connected to the first of `addresses` that takes the connection.

    Raises RequestError (dns, refused, timeout), or Cancelled.
    """
    waiting = _interleaved(addresses)
    attempts: dict[int, socket.socket] = {}  # by descriptor
    failures: list[OSError] = []
    try:
        while waiting or attempts:
            if waiting:
                _begin(waiting.pop(0), attempts, failures)
            if not attempts:
                continue
            until_ns = min(deadline_ns, cancel.deadline(CONNECTION_ATTEMPT_DELAY_S)) if waiting else deadline_ns
            winner = _first_connected(cancel.select((), tuple(attempts), until_ns), attempts, failures)
            if winner is not None:
                return winner
            if cancel.seconds_until(deadline_ns) <= 0:
                raise RequestError(Cause.TIMEOUT, "no connection in time")
    finally:
        for sock in attempts.values():
            sock.close()
    raise _all_failed(failures)


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Alternate between the families, beginning with that of the first address (RFC 8305, section 4)."""
    if not addresses:
        return []
    first = [a for a in addresses if a.family == addresses[0].family]
    other = [a for a in addresses if a.family != addresses[0].family]
    mixed = [a for pair in zip(first, other, strict=False) for a in pair]
    shorter = min(len(first), len(other))
    return mixed + first[shorter:] + other[shorter:]


def _begin(address: Address, attempts: dict[int, socket.socket], failures: list[OSError]) -> None:
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:  # e.g. IPv6 switched off in the kernel
        failures.append(error)
        return
    sock.setblocking(False)
    code = sock.connect_ex(address.sockaddr)
    if code in (0, errno.EINPROGRESS):
        attempts[sock.fileno()] = sock
    else:
        failures.append(OSError(code, os.strerror(code)))
        sock.close()


def _first_connected(
    ready: Iterable[int], attempts: dict[int, socket.socket], failures: list[OSError]
) -> socket.socket | None:
    """Take those attempts that have come to an end out of `attempts`, as far as the first that succeeded."""
    for descriptor in ready:
        sock = attempts.pop(descriptor)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            return sock
        failures.append(OSError(code, os.strerror(code)))
        sock.close()
    return None


def _all_failed(failures: Sequence[OSError]) -> RequestError:
    refused = next((e for e in failures if e.errno == errno.ECONNREFUSED), None)
    telling = refused or (failures[0] if failures else None)
    if telling is None:
        return RequestError(Cause.DNS, "the name has no address")
    if telling.errno == errno.ETIMEDOUT:
        return RequestError(Cause.TIMEOUT, "no connection in time")
    return RequestError(Cause.REFUSED, telling.strerror or "connection failed")
