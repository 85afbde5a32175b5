"""Where a URL leads: taken apart once, so that a request only has to be sent."""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit


@dataclass(frozen=True, slots=True)
class Target:
    """`host` is a name or an address as connect(2) takes it; `authority` is what the Host header says.

    `path` has the query in it, and may hold a secret, as `authorization` does ("" without user info in the URL).
    """

    tls: bool
    host: str
    port: int
    authority: str
    path: str = field(repr=False)
    authorization: str = field(repr=False)

    @classmethod
    def of(cls, url: str) -> "Target":
        """`http://u:p@host:5678/a?b=c` → host `host`, port 5678, path `/a?b=c`, and the user by basic authentication.

        The URL is one that `settings.Url` has found good: printable ASCII, http or https, with a host.
        """
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        host, usual = parts.hostname or "", 443 if tls else 80
        port = parts.port or usual
        shown = f"[{host}]" if ":" in host else host
        user_info, at, _ = parts.netloc.rpartition("@")
        user, _, password = user_info.partition(":")
        pair = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
        return cls(
            tls=tls,
            host=host,
            port=port,
            authority=shown if port == usual else f"{shown}:{port}",
            path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            authorization=f"Basic {b64encode(pair).decode()}" if at else "",
        )
