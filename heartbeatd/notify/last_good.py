"""The configuration in force for a try: the file, or the copy of it as it was good last, while the file is refused.

Whoever edits the file, or makes a mistake in it, is told of what happens meanwhile all the same, be it that the agent does not
start with it. The copy is kept in the folder that systemd makes for heartbeatd-notify@.service (`CacheDirectory=`), which is for
the notifier's user alone, since what it holds may be secret. A notifier that is started in another way keeps none.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from heartbeatd.config.alerting import Alerting, load_alerting
from heartbeatd.config.load import LARGEST_FILE_BYTES
from heartbeatd.config.secrets import WEBHOOK_URL, read
from heartbeatd.errors import ConfigError
from heartbeatd.files import read_regular

NAME = "config.toml"


def load_in_force(path: Path, *, by_systemd: bool = False, stands_in: bool = False) -> Alerting:
    """By the copy, if the file is not TOML, or what it says of alerts and channels is refused; a good file is copied.

    See `load_alerting`, whose ConfigError is raised if there is no copy.
    """

    load = partial(load_alerting, by_systemd=by_systemd, stands_in=stands_in)
    folder = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    copy = Path(folder) / NAME if folder else None
    try:
        found = load(path)
    except ConfigError:
        kept = _load_copy(load, copy)
        if kept is None:
            raise
        return _usable(kept)
    if found.problems:
        found = _load_copy(load, copy) or found
    elif copy is not None:
        _keep(path, copy)
    return _usable(found)


def _load_copy(load: Callable[[Path], Alerting], copy: Path | None) -> Alerting | None:
    """None if there is none that can be used."""
    try:
        return None if copy is None else load(copy)
    except ConfigError:
        return None


def _usable(found: Alerting) -> Alerting:
    """A credential of the webhook that cannot be decrypted gives way to the URL in the file, so that somebody is told."""
    credential = found.credentials.get(WEBHOOK_URL)
    if credential is None or not credential.spoilt or not found.alerts.webhook_url:
        return found
    return replace(found, credentials={name: one for name, one in found.credentials.items() if name != WEBHOOK_URL})


def _keep(path: Path, copy: Path) -> None:
    """Have the copy be what is in the file now, if that is still good. Many may do so at once."""
    new = copy.with_name(f".{NAME}.{os.getpid()}")
    try:
        data = read_regular(path, LARGEST_FILE_BYTES)
        if read(copy, LARGEST_FILE_BYTES) == data:
            return
        new.write_bytes(data)
        if load_alerting(new).problems:
            new.unlink()
        else:
            new.replace(copy)
    except (OSError, ConfigError) as error:
        print(f"{copy} is not up to date: {error}", file=sys.stderr)
