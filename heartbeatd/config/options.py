"""Every setting there is, in one table: parsing, the shipped config.toml, config.toml(5) and the error messages follow it.

A kind (`Whole`, `Number`, `Text` …) knows what is allowed, says it in words, and checks a value. What it refuses it never
repeats: a key may have been written anywhere by mistake. Nothing here opens a file.
"""

import re
import socket
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

Value = int | float | str


class Kind(Protocol):
    """What a setting may be."""

    @property
    def allowed(self) -> str:
        """In words, for error messages and manuals."""

    def check(self, value: object) -> Value:
        """The value as it will be used. Raises ValueError saying what is wrong, without any of its text."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number in a range."""

    lowest: int
    highest: int
    divides: int | None = None

    @property
    def allowed(self) -> str:
        """E.g. `a whole number from 1 to 60`."""
        rule = f" that divides {self.divides}" if self.divides else ""
        return f"a whole number from {self.lowest} to {self.highest}{rule}"

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(_wrong_type(value))
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{_number(value)} is out of range")
        if self.divides is not None and self.divides % value:
            raise ValueError(f"{value} does not divide {self.divides}")
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a range; whole numbers are taken too."""

    lowest: float
    highest: float

    @property
    def allowed(self) -> str:
        """E.g. `a number from 0.1 to 30`."""
        return f"a number from {self.lowest:g} to {self.highest:g}"

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else, nan and inf among it."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(_wrong_type(value))
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{_number(value)} is out of range")
        return float(value)


@dataclass(frozen=True, slots=True)
class Text:
    """A text of characters that each match `character`."""

    allowed: str
    character: str
    longest: int = 4096

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else."""
        text = _text(value)
        if len(text) > self.longest:
            raise ValueError(f"it is {len(text)} characters long, {self.longest} are allowed")
        for number, character in enumerate(text, 1):
            if not re.fullmatch(self.character, character):
                raise ValueError(f"character {number} of it is not allowed")
        return text


@dataclass(frozen=True, slots=True)
class Path:
    """An absolute path, or "" where `optional`."""

    optional: bool = False

    @property
    def allowed(self) -> str:
        """In words."""
        return "an absolute path" + (' or ""' if self.optional else "")

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else."""
        text = _text(value)
        if text == "" and self.optional:
            return text
        if not text.startswith("/"):
            raise ValueError("it does not begin with /, so it is not an absolute path")
        if "\0" in text:
            raise ValueError("it has a NUL in it")
        return text


@dataclass(frozen=True, slots=True)
class NewFile:
    """The absolute path of a file that is made, with others beside it, in a folder that may be given away for that."""

    allowed: str = "the absolute path of a file, in a folder of its own"

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else."""
        text = str(Path().check(value))
        path = PurePosixPath(text)
        if ".." in path.parts:
            raise ValueError("it has .. in it")
        if text.endswith(("/", "/.")):
            raise ValueError("it is the path of a folder, not of a file")
        if of_the_system(path.parent):
            raise ValueError("its folder belongs to the system, and cannot be the agent's to write in")
        return text


# Folders that no service may be given, with all below them; and those that only hold the folders of others.
_SYSTEM = ("/bin", "/boot", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr/bin", "/usr/lib", "/usr/sbin")
_SHARED = (
    *(
        "/",
        "/dev",
        "/dev/shm",
        "/home",
        "/media",
        "/opt",
        "/root",
        "/run",
        "/srv",
        "/tmp",
        "/usr",
        "/usr/local",
        "/usr/share",
    ),
    *(
        "/var",
        "/var/backups",
        "/var/cache",
        "/var/lib",
        "/var/local",
        "/var/log",
        "/var/mail",
        "/var/opt",
        "/var/spool",
        "/var/tmp",
    ),
)


def of_the_system(folder: PurePosixPath) -> bool:
    """True for a folder that is not to be given to a service, such as `/etc/x` or `/var/lib`; `/var/lib/x` may be."""
    path = "/" + str(folder).lstrip("/")
    return path in _SHARED or any(path == tree or path.startswith(f"{tree}/") for tree in _SYSTEM)


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL; `user_info` says whether it may hold a user name and password."""

    optional: bool = True
    user_info: bool = True

    @property
    def allowed(self) -> str:
        """In words."""
        return (
            "a URL that begins with https:// or http://"
            + ("" if self.user_info else ", without user name and password")
            + (', or ""' if self.optional else "")
        )

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else; no part of the text is repeated, since it may hold a secret.

        A URL is taken apart here by its own rules (RFC 3986): an error of urlsplit() would show what it stumbled over.
        """
        text = _text(value)
        if text == "" and self.optional:
            return text
        if not re.fullmatch(r"[!-~]+", text):
            raise ValueError("it has a space or a character outside ASCII")
        found = re.fullmatch(r"(?i:https?)://([^/?#]*)([^#]*)(#?.*)", text)
        if not found:
            raise ValueError("it begins neither with https:// nor with http://")
        authority, rest, fragment = found.groups()
        user_info, _, address = authority.rpartition("@")
        # A password with / ? or # in it ends the address early, and what is behind it must never be taken for a path.
        if "@" in rest or fragment:
            raise ValueError(f"it has {'a #' if fragment else 'an @'} behind the host; {_ESCAPES}")
        host, port = _host_and_port(address)
        if port and not (port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
            raise ValueError(f"its port is not a number from 1 to 65535; {_ESCAPES}")
        _check_host(host)
        if not self.user_info and "@" in authority:
            raise ValueError("it holds a user name or password")
        if re.search(r"[\\[\]]", user_info):
            raise ValueError("its user name or password has one of [ ] \\, which are written %5B %5D %5C")
        return text


_ESCAPES = "in a user name, a password or a query, / ? # @ are written %2F %3F %23 %40"


def _host_and_port(address: str) -> tuple[str, str]:
    """`host:80` → `host`, `80`; `[::1]` → `[::1]`, ``."""
    found = re.fullmatch(r"(\[.*\]|[^:[]*)(?::([^:]*))?", address)
    if found is None:
        raise ValueError("its host is neither a name nor an address; an IPv6 address stands in [ ]")
    return found.group(1), found.group(2) or ""


def _check_host(host: str) -> None:
    """Raises ValueError if it is neither an address nor a name that could be looked up (RFC 1035, and with _)."""
    if host.startswith("["):
        address, zone, interface = host[1:-1].partition("%")
        try:
            socket.inet_pton(socket.AF_INET6, address)
        except OSError:
            raise ValueError("what stands in [ ] is not an IPv6 address") from None
        if zone and not re.fullmatch(r"[A-Za-z0-9._-]{1,15}", interface):
            raise ValueError("what stands in [ ] behind % is no interface")
        return
    name = host.removesuffix(".")
    if not name:
        raise ValueError("it names no host")
    if len(name) > 253:
        raise ValueError("its host's name is longer than 253 characters")
    for label in name.split("."):
        if not label:
            raise ValueError("its host's name has two dots in a row, or begins with one")
        if len(label) > 63:
            raise ValueError("its host's name has more than 63 characters between two dots")
        if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?", label):
            raise ValueError('its host\'s name has more than letters, digits, "-" and "_", or a "-" beside a dot')


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """`unix:///path`, or "" for none."""

    allowed: str = 'unix:// and an absolute path, or "" to leave containers out'

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else."""
        text = _text(value)
        if text and not re.fullmatch(r"unix:///[^\0]+", text):
            raise ValueError("it does not begin with unix:///" if "\0" not in text else "it has a NUL in it")
        return text


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """E.g. `"normal" or "full"`."""
        *others, last = (f'"{word}"' for word in self.words)
        return f"{', '.join(others)} or {last}"

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else."""
        text = _text(value)
        if text not in self.words:
            raise ValueError(f"it is {'neither' if len(self.words) == 2 else 'none of them'}")
        return text


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: `section.name`, its kind and default, and what it is for (plain text, whole sentences)."""

    section: str
    name: str
    kind: Kind
    default: Value
    about: str
    example: str = ""

    @property
    def key(self) -> str:
        """The key path, e.g. `agent.interval_seconds`."""
        return f"{self.section}.{self.name}"


SECTIONS: dict[str, str] = {
    "agent": "The agent itself.",
    "heartbeat": "The Worker that raises the alarm when heartbeats stop. Without a URL the agent only measures and stores.",
    "alerts": "The n8n webhook that is told when the Worker changes state. Without a URL changes are only logged.",
    "internet": "The internet check. It explains a failed heartbeat; it never raises an alarm of its own.",
    "docker": "Counting the running containers.",
    "storage": "The database.",
}

_KEY = Text("visible ASCII characters without spaces", r"[!-~]")
_ZONE = Text(
    'a time zone\'s name, e.g. "Europe/Madrid" or "UTC", or "" for the host\'s own', r"[A-Za-z0-9_+/-]", longest=64
)
_HOST = Text('letters, digits, ".", "-" and "_", at most 253', r"[A-Za-z0-9._-]", longest=253)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "agent",
        "interval_seconds",
        Whole(1, 3600, divides=86400),
        10,
        "Seconds between two cycles. Cycles run on the wall clock's grid: with 10, at :00, :10, :20 and so on.",
    ),
    Setting(
        "agent", "hostname", _HOST, "", 'The name this host is known by in heartbeats and alerts. "" is its own name.'
    ),
    Setting(
        "agent",
        "timezone",
        _ZONE,
        "America/Lima",
        'The time zone of all times that people read in alerts, the journal and the status, e.g. "Europe/Madrid"; "" is the '
        "host's own. The database keeps Lima's time; heartbeats and the details of alerts have UTC.",
    ),
    Setting(
        "agent",
        "log_cycles",
        OneOf(("all", "hourly", "changes")),
        "all",
        'Which cycles have a line in the journal. "all": each. "hourly": one line an hour sums them up. "changes": those in '
        "which the Worker's answer, the internet check or the number of containers differs from the cycle before. Warnings, "
        "alerts and changes of state are always logged.",
    ),
    Setting(
        "heartbeat",
        "url",
        Url(user_info=False),
        "",
        "The Worker's address.",
        "https://NAME.ACCOUNT.workers.dev/api/heartbeat",
    ),
    Setting(
        "heartbeat",
        "secret_key",
        _KEY,
        "",
        "The key, sent as `Authorization: Bearer KEY`. Keep this file unreadable to others (root:heartbeat 0640, as shipped).",
    ),
    Setting(
        "heartbeat",
        "secret_key_file",
        Path(optional=True),
        "",
        "A file that holds the key, in place of secret_key. `heartbeatctl set-secret`, which keeps it encrypted, wins over both "
        "from the next restart on.",
    ),
    Setting(
        "heartbeat",
        "timeout_seconds",
        Number(0.1, 60),
        3.0,
        "Seconds for a whole heartbeat, name resolution and one retry included.",
    ),
    Setting(
        "heartbeat",
        "ca_file",
        Path(optional=True),
        "",
        "A PEM file of certificate authorities to trust beside the system's own.",
    ),
    Setting(
        "alerts",
        "webhook_url",
        Url(),
        "",
        "Where alerts are posted. A user name and password, as in https://USER:PASSWORD@HOST/PATH, are sent as Basic "
        "authentication; in them / ? # @ are written %2F %3F %23 %40.",
        "http://127.0.0.1:5678/webhook/heartbeat",
    ),
    Setting("alerts", "timeout_seconds", Number(0.1, 60), 2.0, "Seconds for one try to deliver an alert."),
    Setting(
        "alerts",
        "alert_after",
        Whole(1, 1000),
        2,
        "Consecutive bad cycles before a change to bad is announced: a single lost heartbeat is no outage.",
    ),
    Setting(
        "alerts",
        "recover_after",
        Whole(1, 1000),
        1,
        "Consecutive good cycles before a recovery is announced.",
    ),
    Setting(
        "alerts",
        "gap_alert_seconds",
        Whole(0, 31_536_000),
        120,
        "After a start: how long no cycle may have run, because of a stop, a crash or a power cut, before that is announced; "
        "0 is never.",
    ),
    Setting(
        "internet",
        "url",
        Url(optional=False),
        "http://www.google.com",
        "Asked with HEAD; an answer of 2xx or 3xx means the internet is reachable.",
    ),
    Setting("internet", "timeout_seconds", Number(0.1, 60), 2.0, "Seconds for the whole check."),
    Setting(
        "docker",
        "socket",
        UnixSocket(),
        "unix:///run/docker.sock",
        "The Docker engine's socket. heartbeatd-containers.service reads it, unless the agent has been given the right to.",
    ),
    Setting("docker", "timeout_seconds", Number(0.1, 60), 2.0, "Seconds for the whole count."),
    Setting("storage", "path", NewFile(), "/var/lib/heartbeat/metrics.db", "The SQLite file that keeps every cycle."),
    Setting(
        "storage",
        "keep_days",
        Whole(0, 36500),
        400,
        "Days after which a row is deleted; 0 keeps rows for ever. Each hour's and each day's figures are kept in any case.",
    ),
    Setting(
        "storage",
        "sync",
        OneOf(("normal", "full")),
        "normal",
        'What a power cut may cost. "normal": the rows of the last minute, but no alert and no state. "full": nothing, for a '
        "flush of the disk in each cycle.",
    ),
)


def kind_of(key: str) -> Kind:
    """What the setting with this key path may be. The key has to be one of the table's."""
    return next(setting.kind for setting in SETTINGS if setting.key == key)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(_wrong_type(value) + ("" if isinstance(value, list | dict) else "; write it in quotes"))
    return value


def _wrong_type(value: object) -> str:
    """In words what the value is, and how to write it where quotes are all that is wrong. Never the value itself."""
    kind = next((name for kind, name in _TYPES if isinstance(value, kind)), "a date or time")
    quoted_number = isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d+(\.\d+)?\s*", value)
    return f"it is {kind}" + ("; write the number without quotes" if quoted_number else "")


def _number(value: float) -> str:
    """A number that is wrong, if it is too short to be anything else."""
    shown = f"{value:g}" if abs(value) < 1e6 or value != value or isinstance(value, float) else ""
    return shown if 0 < len(shown) <= 8 else "it"


_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a fraction"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a table"),
)
