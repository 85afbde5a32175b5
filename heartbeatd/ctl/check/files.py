"""Whether the agent can read what it needs: the configuration, the key, the authorities. Opened as whoever we are by now."""

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from heartbeatd.config.load import LARGEST_FILE_BYTES
from heartbeatd.config.model import Config
from heartbeatd.config.secrets import OriginKind
from heartbeatd.ctl.check.finding import Finding, error, warning
from heartbeatd.ctl.check.situation import Situation
from heartbeatd.ctl.privileges import is_of_service, user_name
from heartbeatd.ctl.service import USER
from heartbeatd.ctl.unit_file import is_on
from heartbeatd.errors import ConfigError
from heartbeatd.files import NotRegularFile, read_regular
from heartbeatd.net.tls import create_ssl_context
from heartbeatd.runtime import Runtime

# What ProtectHome= takes away from a service, and what PrivateTmp= replaces.
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))


def check(situation: Situation, _: Runtime) -> Iterator[Finding]:
    """Errors and warnings only: a file that is as it should be is nothing to speak of."""
    config, key_file = situation.config, file_of_key(situation.config)
    yield from _readable("configuration", situation.path, situation)
    if key_file is not None:
        yield from _readable("secrets", key_file, situation, "heartbeat.secret_key_file")
    with_secrets = {
        secret.origin.path for secret in (config.heartbeat.secret_key, config.alerts.webhook_url) if secret.origin
    }
    for file in (situation.path, key_file):
        if file is not None and str(file) in with_secrets and _readable_by_all(file):
            yield warning("secrets", f"everybody on this host can read {file}", f"chmod o-rwx {file}")
    if config.heartbeat.ca_file:
        yield from _authorities(Path(config.heartbeat.ca_file), situation)


def file_of_key(config: Config) -> Path | None:
    """What `heartbeat.secret_key_file` names, if the key comes from there."""
    origin = config.heartbeat.secret_key.origin
    return Path(origin.path) if origin is not None and origin.kind is OriginKind.FILE else None


def is_hidden(path: Path, situation: Situation) -> str:
    """The unit's setting that keeps the service away from what is there for others; "" if there is none to blame.

    What a link leads to counts, too. From outside the sandbox the settings are judged, for the service's own configuration.
    """
    ways = (path, Path(os.path.realpath(path)))
    if not (situation.sandboxed or is_of_service(situation.path)) or any(_is_bound(way, situation) for way in ways):
        return ""
    home, temporary = situation.setting("ProtectHome"), situation.setting("PrivateTmp")
    if is_on(home) and home != "read-only" and _is_below(ways, HOMES):
        return f"ProtectHome={home}"
    return f"PrivateTmp={temporary}" if is_on(temporary) and _is_below(ways, TEMPORARY) else ""


def _is_below(ways: Collection[Path], folders: Collection[Path]) -> bool:
    return any(way.is_relative_to(folder) for way in ways for folder in folders)


def _is_bound(path: Path, situation: Situation) -> bool:
    """True if BindPaths= or BindReadOnlyPaths= of the unit bring it back, or a folder above it."""
    for name, value in situation.settings:
        for word in value.split() if name in ("BindPaths", "BindReadOnlyPaths") else ():
            source, _, rest = word.lstrip("-+").partition(":")
            if path.is_relative_to(rest.partition(":")[0] or source):
                return True
    return False


def _authorities(file: Path, situation: Situation) -> Iterator[Finding]:
    found = list(_readable("heartbeat", file, situation, "heartbeat.ca_file"))
    yield from found
    if not found:
        try:
            create_ssl_context(str(file))
        except ConfigError as refused:
            for problem in refused.problems:
                yield error("heartbeat", f"{problem.where}: {problem.what}", problem.hint)


def _readable(subject: str, file: Path, situation: Situation, setting: str = "") -> Iterator[Finding]:
    """What keeps the file from being read. Where a `setting` names it, a name that leads nowhere is not repeated.

    It may be a secret, put into the wrong setting.
    """
    hidden = is_hidden(file, situation)
    out_of_sight = error(subject, f"the service cannot see {file}: {hidden} in its unit hides it", _moved(file))
    try:
        read_regular(file, LARGEST_FILE_BYTES)
        if hidden and not situation.sandboxed:
            yield out_of_sight
    except OSError as failed:
        if hidden:
            yield out_of_sight
        elif isinstance(failed, PermissionError):
            yield not_allowed(subject, file, user_name(), _shut_folder(file))
        else:
            there = not setting or isinstance(failed, NotRegularFile)
            named = str(file) if there else f"{setting}: the file it names"
            yield error(subject, f"{named} cannot be read: {failed.strerror}", "it should be a readable file")


def _shut_folder(file: Path) -> Path | None:
    """The first folder on the way to the file that we may not enter."""
    real = Path(os.path.realpath(file))
    return next((folder for folder in reversed(real.parents) if not os.access(folder, os.X_OK)), None)


def not_allowed(subject: str, file: Path, user: str, shut: Path | None) -> Finding:
    """The user may not read the file, because of the folder that is `shut` if one is."""
    if shut is not None:
        return error(subject, f"the user {user} cannot read {file}: it may not enter {shut}", _moved(file))
    hint = f"chown root:{USER} {file}; chmod 640 {file}" if user == USER else f"let the user {user} read it"
    return error(subject, f"the user {user} cannot read {file}", hint)


def _moved(file: Path) -> str:
    return f"keep it in /etc/heartbeat: install -o root -g {USER} -m 640 {file} /etc/heartbeat/, and name that file instead"


def _readable_by_all(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:  # no file, or in a folder that is not for us, and so not for all
        return False
