"""The rules of the host's own time zone, which go through pickle, as those of zoneinfo that have no name do not."""

import io
from collections.abc import Callable
from zoneinfo import ZoneInfo


class HostZone(ZoneInfo):
    """Made by `of_bytes`."""

    data: bytes

    def __reduce__(self) -> tuple[Callable[[bytes], "HostZone"], tuple[bytes]]:
        return of_bytes, (self.data,)


def of_bytes(data: bytes) -> HostZone:
    """The zone that a file of the time zone database holds (tzfile(5)). Raises ValueError if it is none."""
    zone = HostZone.from_file(io.BytesIO(data))
    zone.data = data
    return zone
