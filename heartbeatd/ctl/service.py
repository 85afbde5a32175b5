"""What systemd knows about heartbeatd.service, and what it gives it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.config.secrets import (
    NAMES,
    PLAIN,
    Credential,
    Credentials,
    Origin,
    OriginKind,
    credential_paths,
    load_credentials,
    read,
    stored_anew,
    undecryptable_hint,
)
from heartbeatd.ctl import unit_file
from heartbeatd.ctl.unit_file import Settings
from heartbeatd.errors import ConfigError, Problem
from heartbeatd.files import NotRegularFile, require_regular

UNIT = "heartbeatd.service"
NOTIFIER_SOCKET = "heartbeatd-notify.socket"
NEEDED_S = 300  # what asks the notifier ends long before
USER = "heartbeat"
CREDENTIALS = Path("/run/credentials") / UNIT
_PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "StatusText", "NRestarts"),
    *("ActiveEnterTimestamp", "ActiveEnterTimestampMonotonic", "MainPID"),
    *("ExecMainCode", "ExecMainStatus", "Result", "NeedDaemonReload"),
)
# What follows from a credential that cannot be decrypted, by whose it is.
NOT_STARTED, NOT_SENT = "systemd will not start the service with it (status 243)", "no alert is sent with it"
_EXITED = "1"  # CLD_EXITED of waitid(2)


@dataclass(frozen=True, slots=True)
class Service:
    """The unit as systemd sees it; texts are systemd's own (`systemctl show`)."""

    active: str
    sub: str
    enabled: str
    status: str
    restarts: int
    since: str
    since_monotonic_us: int
    pid: int
    exit_status: int | None = None  # the last main process's; None if it did not exit by itself
    result: str = ""  # how the last run ended, in systemd's word
    outdated: bool = False  # the unit's files have changed, and systemd has not read them again
    load: str = "loaded"  # whether systemd could read the unit's files, in systemd's word

    @property
    def running(self) -> bool:
        """True for a unit that is up, reloading included."""
        return self.active in ("active", "reloading")


def unit_state() -> Service | None:
    """The unit's state, or None where systemd is not running or does not answer within five seconds."""
    try:
        shown = subprocess.run(
            ["systemctl", "show", UNIT, *(f"--property={name}" for name in _PROPERTIES)],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=5,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    return Service(
        active=found.get("ActiveState", "unknown"),
        sub=found.get("SubState", ""),
        enabled=found.get("UnitFileState", ""),
        status=found.get("StatusText", ""),
        restarts=int(found.get("NRestarts", "0") or 0),
        since=found.get("ActiveEnterTimestamp", ""),
        since_monotonic_us=int(found.get("ActiveEnterTimestampMonotonic", "0") or 0),
        pid=int(found.get("MainPID", "0") or 0),
        exit_status=int(found.get("ExecMainStatus", "0")) if found.get("ExecMainCode") == _EXITED else None,
        result=found.get("Result", ""),
        outdated=found.get("NeedDaemonReload") == "yes",
        load=found.get("LoadState", "loaded"),
    )


@contextmanager
def notifier_socket() -> Iterator[None]:
    """As root: heartbeatd-notify.socket listens while this lasts, also where the agent does not run.

    systemd stops it as soon as no unit needs it, so there is one that does, for `NEEDED_S` at the most.
    """
    unit = f"heartbeatd-check-notifier-{os.getpid()}.service"
    needs = (f"--property={name}={NOTIFIER_SOCKET}" for name in ("Wants", "After"))
    ends = ("--collect", f"--property=RuntimeMaxSec={NEEDED_S}")
    _run("systemd-run", "--quiet", f"--unit={unit}", *needs, *ends, "sleep", "infinity")
    try:
        yield
    finally:
        _run("systemctl", "stop", unit)


def _run(*words: str) -> None:
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(words, capture_output=True, timeout=10, check=False)


def credentials() -> Credentials:
    """Those of the running service, if we may read them; else, as root, those it would be given. Raises ConfigError."""
    loaded = loaded_credentials()
    if loaded is not None:
        return loaded
    given, problems = given_credentials(unit_file.service_settings(UNIT))
    if problems:
        raise ConfigError(problems)
    return given


def loaded_credentials() -> Credentials | None:
    """Those of the running service; None if it does not run, has none, or they are not for us."""
    return load_credentials(CREDENTIALS) if os.access(CREDENTIALS, os.X_OK) else None


def given_credentials(settings: Settings) -> tuple[Credentials, tuple[Problem, ...]]:
    """Those the service would be given at its next start, as far as we may read them, and what is wrong with others.

    They come from systemd's stores, or from where the unit's `settings` say (a drop-in may name another file).
    """
    elsewhere = _named_elsewhere(settings)
    found: dict[str, Credential] = {}
    problems: list[Problem] = []
    for name in NAMES:
        encrypted, plain = credential_paths(name)
        for identifier, path, is_encrypted in ((name, encrypted, True), (name + PLAIN, plain, False)):
            path, is_encrypted = elsewhere.get(identifier, (path, is_encrypted))
            try:
                refuse_what_is_no_file(path, name)
                data = decrypted(path, identifier) if is_encrypted else read(path)
            except ConfigError as error:
                problems += error.problems
                continue
            if data is not None:
                found.setdefault(name, Credential(Origin(OriginKind.CREDENTIAL, str(path)), data))
    return found, tuple(problems)


def credentials_hidden() -> bool:
    """True if there may be credentials of the service that we cannot see."""
    stores = {place.parent for name in NAMES for place in credential_paths(name)}
    return any(os.access(folder, os.F_OK) and not os.access(folder, os.X_OK) for folder in (CREDENTIALS, *stores))


def _named_elsewhere(settings: Settings) -> dict[str, tuple[Path, bool]]:
    """Per credential the file that the unit names by an absolute path, and whether it is encrypted. The last one counts."""
    found: dict[str, tuple[Path, bool]] = {}
    for setting, value in settings:
        if setting in ("LoadCredential", "LoadCredentialEncrypted"):
            identifier, _, path = value.partition(":")
            found.pop(identifier, None)
            if path.startswith("/"):
                found[identifier] = (Path(path), setting == "LoadCredentialEncrypted")
            elif not value:
                found.clear()
    return found


def refuse_what_is_no_file(path: Path, name: str) -> None:
    """Raises ConfigError for e.g. a FIFO, which would have whoever reads it wait for ever."""
    try:
        require_regular(path)
    except NotRegularFile as error:
        hint = f"`rmdir {path}`; then {stored_anew(name)}" if path.is_dir() else stored_anew(name)
        raise ConfigError(Problem(str(path), str(error.strerror), hint)) from None
    except OSError:
        return  # not there, or not for us to see


def decrypted(path: Path, name: str, so: str = NOT_STARTED) -> bytes | None:
    """What systemd-creds(1) makes of an encrypted credential; None if it is not there, or not for us to read.

    Raises ConfigError if it cannot be decrypted; `so` is what follows from that.
    """
    if not os.access(path, os.R_OK):
        return None
    words = ["systemd-creds", "decrypt", f"--name={name}", str(path), "-"]
    try:
        done = subprocess.run(words, capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(Problem(str(path), f"systemd-creds: {error}", "install systemd's own tools")) from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ConfigError(
            Problem(
                str(path),
                f"cannot be decrypted, and {so}: {reason}",
                undecryptable_hint(name.removesuffix(PLAIN)),
            )
        ) from None
    return done.stdout
