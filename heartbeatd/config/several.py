"""The kinds of setting that are more than one value: HTTP headers, and some of a few words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from heartbeatd.config.options import list_of, text_of

MOST = 16
LONGEST = 4096
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # RFC 9110, section 5.6.2
_OURS = ("connection", "content-length", "content-type", "host", "transfer-encoding")


@dataclass(frozen=True, slots=True)
class Headers:
    """A table of names and values; its value is a text with a line `Name: value` for each, as which it may be written, too."""

    allowed: str = 'a table of names and values, such as { Authorization = "Bearer TOKEN" }'

    def check(self, value: object) -> str:
        """Raises ValueError that says which of them is wrong by its number: a name may be a secret that is misplaced."""
        given = list(value.items()) if isinstance(value, Mapping) else _lines(text_of(value))
        if len(given) > MOST:
            raise ValueError(f"it has {len(given)} headers, {MOST} are allowed")
        names = set()
        for number, (name, content) in enumerate(given, 1):
            lower = name.lower()
            if not re.fullmatch(_TOKEN, name):
                raise ValueError(f"the name of header {number} has more than letters, digits and -")
            if lower in _OURS:
                raise ValueError(f"header {number} is one that the agent sets itself")
            if lower in names:
                raise ValueError(f"header {number} is there already")
            if not isinstance(content, str) or not re.fullmatch(r"[!-~]([ -~]*[!-~])?", content):
                raise ValueError(f"the value of header {number} is no text of visible ASCII characters")
            if len(content) > LONGEST:
                raise ValueError(f"the value of header {number} is longer than {LONGEST} characters")
            names.add(lower)
        return "\n".join(f"{name}: {content}" for name, content in given)


@dataclass(frozen=True, slots=True)
class SomeOf:
    """A list of some of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return f"a list of {', '.join(self.words)}; [] is all of them"

    def check(self, value: object) -> tuple[str, ...]:
        given = list_of(value)
        for number, word in enumerate(given, 1):
            if word not in self.words:
                raise ValueError(f"word {number} of it is none of them")
        return tuple(given)


def headers_of(text: str) -> dict[str, str]:
    """The names and values in the text that `Headers` makes."""
    return dict(_lines(text))


def _lines(text: str) -> list[tuple[str, str]]:
    """`A: b` → `("A", "b")`, for each line that is not empty."""
    found = (line.partition(":") for line in text.split("\n") if line.strip())
    return [(name.strip(), value.strip()) for name, _, value in found]
