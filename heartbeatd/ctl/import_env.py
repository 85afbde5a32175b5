"""`heartbeatctl import-env`: the earlier agent's .env file as a config.toml, on standard output."""

import argparse
import json
import re
import sys
from pathlib import Path

from heartbeatd.config import LARGEST_FILE_BYTES
from heartbeatd.errors import ConfigError, ExitCode, Problem
from heartbeatd.files import read_regular
from heartbeatd.settings import kind_of

# The earlier agent's variables, and the settings they became.
VARIABLES: dict[str, str] = {
    "HEARTBEAT_URL": "heartbeat.url",
    "SECRET_KEY": "heartbeat.secret_key",
    "N8N_WEBHOOK_URL": "alerts.webhook_url",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the .env file; - is standard input")


def run(arguments: argparse.Namespace) -> int:
    """Exit status: 0 done, 78 the file cannot be read or a value in it would be refused."""
    text = _read(arguments.file)
    values, passed_over = parse(text)
    problems = []
    for variable, key in VARIABLES.items():
        if variable not in values:
            print(f"heartbeatctl: {arguments.file}: {variable} is not set; {key} stays empty", file=sys.stderr)
            continue
        kind = kind_of(key)
        try:
            kind.check(values[variable])
        except ValueError as error:
            problems.append(Problem(f"{arguments.file}: {variable}", str(error), f"allowed: {kind.allowed}"))
    if problems:
        raise ConfigError(problems)
    if passed_over:
        print(f"heartbeatctl: {arguments.file}: not used any more: {', '.join(passed_over)}", file=sys.stderr)
    print(render(values), end="")
    return ExitCode.OK


def parse(text: str) -> tuple[dict[str, str], list[str]]:
    """The variables we know, and the names of those we do not. Understands `export`, quotes and comments, as Docker does."""
    values: dict[str, str] = {}
    passed_over: list[str] = []
    for line in text.splitlines():
        found = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*", line)
        if found is None:
            continue
        name, value = found.groups()
        if name in VARIABLES:
            values[name] = _unquoted(value)
        else:
            passed_over.append(name)
    return values, passed_over


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


def _unquoted(value: str) -> str:
    for quote in "\"'":
        found = re.fullmatch(rf"{quote}([^{quote}]*){quote}(?:\s*#.*)?", value)
        if found:
            return found.group(1)
    return re.sub(r"\s+#.*$", "", value)


def _read(path: Path) -> str:
    try:
        if str(path) == "-":
            return sys.stdin.read(LARGEST_FILE_BYTES)
        return read_regular(path, LARGEST_FILE_BYTES).decode()
    except OSError as error:
        raise ConfigError(Problem(str(path), f"cannot be read: {error.strerror}")) from None
    except UnicodeDecodeError:
        raise ConfigError(Problem(str(path), "is not UTF-8 text", "is it the earlier agent's .env file?")) from None
