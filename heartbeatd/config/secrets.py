"""Secrets with their origins, and credentials as systemd passes them (systemd.exec(5), CREDENTIALS).

Each credential has two ids, because one id cannot be looked up both plain and encrypted (the last setting of a unit wins, and
a plain file is refused where an encrypted one is expected): `NAME` for one encrypted by systemd-creds(1), or passed by a drop-in;
`NAME.plain` for one that is kept as it is. Those of channels are the files of a folder, which systemd passes as `FOLDER_FILE`:
`heartbeat.channel_phone`, `heartbeat.channel.plain_phone`.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from heartbeatd.files import decoded, read_regular

SECRET_KEY = "heartbeat.secret_key"
WEBHOOK_URL = "heartbeat.webhook_url"
WEBHOOK_HEADERS = "heartbeat.webhook_headers"
CHANNEL = "heartbeat.channel"
NAMES = (SECRET_KEY,)  # those that the agent is given; those of the channels are the notifier's alone
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
    spoilt: bool = False  # it is there, and cannot be decrypted


Credentials = Mapping[str, Credential]


def load_credentials(folder: str | Path = "", names: Iterable[str] = NAMES) -> Credentials:
    """Those of `names` in a credentials directory, by name; without one given, in the one systemd passed, if it did."""
    folder = folder or os.environ.get("CREDENTIALS_DIRECTORY", "")
    found: dict[str, Credential] = {}
    for name in names if folder else ():
        for file in credential_ids(name):
            path = Path(folder) / file
            data = read(path)
            if data is not None:
                found.setdefault(name, Credential(Origin(OriginKind.CREDENTIAL, str(path), file), data))
    return found


def credential_paths(name: str) -> tuple[Path, Path]:
    """Where systemd looks for it: encrypted, and as it is. The first that is there wins."""
    encrypted, plain = (
        name.replace("_", "/", 1) if name.startswith(CHANNEL) else name for name in credential_ids(name)
    )
    return ENCRYPTED_STORE / encrypted, STORE / plain


def credential_ids(name: str) -> tuple[str, str]:
    """The ids it has as an encrypted credential and as a plain one."""
    if name.startswith(CHANNEL):
        return name, f"{CHANNEL}{PLAIN}{name.removeprefix(CHANNEL)}"
    return name, name + PLAIN


def channel_credential(channel: str) -> str:
    """The name of the credential that holds a channel's URL."""
    return f"{CHANNEL}_{channel}"


def stored_anew(name: str) -> str:
    """What to do about a credential that is of no use: `heartbeatctl set-secret webhook_url` stores it anew, …"""
    secret = name.removeprefix("heartbeat.").replace("channel_", "channel.", 1)
    return f"`heartbeatctl set-secret {secret}` stores it anew, `heartbeatctl set-secret --remove {secret}` forgets it"


def undecryptable_hint(name: str) -> str:
    """What to do about one that cannot be decrypted."""
    return f"was it made on another machine, or for another TPM? {stored_anew(name)}"


def only_line(data: bytes) -> str:
    """The one line that a key, or a URL, is in a file of its own. Raises ValueError, without any text of it, for all else."""
    text = all_lines(data)
    if "\n" in text:
        raise ValueError("has more than one line")
    return text


def all_lines(data: bytes) -> str:
    """The text that headers are in a file of their own. Raises ValueError, without any text of it, if it is none."""
    if len(data) > LARGEST_BYTES:
        raise ValueError("is larger than 8 KiB")
    text = decoded(data).strip()
    if not text:
        raise ValueError("is empty")
    return text


def read(path: Path, most: int = LARGEST_BYTES + 1) -> bytes | None:
    """What is in the file, by default one byte more than allowed at the most; None if it is not there, or not for us."""
    try:
        return read_regular(path, most)
    except OSError:
        return None
