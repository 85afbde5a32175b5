"""Names that a DNS filter blocks: it answers 0.0.0.0, and to connect to that is to connect to this host itself."""

import socket
from typing import Any

from heartbeatd.core.heartbeat import BLOCKED

_NOWHERE = ("0.0.0.0", "::", "::ffff:0.0.0.0")


def refuse_blocked() -> None:
    """From here on, name resolution by whichever library in this process fails for a name that is blocked."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *words: Any, **more: Any) -> Any:
        found = look_up(host, *words, **more)
        usable = [one for one in found if one[4][0] not in _NOWHERE]
        if not usable:
            raise socket.gaierror(socket.EAI_FAIL, f"{host} {BLOCKED}, which answers {found[0][4][0]}")
        return usable

    socket.getaddrinfo = getaddrinfo
