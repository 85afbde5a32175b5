"""What of a URL may be shown: no user info, no query, no fragment."""

from urllib.parse import urlsplit


def shown_url(url: str) -> str:
    """`https://u:p@host:8443/path?token=x` → `https://host:8443/path`; text that is no URL → `(not a URL)`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "(not a URL)"
    if not parts.scheme or not host:
        return "(not a URL)"
    if ":" in host:
        host = f"[{host}]"
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "") + parts.path
