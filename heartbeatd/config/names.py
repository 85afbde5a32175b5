"""The kind of setting for names of containers."""

import re
from dataclasses import dataclass

from heartbeatd.config.options import text_of

_NAME = re.compile(r"[A-Za-z0-9_.*?\[\]!-]{1,255}")


@dataclass(frozen=True, slots=True)
class ContainerNames:
    """A list of names, or of patterns as a shell's."""

    allowed: str = "a list of at most 200 names of containers"
    most: int = 200

    def check(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            text_of(value)
            raise ValueError('it is no list; write ["…"]')
        if len(value) > self.most:
            raise ValueError(f"it has {len(value)} names")
        for number, name in enumerate(value, 1):
            if not _NAME.fullmatch(text_of(name)):
                raise ValueError(f"name {number} is none that a container can have")
        return tuple(dict.fromkeys(value))
