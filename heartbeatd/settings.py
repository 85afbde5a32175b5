"""Every setting there is, in one table: parsing, the shipped config.toml, config.toml(5) and the error messages follow it.

A kind (`Whole`, `Number`, `Text` …) knows what is allowed, says it in words, and checks a value. Nothing here opens a file.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit

Value = int | float | str


class Kind(Protocol):
    """What a setting may be."""

    @property
    def allowed(self) -> str:
        """In words, for error messages and manuals."""

    def check(self, value: object) -> Value:
        """The value as it will be used. Raises ValueError saying what is wrong; never repeats a secret."""


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
            raise ValueError(f"{_shown(value)} is {_type(value)}")
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{value} is out of range")
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
            raise ValueError(f"{_shown(value)} is {_type(value)}")
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{value} is out of range")
        return float(value)


@dataclass(frozen=True, slots=True)
class Text:
    """A text that has to match `pattern` as a whole; what does not is shown only if it is no secret."""

    allowed: str
    pattern: str
    secret: bool = False
    longest: int = 4096

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else."""
        text = _text(value, secret=self.secret)
        if len(text) > self.longest:
            raise ValueError(f"it is {len(text)} characters long, {self.longest} are allowed")
        if not re.fullmatch(self.pattern, text):
            raise ValueError(
                "it has characters that are not allowed" if self.secret else f"{_shown(text)} does not fit"
            )
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
        if not PurePosixPath(text).is_absolute() or "\0" in text:
            raise ValueError(f"{_shown(text)} is not an absolute path")
        return text


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
        """Raises ValueError for anything else; the text is not repeated, since it may hold a secret."""
        text = _text(value, secret=True)
        if text == "" and self.optional:
            return text
        if not re.fullmatch(r"[!-~]+", text):
            raise ValueError("it has a space or a character outside ASCII")
        try:
            parts = urlsplit(text)
            has_host = bool(parts.hostname)
            bad_port = parts.port == 0
        except ValueError as error:
            raise ValueError(f"it is not a URL: {error}") from None
        if parts.scheme not in ("http", "https"):
            raise ValueError(
                f"it begins with {_shown(parts.scheme + ':')}" if parts.scheme else "it has no https:// in front"
            )
        if not has_host:
            raise ValueError("it names no host")
        if bad_port:
            raise ValueError("port 0 does not exist")
        if not self.user_info and "@" in parts.netloc:
            raise ValueError("it holds a user name or password")
        return text


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """`unix:///path`, or "" for none."""

    allowed: str = 'unix:// and an absolute path, or "" to leave containers out'

    def check(self, value: object) -> Value:
        """Raises ValueError for anything else."""
        text = _text(value)
        if text and not re.fullmatch(r"unix:///[^\0]+", text):
            raise ValueError(f"{_shown(text)} does not fit")
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
            raise ValueError(f"{_shown(text)} is {'neither' if len(self.words) == 2 else 'none of them'}")
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

_KEY = Text("visible ASCII characters without spaces", r"[!-~]*", secret=True)
_ZONE = Text(
    'a time zone\'s name, e.g. "Europe/Madrid" or "UTC", or "" for the host\'s own', r"[A-Za-z0-9_+/-]*", longest=64
)
_HOST = Text('letters, digits, ".", "-" and "_", at most 253', r"[A-Za-z0-9._-]*", longest=253)

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
        "A file that holds the key, in place of secret_key. `heartbeatctl set-secret`, which keeps it encrypted, wins over both.",
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
        "Where alerts are posted.",
        "http://127.0.0.1:5678/webhook/heartbeat",
    ),
    Setting("alerts", "timeout_seconds", Number(0.1, 60), 2.0, "Seconds for one try to deliver an alert."),
    Setting(
        "alerts",
        "alert_after",
        Whole(1, 1000),
        1,
        "Consecutive bad cycles before a change to bad is announced.",
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
    Setting("storage", "path", Path(), "/var/lib/heartbeat/metrics.db", "The SQLite file that keeps every cycle."),
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


def _text(value: object, *, secret: bool = False) -> str:
    if not isinstance(value, str):
        raise ValueError(f"it is {_type(value)}" if secret else f"{_shown(value)} is {_type(value)}")
    return value


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a fraction"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a table"),
)


def _type(value: object) -> str:
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "a date or time")
