"""What `heartbeatctl set-secret` has stored for the notifier, as heartbeatd-credentials.socket passes it to systemd.

That is a line `ID BASE64` for each credential, `ID -` for one that cannot be decrypted, and a last line `end`. If systemd had to
decrypt them itself, one that it cannot would keep the notifier from being started for any channel.
"""

import os
from base64 import b64decode
from pathlib import Path

from heartbeatd.config.secrets import (
    CHANNEL,
    PLAIN,
    Credential,
    Credentials,
    Origin,
    OriginKind,
    credential_paths,
    read,
)

BUNDLE = "heartbeat.stored"
LARGEST_BYTES = 1 << 20  # what systemd takes at the most


def stored_credentials() -> Credentials | None:
    """By name; None where they were not passed, or not all of them."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    data = read(Path(folder) / BUNDLE, LARGEST_BYTES) if folder else None
    return None if data is None else parse(data)


def parse(data: bytes) -> Credentials | None:
    """By name, those kept encrypted before those kept as they are; None if it does not end as it should."""
    lines = data.decode(errors="replace").splitlines()
    if lines[-1:] != ["end"]:
        return None
    found: dict[str, Credential] = {}
    for line in sorted(lines[:-1], key=lambda line: _is_plain(line.partition(" ")[0])):
        identifier, _, held = line.partition(" ")
        plain = _is_plain(identifier)
        name = identifier.replace(f"{CHANNEL}{PLAIN}_", f"{CHANNEL}_", 1).removesuffix(PLAIN) if plain else identifier
        origin = Origin(OriginKind.CREDENTIAL, str(credential_paths(name)[plain]), identifier)
        found.setdefault(name, _credential(origin, held))
    return found


def _credential(origin: Origin, held: str) -> Credential:
    try:
        return Credential(origin, b64decode(held, validate=True))
    except ValueError:
        return Credential(origin, b"", spoilt=True)


def _is_plain(identifier: str) -> bool:
    return identifier.startswith(f"{CHANNEL}{PLAIN}_") or (
        identifier.endswith(PLAIN) and not identifier.startswith(CHANNEL)
    )
