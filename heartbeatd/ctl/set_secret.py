"""`heartbeatctl set-secret`: keep the key, or the webhook's URL, as a credential that systemd encrypts and hands to the agent.

It is read from a prompt without echo or from standard input, never from the command line, which everybody on a host can see.
"""

import argparse
import contextlib
import getpass
import grp
import os
import subprocess
import sys
from pathlib import Path

from heartbeatd.config import Secret, load
from heartbeatd.credentials import LARGEST_BYTES, SECRET_KEY, WEBHOOK_URL, places
from heartbeatd.ctl import service
from heartbeatd.errors import ConfigError, ExitCode, HeartbeatdError, Problem
from heartbeatd.settings import kind_of

# What may be kept so: its name here, the credential's name, and the setting it takes the place of.
SECRETS: dict[str, tuple[str, str]] = {
    "secret_key": (SECRET_KEY, "heartbeat.secret_key"),
    "webhook_url": (WEBHOOK_URL, "alerts.webhook_url"),
}
KEY_FILE = Path("/etc/heartbeat/secret_key")  # where the key goes if systemd cannot keep it


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's options."""
    parser.add_argument(
        "name", nargs="?", choices=sorted(SECRETS), default="secret_key", help="which secret (default: %(default)s)"
    )
    parser.add_argument("--plain", action="store_true", help="keep it unencrypted, readable by root only")
    parser.add_argument("--remove", action="store_true", help="forget it")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 stored, 1 it could not be, 78 it is no key, or no URL, that would be accepted."""
    if os.geteuid() != 0:
        raise HeartbeatdError(Problem("set-secret", "only root may store credentials", "run it with sudo"))
    name, key = SECRETS[arguments.name]
    if arguments.remove:
        return _remove(name, key)
    text = _checked(_ask(arguments.name), key)
    kept = (
        _write(places(name)[1], text.reveal().encode())
        if arguments.plain
        else _encrypted(name, text) or _fallback(name, text)
    )
    for other in places(name):
        if other != kept:  # an older one there might win over this
            _forget(other)
    print(f"stored in {kept}; the agent takes it at its next start: systemctl restart heartbeatd")
    _say_what_else(arguments.config, key, kept)
    return ExitCode.OK


def _ask(what: str) -> str:
    """The secret, from the terminal or from standard input."""
    if sys.stdin.isatty():
        try:
            return getpass.getpass(f"{what} (not shown): ")
        except EOFError:
            print(file=sys.stderr)
            return ""
    data = sys.stdin.buffer.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise ConfigError(Problem("standard input", "is longer than 8 KiB", "it should be the secret and nothing else"))
    return data.decode("utf-8", errors="replace")


def _checked(given: str, key: str) -> Secret:
    """Raises ConfigError if the setting `key` would not take it."""
    kind = kind_of(key)
    text = given.strip()
    try:
        if not text:
            raise ValueError("nothing was entered, and nothing is changed")
        return Secret(str(kind.check(text)))
    except ValueError as error:
        raise ConfigError(Problem(key, str(error), f"allowed: {kind.allowed}")) from None


def _encrypted(name: str, text: Secret) -> Path | None:
    """Where it was stored, encrypted with this machine's key (and its TPM, if it has one); None if systemd cannot."""
    words = ["systemd-creds", "encrypt", f"--name={name}", "-", "-"]
    try:
        done = subprocess.run(words, input=text.reveal().encode(), capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or str(error).encode()
        print(
            f"heartbeatctl: systemd-creds cannot encrypt it: {reason.decode(errors='replace').strip()}", file=sys.stderr
        )
        return None
    return _write(places(name)[0], done.stdout)


def _fallback(name: str, text: Secret) -> Path:
    """Unencrypted, then: a file for the agent's group where there is a setting that names one, else a plain credential."""
    if name != SECRET_KEY:
        return _write(places(name)[1], text.reveal().encode())
    group = grp.getgrnam(service.USER).gr_gid
    return _write(KEY_FILE, text.reveal().encode() + b"\n", 0o640, group)


def _write(path: Path, data: bytes, mode: int = 0o600, group: int = 0) -> Path:
    """Replace the file as a whole: at no moment is it half-written, or readable by anybody it is not for."""
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        new.unlink(missing_ok=True)
        new.touch(mode=0o600, exist_ok=False)
        with new.open("wb") as file:
            os.fchown(file.fileno(), 0, group)
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise HeartbeatdError(Problem(str(path), f"cannot be written: {error.strerror}")) from None
    return path


def _remove(name: str, key: str) -> int:
    gone = [path for path in places(name) if _forget(path)]
    if gone:
        print(f"removed {', '.join(map(str, gone))}; the agent goes on with it until: systemctl restart heartbeatd")
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
        raise HeartbeatdError(Problem(str(path), f"cannot be removed: {error.strerror}")) from None
    return True


def _say_what_else(config: Path, key: str, kept: Path) -> None:
    """What is left to be done in the configuration, if anything is."""
    if kept == KEY_FILE:
        print(f'set heartbeat.secret_key_file = "{KEY_FILE}" in {config}')
    with contextlib.suppress(HeartbeatdError):
        found = load(config)
        origin = {"heartbeat.secret_key": found.heartbeat.secret_from, "alerts.webhook_url": found.alerts.webhook_from}[
            key
        ]
        if origin.endswith(f": {key}"):
            print(f"{key} is still in {config}, where it is of no use now: take it out")
