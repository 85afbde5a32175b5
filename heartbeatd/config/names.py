"""The kind of setting for names of containers."""

import re
from dataclasses import dataclass

from heartbeatd.config.options import list_of, text_of

_NAME = re.compile(r"[A-Za-z0-9_.*?\[\]!-]{1,255}")


@dataclass(frozen=True, slots=True)
class ContainerNames:
    """A list of names, or of patterns as a shell's."""

    allowed: str = "a list of at most 200 names of containers"
    most: int = 200

    def check(self, value: object) -> tuple[str, ...]:
        given = list_of(value)
        if len(given) > self.most:
            raise ValueError(f"it has {len(given)} names")
        for number, name in enumerate(given, 1):
            if not _NAME.fullmatch(text_of(name)):
                raise ValueError(f"name {number} is none that a container can have")
        return tuple(dict.fromkeys(given))
