"""What the files of a unit say: the unit file and its drop-ins, in the order in which systemd reads them."""

import re
import subprocess
from collections.abc import Iterator

Settings = tuple[tuple[str, str], ...]  # name and value, as they are written

_TIMEOUT_S = 5
# systemd.unit(5), SPECIFIERS: those that stand for the same whoever asks.
_SPECIFIERS = {
    "%%": "%",
    "%C": "/var/cache",
    "%E": "/etc",
    "%L": "/var/log",
    "%S": "/var/lib",
    "%T": "/tmp",
    "%t": "/run",
}

DIRECTORIES = {
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
    "RuntimeDirectory": "/run",
    "ConfigurationDirectory": "/etc",
}


def service_settings(unit: str) -> Settings:
    """The [Service] settings of a unit, drop-ins included; empty if there is no such unit, or systemd does not answer."""
    try:
        shown = subprocess.run(
            ["systemctl", "cat", "--no-pager", unit],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(parse(shown))


def parse(text: str) -> Iterator[tuple[str, str]]:
    """The [Service] settings in the text of unit files (systemd.syntax(7)), in order. E.g. `a = b \\\\\\n c` → `("a", "b c")`."""
    section = ""
    for line in _joined(text):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line:
            name, _, value = line.partition("=")
            yield name.strip(), _expanded(value.strip())


def own_directories(settings: Settings) -> tuple[str, ...]:
    """The folders that systemd makes for the service when it starts it (StateDirectory= and the like)."""
    return tuple(
        f"{DIRECTORIES[name]}/{folder.partition(':')[0]}"
        for name, value in settings
        if name in DIRECTORIES
        for folder in value.split()
    )


def is_on(value: str) -> bool:
    """Whether a setting is switched on: a boolean of systemd.syntax(7), or one of the words for a kind of yes."""
    return value.lower() not in ("", "no", "false", "off", "0", "n", "f")


def _joined(text: str) -> Iterator[str]:
    """Lines without comments and empty ones; a backslash at the end continues a line, also across comments."""
    begun = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            if not line and begun:
                yield begun
                begun = ""
            continue
        if line.endswith("\\"):
            begun += line[:-1].rstrip() + " "
            continue
        yield (begun + line).strip()
        begun = ""
    if begun:
        yield begun.strip()


def _expanded(value: str) -> str:
    return re.sub("%.", lambda found: _SPECIFIERS.get(found[0], found[0]), value)
