"""The kind of setting that is a URL."""

import re
import socket
from dataclasses import dataclass

from heartbeatd.config.options import text_of


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL; `user_info` says whether it may hold a user name and password."""

    optional: bool = True
    user_info: bool = True

    @property
    def allowed(self) -> str:
        return (
            "a URL that begins with https:// or http://"
            + ("" if self.user_info else ", without user name and password")
            + (', or ""' if self.optional else "")
        )

    def check(self, value: object) -> str:
        """Raises ValueError for anything else; no part of the text is repeated, since it may hold a secret.

        A URL is taken apart here by its own rules (RFC 3986): an error of urlsplit() would show what it stumbled over.
        """
        text = text_of(value)
        if text == "" and self.optional:
            return text
        if not re.fullmatch(r"[!-~]+", text):
            raise ValueError("it has a space or a character outside ASCII")
        found = re.fullmatch(r"(?i:https?)://([^/?#]*)([^#]*)(#?.*)", text)
        if not found:
            raise ValueError("it begins neither with https:// nor with http://")
        authority, rest, fragment = found.groups()
        user_info, _, address = authority.rpartition("@")
        # A password with / ? or # in it ends the address early, and what is behind it must never be taken for a path.
        if "@" in rest or fragment:
            raise ValueError(f"it has {'a #' if fragment else 'an @'} behind the host; {_ESCAPES}")
        host, port = _host_and_port(address)
        if port and not (port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
            raise ValueError(f"its port is not a number from 1 to 65535; {_ESCAPES}")
        check_host(host)
        if not self.user_info and "@" in authority:
            raise ValueError("it holds a user name or password")
        if re.search(r"[\\[\]]", user_info):
            raise ValueError("its user name or password has one of [ ] \\, which are written %5B %5D %5C")
        return text


_ESCAPES = "in a user name, a password or a query, / ? # @ are written %2F %3F %23 %40"


def _host_and_port(address: str) -> tuple[str, str]:
    """`host:80` → `host`, `80`; `[::1]` → `[::1]`, ``."""
    found = re.fullmatch(r"(\[.*\]|[^:[]*)(?::([^:]*))?", address)
    if found is None:
        raise ValueError("its host is neither a name nor an address; an IPv6 address stands in [ ]")
    return found.group(1), found.group(2) or ""


def check_host(host: str) -> None:
    """Raises ValueError if it is neither an address nor a name that could be looked up (RFC 1035, and with _)."""
    if host.startswith("["):
        address, zone, interface = host[1:-1].partition("%")
        try:
            socket.inet_pton(socket.AF_INET6, address)
        except OSError:
            raise ValueError("what stands in [ ] is not an IPv6 address") from None
        if zone and not re.fullmatch(r"[A-Za-z0-9._-]{1,15}", interface):
            raise ValueError("what stands in [ ] behind % is no interface")
        return
    name = host.removesuffix(".")
    if not name:
        raise ValueError("it names no host")
    if len(name) > 253:
        raise ValueError("its host's name is longer than 253 characters")
    for label in name.split("."):
        if not label:
            raise ValueError("its host's name has two dots in a row, or begins with one")
        if len(label) > 63:
            raise ValueError("its host's name has more than 63 characters between two dots")
        if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?", label):
            raise ValueError('its host\'s name has more than letters, digits, "-" and "_", or a "-" beside a dot')
