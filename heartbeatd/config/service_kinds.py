"""The kinds of setting of services: where one is, and what its answer should be."""

import ipaddress
import re
from dataclasses import dataclass

from heartbeatd.config.options import text_of
from heartbeatd.config.urls import Url, check_host


@dataclass(frozen=True, slots=True)
class Where:
    """Where a service is, by how it is looked at."""

    allowed: str = '"https://…", "http://…", "tcp://HOST:PORT", "unit:NAME" or "container:NAME"'

    def check(self, value: object) -> str:
        """Raises ValueError without any of the text: a URL may hold a secret."""
        text = text_of(value)
        scheme, _, rest = text.partition(":")
        match scheme.lower():
            case "http" | "https":
                return Url(optional=False).check(text)
            case "tcp":
                _check_tcp(rest)
            case "unit":
                if not re.fullmatch(r"[A-Za-z0-9:_.\\@-]{1,255}", rest) or rest.startswith("-"):
                    raise ValueError("what stands behind unit: is no name that a unit can have")
            case "container":
                if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}", rest):
                    raise ValueError("what stands behind container: is no name that a container can have")
            case _:
                raise ValueError("it begins with none of them")
        return text


@dataclass(frozen=True, slots=True)
class Statuses:
    """HTTP statuses and classes of them."""

    allowed: str = 'statuses and classes of them, such as "200", "2xx" or "200, 301, 4xx"'

    def check(self, value: object) -> str:
        text = text_of(value)
        statuses_of(text)
        return text


@dataclass(frozen=True, slots=True)
class Header:
    """A header's name, and a text in its value."""

    allowed: str = 'a header and a text in its value, such as "Content-Type: text/html", or ""'

    def check(self, value: object) -> str:
        text = text_of(value)
        if text and not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}:[ -~]{0,256}", text):
            raise ValueError("it is no name, colon and value")
        return text


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address."""

    allowed: str = 'an IP address, or "" for those that the name has'

    def check(self, value: object) -> str:
        text = text_of(value)
        try:
            return str(ipaddress.ip_address(text)) if text else ""
        except ValueError:
            raise ValueError("it is no IP address") from None


def statuses_of(text: str) -> tuple[tuple[int, int], ...]:
    """`200, 3xx` → from 200 to 200, and from 300 to 399. Raises ValueError for what is none."""
    words = [word.strip().lower() for word in text.split(",")]
    for number, word in enumerate(words, 1):
        if not re.fullmatch(r"[1-9]([0-9]{2}|xx)", word):
            raise ValueError(f"word {number} of it is no status")
    return tuple((int(word.replace("x", "0")), int(word.replace("x", "9"))) for word in words)


def _check_tcp(rest: str) -> None:
    """`//host:22`, `//[::1]:22`. Raises ValueError."""
    found = re.fullmatch(r"//(\[[0-9A-Fa-f:.%A-Za-z]+\]|[^\[\]:/@?#]+):([0-9]{1,5})", rest)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError("it is not tcp://HOST:PORT; an IPv6 address stands in [ ]")
    check_host(found[1])
