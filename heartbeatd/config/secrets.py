"""Secrets with their origins, and credentials as systemd passes them (systemd.exec(5), CREDENTIALS).

Each credential has two ids, because one id cannot be looked up both plain and encrypted (the last setting of a unit wins, and
a plain file is refused where an encrypted one is expected): `NAME` for one encrypted by systemd-creds(1), or passed by a drop-in;
`NAME.plain` for one that is kept as it is.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from heartbeatd.files import decoded, read_regular

SECRET_KEY = "heartbeat.secret_key"
WEBHOOK_URL = "heartbeat.webhook_url"
NAMES = (SECRET_KEY, WEBHOOK_URL)
PLAIN = ".plain"
ENCRYPTED_STORE = Path("/etc/credstore.encrypted")
STORE = Path("/etc/credstore")
LARGEST_BYTES = 8192


class OriginKind(StrEnum):
    SETTING = "setting"
    FILE = "file"  # that a setting names
    CREDENTIAL = "credential"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a secret was found: in which file, and there as which setting, or as the credential of which id."""

    kind: OriginKind
    path: str
    name: str = ""

    def __str__(self) -> str:
        """E.g. `config.toml: heartbeat.secret_key`, `/etc/heartbeat/key`, `systemd credential heartbeat.secret_key.plain`."""
        if self.kind is OriginKind.SETTING:
            return f"{self.path}: {self.name}"
        return f"systemd credential {self.name}" if self.name else self.path


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that shows itself to nobody who does not ask for it by name; `origin` is None where there is none."""

    _text: str
    origin: Origin | None = None

    def reveal(self) -> str:
        """The secret. For the one header it is sent in."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(***)" if self._text else "Secret()"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Credential:
    origin: Origin
    data: bytes = field(repr=False)


Credentials = Mapping[str, Credential]


def load_credentials(folder: str | Path = "") -> Credentials:
    """Those of ours in a credentials directory, by name; without one given, in the one systemd passed, if it did."""
    folder = folder or os.environ.get("CREDENTIALS_DIRECTORY", "")
    found: dict[str, Credential] = {}
    for name in NAMES if folder else ():
        for file in (name, name + PLAIN):
            path = Path(folder) / file
            data = read(path)
            if data is not None:
                found.setdefault(name, Credential(Origin(OriginKind.CREDENTIAL, str(path), file), data))
    return found


def credential_paths(name: str) -> tuple[Path, Path]:
    """Where systemd looks for it: encrypted, and as it is. The first that is there wins."""
    return ENCRYPTED_STORE / name, STORE / f"{name}{PLAIN}"


def stored_anew(name: str) -> str:
    """What to do about a credential that is of no use: `heartbeatctl set-secret webhook_url` stores it anew, …"""
    secret = name.removeprefix("heartbeat.")
    return f"`heartbeatctl set-secret {secret}` stores it anew, `heartbeatctl set-secret --remove {secret}` forgets it"


def only_line(data: bytes) -> str:
    """The one line that a key, or a URL, is in a file of its own. Raises ValueError, without any text of it, for all else."""
    if len(data) > LARGEST_BYTES:
        raise ValueError("is larger than 8 KiB")
    text = decoded(data).strip()
    if not text:
        raise ValueError("is empty")
    if "\n" in text:
        raise ValueError("has more than one line")
    return text


def read(path: Path) -> bytes | None:
    """What is in the file, one byte more than allowed at the most; None if it is not there, or not for us."""
    try:
        return read_regular(path, LARGEST_BYTES + 1)
    except OSError:
        return None
