"""Where to tell it: the credential that systemd passes, or what can be read of config.toml."""

import os
import re
import stat
import sys
import tomllib

CONFIG = "/etc/heartbeat/config.toml"
LARGEST_BYTES = 1 << 20


def setting(config: bytes, section: str, key: str) -> str:
    """A text of the configuration, or nothing; if the file is not TOML, from the first line that looks like it."""
    config = config.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n")  # as other systems' editors write it
    try:
        value = tomllib.loads(config.decode()).get(section, {}).get(key, "")
        return value if isinstance(value, str) else ""
    except (ValueError, AttributeError, RecursionError):
        found = re.search(rb"^[ \t]*" + key.encode() + rb"""[ \t]*=[ \t]*["']([^"']*)["']""", config, re.MULTILINE)
        return found.group(1).decode("ascii", "ignore") if found else ""


def credential() -> str:
    """The URL as a credential, if systemd passed it."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    for name in ("heartbeat.webhook_url", "heartbeat.webhook_url.plain") if folder else ():
        if text := read(f"{folder}/{name}").decode("ascii", "ignore").strip():
            return text
    return ""


def read(path: str) -> bytes:
    """What is in the file; nothing if it cannot be read, or is no regular file: a FIFO would hold us for ever."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            return file.read(LARGEST_BYTES) if stat.S_ISREG(os.fstat(opened).st_mode) else b""
    except OSError as error:
        if error.errno != 2:
            print(f"{path}: {error.strerror}", file=sys.stderr)
        return b""
