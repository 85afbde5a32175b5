"""`heartbeatctl set-secret`: keep a secret as a credential that systemd encrypts and hands to the agent, or to the notifier.

It is read from a prompt without echo or from standard input, never from the command line, which everybody on a host can see.
"""

import argparse
import contextlib
import fcntl
import getpass
import grp
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from heartbeatd.config.load import load
from heartbeatd.config.model import kind_of
from heartbeatd.config.options import right
from heartbeatd.config.secrets import (
    LARGEST_BYTES,
    NAMES,
    SECRET_KEY,
    STORE,
    WEBHOOK_HEADERS,
    WEBHOOK_URL,
    OriginKind,
    Secret,
    all_lines,
    channel_credential,
    credential_paths,
    only_line,
)
from heartbeatd.core.plain import plain
from heartbeatd.ctl import service
from heartbeatd.errors import ConfigError, ExitCode, HeartbeatdError, NotAllowedError, Problem
from heartbeatd.files import write_atomically

# What may be kept so: its name here, the credential's name, and the setting it takes the place of. Beside these channel.NAME.
SECRETS: dict[str, tuple[str, str]] = {
    "secret_key": (SECRET_KEY, "heartbeat.secret_key"),
    "webhook_url": (WEBHOOK_URL, "alerts.webhook_url"),
    "webhook_headers": (WEBHOOK_HEADERS, "alerts.webhook_headers"),
}
CHANNEL_URL = "channel.url"
KEY_FILE = Path("/etc/heartbeat/secret_key")  # where the key goes if systemd cannot keep it


def add(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(sorted(SECRETS))
    parser.add_argument(
        "name", nargs="?", type=_known, default="secret_key", help=f"{names} or channel.NAME (default: %(default)s)"
    )
    parser.add_argument("--plain", action="store_true", help="keep it unencrypted, readable by root only")
    parser.add_argument("--remove", action="store_true", help="forget it")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 stored, 1 it could not be, 77 not allowed, 78 it is no key, or no URL, that would be accepted."""
    if os.geteuid() != 0:
        raise NotAllowedError(Problem("set-secret", "only root may store credentials"))
    name, key = _kept(arguments.name)
    if arguments.remove:
        with _alone():
            return _remove(name, key)
    text = _checked(_ask(arguments.name), key)
    with _alone():
        kept = (
            _write(credential_paths(name)[1], text.reveal().encode())
            if arguments.plain
            else _encrypted(name, text) or _fallback(name, text)
        )
        for other in credential_paths(name):
            if other != kept:  # an older one there might win over this
                _forget(other)
    print(f"stored in {kept}")
    _say_what_else(arguments.config, arguments.name, key, kept)
    if name in NAMES:
        # A reload reads the configuration anew, but systemd hands over credentials only when it starts a service.
        print("then: systemctl restart heartbeatd (a reload does not hand it over)")
    else:
        print("the next alert is sent with it")
    return ExitCode.OK


def _known(name: str) -> str:
    """Raises ArgumentTypeError if there is no such secret."""
    channel = name.removeprefix("channel.")
    try:
        if name not in SECRETS and (channel == name or not kind_of("channel.name").check(channel)):
            raise ValueError(f"there is no such secret: {', '.join(sorted(SECRETS))} or channel.NAME")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def _kept(name: str) -> tuple[str, str]:
    """The credential's name, and the key path of the setting."""
    return SECRETS.get(name) or (channel_credential(name.removeprefix("channel.")), CHANNEL_URL)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One run after the other: each removes what an older one has left in the other place."""
    folder = os.open(STORE.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _ask(what: str) -> bytes:
    """The secret, from the terminal or from standard input."""
    if sys.stdin.isatty():
        try:
            return getpass.getpass(f"{what} (not shown): ").encode()
        except EOFError:
            print(file=sys.stderr)
            return b""
    return sys.stdin.buffer.read(LARGEST_BYTES + 1)


def _checked(given: bytes, key: str) -> Secret:
    """Raises ConfigError if the setting `key` would not take it."""
    kind = kind_of(key)
    try:
        if not given.strip():
            raise ValueError("nothing was entered, and nothing is changed")
        line = all_lines(given) if key == SECRETS["webhook_headers"][1] else only_line(given)
        return Secret(str(kind.check(line)))
    except ValueError as error:
        raise ConfigError(Problem(key, str(error), right(error, kind))) from None


def _encrypted(name: str, text: Secret) -> Path | None:
    """Where it was stored, encrypted with this machine's key (and its TPM, if it has one); None if systemd cannot."""
    words = ["systemd-creds", "encrypt", f"--name={name}", "-", "-"]
    try:
        done = subprocess.run(words, input=text.reveal().encode(), capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or str(error).encode()
        print(
            f"heartbeatctl: systemd-creds cannot encrypt it: {plain(reason.decode(errors='replace').strip())}",
            file=sys.stderr,
        )
        return None
    return _write(credential_paths(name)[0], done.stdout)


def _fallback(name: str, text: Secret) -> Path:
    """Unencrypted, then: a file for the agent's group where there is a setting that names one, else a plain credential."""
    if name != SECRET_KEY:
        return _write(credential_paths(name)[1], text.reveal().encode())
    group = grp.getgrnam(service.USER).gr_gid
    return _write(KEY_FILE, text.reveal().encode() + b"\n", 0o640, group)


def _write(path: Path, data: bytes, mode: int = 0o600, group: int = 0) -> Path:
    """Where it is now. Raises HeartbeatdError if it cannot be put there."""
    try:
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        write_atomically(path, data, mode, group)
    except OSError as error:
        raise HeartbeatdError(Problem(str(path), f"cannot be written: {error.strerror}", _in_the_way(path))) from None
    return path


def _remove(name: str, key: str) -> int:
    gone = [path for path in credential_paths(name) if _forget(path)]
    if gone:
        until = "; the agent goes on with it until: systemctl restart heartbeatd" if name in NAMES else ""
        print(f"removed {', '.join(map(str, gone))}{until}")
    else:
        print(f"there was no credential {name}; {key} counts as it is")
    return ExitCode.OK


def _forget(path: Path) -> bool:
    """Delete the file; False if there was none."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HeartbeatdError(Problem(str(path), f"cannot be removed: {error.strerror}", _in_the_way(path))) from None
    return True


def _in_the_way(path: Path) -> str:
    """What to do about a folder in the place of the file; "" if there is none."""
    return f"a folder is in its place: `rmdir {path}`, and run this again" if path.is_dir() else ""


def _say_what_else(config: Path, name: str, key: str, kept: Path) -> None:
    """What is left to be done in the configuration, if anything is."""
    if kept == KEY_FILE:
        print(f'set heartbeat.secret_key_file = "{KEY_FILE}" in {config}')
    with contextlib.suppress(HeartbeatdError):
        found = load(config)
        secrets = {
            "secret_key": found.heartbeat.secret_key,
            "webhook_url": found.alerts.webhook_url,
            "webhook_headers": found.alerts.webhook_headers,
            **{f"channel.{channel.name}": channel.url for channel in found.channels},
        }
        if name not in secrets:
            print(f"{config} has no [[channel]] of this name yet")
            return
        origin = secrets[name].origin
        if origin is not None and origin.kind is OriginKind.SETTING:
            before = " before the restart" if _kept(name)[0] in NAMES else ""
            print(f"{key} is still in {config}, where it is of no use now: take it out{before}")
