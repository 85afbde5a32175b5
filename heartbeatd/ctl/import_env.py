"""`heartbeatctl import-env`: the earlier agent's .env file as a config.toml, printed or, with --write, put in its place."""

import argparse
import contextlib
import grp
import json
import os
import re
import stat
import sys
import tomllib
from pathlib import Path

from heartbeatd.config.load import LARGEST_FILE_BYTES
from heartbeatd.config.model import kind_of
from heartbeatd.ctl import service
from heartbeatd.ctl.dotenv import EnvFile, parse
from heartbeatd.errors import ConfigError, ExitCode, HeartbeatdError, NotAllowedError, Problem
from heartbeatd.files import decoded, read_regular, write_atomically

# The earlier agent's variables, and the settings they became.
VARIABLES: dict[str, str] = {
    "HEARTBEAT_URL": "heartbeat.url",
    "SECRET_KEY": "heartbeat.secret_key",
    "N8N_WEBHOOK_URL": "alerts.webhook_url",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the .env file; - is standard input")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the configuration file in place of printing it, readable by the agent only",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="with --write, replace one that has settings; it is kept with .bak at its name's end",
    )


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 done, 1 it was not written, 77 not allowed, 78 the .env file or a value in it makes no sense."""
    where = str(arguments.file)
    env = parse(_read(arguments.file))
    problems = list(_refused(env, where))
    lines = [Problem(f"{where}, line {number}", what) for number, what in env.bad_lines.items()]
    if problems or (arguments.write and lines):
        raise ConfigError([*problems, *lines])
    for note in (*(f"{line}; passed over" for line in lines), *_notes(env, where)):
        print(f"heartbeatctl: {note}", file=sys.stderr)
    if arguments.write:
        _write(arguments.config, env.values, force=arguments.force)
    else:
        _keep_from_others()
        print(render(env.values), end="")
    return ExitCode.OK


def render(values: dict[str, str]) -> str:
    """The config.toml; what is not in it has its default."""
    lines = ["# Made by heartbeatctl import-env. All other settings have their defaults: heartbeat-config.toml(5)."]
    for section in ("heartbeat", "alerts"):
        lines += ["", f"[{section}]"]
        for variable, key in VARIABLES.items():
            if key.startswith(f"{section}.") and values.get(variable):
                # A JSON string of visible ASCII is a TOML string, too.
                lines.append(f"{key.partition('.')[2]} = {json.dumps(values[variable])}")
    return "\n".join(lines) + "\n"


def filled(template: str, values: dict[str, str]) -> str | None:
    """The shipped config.toml with the values in place of its commented defaults; None if it has no such line for one."""
    left = {key: values[variable] for variable, key in VARIABLES.items() if values.get(variable)}
    section, lines = "", template.split("\n")
    for number, line in enumerate(lines):
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading.group(1)
        elif (default := re.match(r"#(\w+) = ", line)) and f"{section}.{default.group(1)}" in left:
            name = default.group(1)
            lines[number] = f"{name} = {json.dumps(left.pop(f'{section}.{name}'))}"
    return None if left else "\n".join(lines)


def _refused(env: EnvFile, where: str) -> list[Problem]:
    """What keeps the values from being used; that none of ours is there at all, most likely because it is another file."""
    problems = [Problem(f"{where}: {name}", env.bad_values[name]) for name in VARIABLES if name in env.bad_values]
    if not problems and not any(env.values.get(name) for name in VARIABLES):
        return [Problem(where, f"sets none of {', '.join(VARIABLES)}", "it should be the earlier agent's .env file")]
    for variable, key in VARIABLES.items():
        try:
            kind_of(key).check(env.values.get(variable, ""))
        except ValueError as error:
            problems.append(Problem(f"{where}: {variable}", str(error), f"allowed: {kind_of(key).allowed}"))
    return problems


def _notes(env: EnvFile, where: str) -> list[str]:
    """What is missing, and what is not used any more; a name is shown if it looks like one, for it may be a piece of a key."""
    notes = [
        f"{where}: {name} is not set; {key} stays empty" for name, key in VARIABLES.items() if not env.values.get(name)
    ]
    others = [name for name in env.values if name not in VARIABLES]
    names = [name for name in others if re.fullmatch(r"[A-Z][A-Z_]{1,30}", name)]
    if len(names) < len(others):
        names.append(f"{len(others) - len(names)} others" if names else f"{len(others)} variables")
    return [*notes, f"{where}: not used any more: {', '.join(names)}"] if names else notes


def _read(path: Path) -> str:
    try:
        data = (
            sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
            if str(path) == "-"
            else read_regular(path, LARGEST_FILE_BYTES + 1)
        )
        if len(data) > LARGEST_FILE_BYTES:
            raise ValueError("is larger than 1 MiB")
        return decoded(data)
    except OSError as error:
        problem = Problem(str(path), f"cannot be read: {error.strerror}")
        kind = NotAllowedError if isinstance(error, PermissionError) and os.geteuid() != 0 else ConfigError
        raise kind(problem) from None
    except ValueError as error:
        raise ConfigError(Problem(str(path), str(error), "is it the earlier agent's .env file?")) from None


def _write(path: Path, values: dict[str, str], *, force: bool) -> None:
    """Put it in place as a whole, or leave all as it was. Raises HeartbeatdError."""
    root = os.geteuid() == 0
    mode, group = (0o640, _group()) if root else (0o600, -1)
    try:
        before = _before(path)
        text = None
        if before is not None and not _has_settings(before):
            text = filled(decoded(before), values)  # its comments stay
        elif before is not None:
            if not force:
                hint = f"--force replaces it, and keeps it as {path}.bak"
                raise HeartbeatdError(Problem(str(path), "has settings already, and is left as it is", hint))
            write_atomically(path.with_name(f"{path.name}.bak"), before, mode, group)
        write_atomically(path, (text or render(values)).encode(), mode, group)
    except OSError as error:
        kind = NotAllowedError if isinstance(error, PermissionError) and not root else HeartbeatdError
        raise kind(Problem(str(path), f"cannot be written: {error.strerror}")) from None
    print(f"written: {path}; next: heartbeatctl check, then systemctl restart heartbeatd")


def _before(path: Path) -> bytes | None:
    try:
        return read_regular(path, LARGEST_FILE_BYTES)
    except FileNotFoundError:
        return None


def _has_settings(data: bytes) -> bool:
    """True for a configuration that sets anything, or that nobody can read; the one that is shipped sets nothing."""
    try:
        return any(section != {} for section in tomllib.loads(decoded(data)).values())
    except (ValueError, RecursionError):
        return True


def _group() -> int:
    """The agent's group; root's own where the package is not installed."""
    try:
        return grp.getgrnam(service.USER).gr_gid
    except KeyError:
        return 0


def _keep_from_others() -> None:
    """Take the rights of others away from a file that the key is about to be printed into, if it is ours to do so."""
    with contextlib.suppress(OSError, ValueError):
        opened = sys.stdout.fileno()
        found = os.fstat(opened)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            os.fchmod(opened, stat.S_IMODE(found.st_mode) & ~stat.S_IRWXO)
