"""The list of containers in the helper's answer."""

import json
import re
from functools import lru_cache

from heartbeatd.core.container import Container

LARGEST_BYTES = 256 << 10  # some 3,000 containers; those of a longer list are counted, and not looked at
_ODD = re.compile(r"[^A-Za-z0-9_.-]")
_HEALTH = ("healthy", "unhealthy", "starting")


@lru_cache(maxsize=1)  # the same bytes in most cycles
def containers_in(text: bytes) -> tuple[Container, ...] | None:
    """Those of a list in JSON; None if it is none. What no name of Docker's has becomes `?`."""
    try:
        return tuple(
            Container(
                _ODD.sub("?", str(one["name"])),
                _ODD.sub("?", str(one["state"])),
                one["health"] if one["health"] in _HEALTH else None,
                one.get("recent") is True,
            )
            for one in json.loads(text)
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
