"""Where a service is: at an address that is given for its name, or at those that the name has; and whether they lie outside."""

import ipaddress
from contextlib import suppress

from heartbeatd.cancel import CancelToken
from heartbeatd.net.resolve import Addresses, Names

_NEVER_OUTSIDE = (".localhost", ".local", ".internal", ".home.arpa", ".lan")


class Located:
    """`names`, which are asked unless there is an `address` for every name. Remembers where the last answer led."""

    def __init__(self, names: Names, address: str = "") -> None:
        self._names, self._address = names, address
        self._outside: bool | None = None

    def lookup(self, host: str, port: int, deadline_ns: int, cancel: CancelToken) -> Addresses:
        """See `Names`."""
        found = self._names.lookup(self._address or host, port, deadline_ns, cancel)
        self._outside = any(is_public(str(address.sockaddr[0])) for address in found)
        return found

    def is_outside(self, host: str) -> bool:
        """Whether it takes the internet to get there. So it may if only the name is known, unless that is one of this host's."""
        if self._outside is None:
            self._outside = is_public(self._address or host)
        return self._outside


def is_public(host: str) -> bool:
    """False for an address of this host or a private network, and for names that nobody outside knows (RFC 6761, 6762, 8375)."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0]).is_global
    name = host.rstrip(".").lower()
    return "." in name and not name.endswith(_NEVER_OUTSIDE)
