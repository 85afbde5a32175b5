"""Connecting to whichever address answers first (RFC 8305, "Happy Eyeballs"), before a deadline.

A host with a broken IPv6 route and a working IPv4 one connects a quarter of a second later, not never.
"""

import errno
import os
import selectors
import socket
from collections.abc import Sequence

from heartbeatd.cancel import CancelToken, seconds_until
from heartbeatd.core.heartbeat import Cause
from heartbeatd.net.answer import Cancelled, RequestError
from heartbeatd.net.resolve import Address

CONNECTION_ATTEMPT_DELAY_S = 0.25  # RFC 8305, section 8: Connection Attempt Delay
CANCEL_POLL_S = 0.25  # how long an interruption may go unnoticed


def connect(addresses: Sequence[Address], deadline_ns: int, waiter: CancelToken) -> socket.socket:
    """A blocking TCP socket to the first of `addresses` that takes the connection. Raises NoAnswer (refused, timeout).

    Raises Interrupted within `CANCEL_POLL_S` if `waiter` is.
    """
    waiting = _interleaved(addresses)
    failures: list[OSError] = []
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                if waiting:
                    _begin(waiting.pop(0), selector, failures)
                winner = _first_ready(
                    selector, failures, deadline_ns, CONNECTION_ATTEMPT_DELAY_S if waiting else CANCEL_POLL_S
                )
                if winner is not None:
                    return winner
                if waiter.cancelled:
                    raise Cancelled
                if seconds_until(deadline_ns) <= 0:
                    raise RequestError(Cause.TIMEOUT, "no connection in time")
        finally:
            for key in list(selector.get_map().values()):
                selector.unregister(key.fileobj)
                key.data.close()
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


def _begin(address: Address, selector: selectors.BaseSelector, failures: list[OSError]) -> None:
    try:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:  # e.g. IPv6 switched off in the kernel
        failures.append(error)
        return
    sock.setblocking(False)
    code = sock.connect_ex(address.sockaddr)
    if code in (0, errno.EINPROGRESS):
        selector.register(sock, selectors.EVENT_WRITE, sock)
    else:
        failures.append(OSError(code, os.strerror(code)))
        sock.close()


def _first_ready(
    selector: selectors.BaseSelector, failures: list[OSError], deadline_ns: int, most_s: float
) -> socket.socket | None:
    """Wait for one attempt to end, no longer than `most_s`; the socket if it succeeded."""
    if not selector.get_map():
        return None
    left_s = max(0.0, seconds_until(deadline_ns))
    for key, _ in selector.select(min(left_s, most_s)):
        sock: socket.socket = key.data
        selector.unregister(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            sock.setblocking(True)
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
