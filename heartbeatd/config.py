"""The configuration: a file becomes a mapping, a mapping becomes a frozen `Config`, or every error there is, at once.

Where the key comes from, the first that is there wins: the systemd credential `heartbeat.secret_key`, the file
`heartbeat.secret_key_file`, `heartbeat.secret_key`. Likewise the credential `heartbeat.webhook_url` wins over the setting.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heartbeatd import zones
from heartbeatd.core.moments import LIMA_ZONE, Zone
from heartbeatd.credentials import LARGEST_BYTES, SECRET_KEY, WEBHOOK_URL, Credentials
from heartbeatd.errors import ConfigError, Problem
from heartbeatd.files import read_regular
from heartbeatd.settings import SECTIONS, SETTINGS, kind_of

DEFAULT_PATH = Path("/etc/heartbeat/config.toml")
LARGEST_FILE_BYTES = 1 << 20


_NO_CREDENTIALS: Credentials = {}


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that shows itself to nobody who does not ask for it by name."""

    _text: str

    def reveal(self) -> str:
        """The secret. For the one header it is sent in."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(***)" if self._text else "Secret()"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """[agent]"""

    interval_seconds: int
    hostname: str
    timezone: Zone
    log_cycles: str


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """[heartbeat]; `secret` is the key in force and `secret_from` says where it came from."""

    url: str
    secret: Secret
    secret_from: str
    timeout_seconds: float
    ca_file: str


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    """[alerts]; the URL may hold a secret (n8n's basic authentication), so it is not shown; `webhook_from` says where it was."""

    webhook_url: Secret
    webhook_from: str
    timeout_seconds: float
    alert_after: int
    recover_after: int
    gap_alert_seconds: int


@dataclass(frozen=True, slots=True)
class InternetConfig:
    """[internet]"""

    url: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """[docker]"""

    socket: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """[storage]"""

    path: str
    keep_days: int
    sync: str


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, checked."""

    agent: AgentConfig
    heartbeat: HeartbeatConfig
    alerts: AlertsConfig
    internet: InternetConfig
    docker: DockerConfig
    storage: StorageConfig

    @property
    def longest_cycle_s(self) -> float:
        """Seconds a cycle may wait for others at the most: the slower of the two probes, then the heartbeat."""
        return max(self.internet.timeout_seconds, self.docker.timeout_seconds) + self.heartbeat.timeout_seconds

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be logged: the key, and what the URLs hold beside scheme, host and path."""
        hidden = [self.heartbeat.secret.reveal()]
        for url in (self.heartbeat.url, self.alerts.webhook_url.reveal(), self.internet.url):
            _, at, rest = url.partition("://")
            authority = rest.partition("/")[0]
            hidden += [authority.rpartition("@")[0]] if at else []
            hidden += [url.partition("?")[2]]
        return tuple(text for text in hidden if len(text) > 3)


def load(path: Path, credentials: Credentials = _NO_CREDENTIALS) -> Config:
    """The configuration in the file `path`, with the credentials that were passed, if any were.

    Raises ConfigError naming the file, each key path, what is wrong and what would be right.
    """
    return parse(read(path), str(path), credentials)


def read(path: Path) -> Mapping[str, object]:
    """The TOML file as a mapping. Raises ConfigError if it cannot be read, is too large, or is not TOML."""
    where = str(path)
    try:
        data = read_regular(path, LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(Problem(where, f"cannot be read: {error.strerror}", _reading_hint(error))) from None
    if len(data) > LARGEST_FILE_BYTES:
        raise ConfigError(Problem(where, "is larger than 1 MiB", "a configuration has a few dozen lines"))
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(Problem(f"{where}, line {line}", "is not UTF-8 text", "save the file as UTF-8")) from None
    except tomllib.TOMLDecodeError as error:
        twice = re.match(r"Cannot (?:declare|overwrite).*(\(at .*\))", str(error))
        what = f"a heading or key stands twice {twice.group(1)}" if twice else str(error)
        hint = (
            "put all lines of a section under the heading that is there"
            if twice
            else "texts need quotes, straight ones"
        )
        raise ConfigError(Problem(where, f"is not TOML: {what}", f"{hint}; see heartbeat-config.toml(5)")) from None
    except RecursionError:
        raise ConfigError(Problem(where, "is nested too deeply", "settings are [section] and key = value")) from None


def parse(mapping: Mapping[str, object], where: str = "", credentials: Credentials = _NO_CREDENTIALS) -> Config:
    """The configuration in a mapping of sections. Raises ConfigError.

    Pure, but for the files that hold the key and the time zone.
    """
    problems = list(_unknown(mapping, where))
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        section = mapping.get(setting.section, {})
        given = section.get(setting.name) if isinstance(section, Mapping) else None
        try:
            values[setting.key] = setting.default if given is None else setting.kind.check(given)
        except ValueError as error:
            problems.append(Problem(f"{where}: {setting.key}", str(error), f"allowed: {setting.kind.allowed}"))
    zone = _zone(values, where, problems)
    secret, webhook = _Found(), _Found()
    try:
        webhook = _webhook(values, where, credentials)
        secret = _secret(values, where, credentials)
        problems += _together(values, secret, where)
    except ConfigError as error:
        problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return _build(values, zone, secret, webhook)


@dataclass(frozen=True, slots=True)
class _Found:
    """A secret, and where it was found."""

    text: str = field(default="", repr=False)
    origin: str = ""


def _build(values: Mapping[str, Any], zone: Zone, secret: _Found, webhook: _Found) -> Config:
    def of(section: str) -> dict[str, Any]:
        return {s.name: values[s.key] for s in SETTINGS if s.section == section}

    heartbeat, alerts = of("heartbeat"), of("alerts")
    return Config(
        agent=AgentConfig(**{**of("agent"), "timezone": zone}),
        heartbeat=HeartbeatConfig(
            url=heartbeat["url"],
            secret=Secret(secret.text),
            secret_from=secret.origin,
            timeout_seconds=heartbeat["timeout_seconds"],
            ca_file=heartbeat["ca_file"],
        ),
        alerts=AlertsConfig(**{**alerts, "webhook_url": Secret(webhook.text), "webhook_from": webhook.origin}),
        internet=InternetConfig(**of("internet")),
        docker=DockerConfig(**of("docker")),
        storage=StorageConfig(**of("storage")),
    )


def _zone(values: Mapping[str, Any], where: str, problems: list[Problem]) -> Zone:
    """The time zone people read; what keeps it from being used is added to `problems`."""
    name: str = values.get("agent.timezone", LIMA_ZONE.name)
    try:
        return zones.named(name)
    except ValueError as error:
        problems.append(Problem(f"{where}: agent.timezone", str(error), zones.nearest(name)))
        return LIMA_ZONE


def _together(values: Mapping[str, Any], secret: _Found, where: str) -> Iterator[Problem]:
    """What is wrong only in combination."""
    if values.get("heartbeat.url") and "heartbeat.secret_key" in values and not secret.text:
        yield Problem(
            f"{where}: heartbeat.secret_key",
            "is missing, but heartbeat.url is set",
            "`heartbeatctl set-secret` stores it encrypted; or set heartbeat.secret_key or heartbeat.secret_key_file",
        )


def _secret(values: Mapping[str, Any], where: str, credentials: Credentials) -> _Found:
    """The key. Raises ConfigError if what should hold it cannot be used."""
    credential = credentials.get(SECRET_KEY)
    if credential is not None:
        return _checked(credential.data, "heartbeat.secret_key", credential.origin)
    file: str = values.get("heartbeat.secret_key_file", "")
    if file:
        try:
            data = read_regular(Path(file), LARGEST_BYTES + 1)
        except OSError as error:
            raise ConfigError(
                Problem(
                    f"{where}: heartbeat.secret_key_file",
                    f"{file} cannot be read: {error.strerror}",
                    _reading_hint(error),
                )
            ) from None
        return _checked(data, "heartbeat.secret_key", file)
    return _in_file(values, "heartbeat.secret_key", where)


def _webhook(values: Mapping[str, Any], where: str, credentials: Credentials) -> _Found:
    """The webhook's URL. Raises ConfigError if the credential that should hold it does not."""
    credential = credentials.get(WEBHOOK_URL)
    if credential is not None:
        return _checked(credential.data, "alerts.webhook_url", credential.origin)
    return _in_file(values, "alerts.webhook_url", where)


def _in_file(values: Mapping[str, Any], key: str, where: str) -> _Found:
    text: str = values.get(key, "")
    return _Found(text, f"{where}: {key}" if text else "")


def _checked(data: bytes, key: str, origin: str) -> _Found:
    """`data` as the value of the setting `key`. Raises ConfigError, naming `origin`."""
    if len(data) > LARGEST_BYTES:
        raise ConfigError(
            Problem(origin, "is larger than 8 KiB", f"it should hold the value of {key} and nothing else")
        )
    text = data.decode("utf-8", errors="replace").strip()
    if not text:
        raise ConfigError(Problem(origin, "is empty", f"it should hold the value of {key} and nothing else"))
    kind = kind_of(key)
    try:
        return _Found(str(kind.check(text)), origin)
    except ValueError as error:
        raise ConfigError(Problem(origin, str(error), f"allowed: {kind.allowed}")) from None


def _reading_hint(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "it belongs to root:heartbeat with mode 0640; run this with sudo, or restore that"
    return "it should be a readable file"


def _unknown(mapping: Mapping[str, object], where: str) -> Iterator[Problem]:
    """Sections and keys that do not exist, each with the nearest that does."""
    for name, section in mapping.items():
        if name not in SECTIONS:
            yield Problem(f"{where}: {name}", "there is no such section or key", _nearest(name))
        elif not isinstance(section, Mapping):
            yield Problem(f"{where}: {name}", "is a section, not a key", f"write [{name}] on a line of its own")
        else:
            known = {s.name for s in SETTINGS if s.section == name}
            for key in section:
                if key not in known:
                    yield Problem(f"{where}: {name}.{key}", "there is no such key", _nearest(f"{name}.{key}"))


def _nearest(key: str) -> str:
    """The real section or key that is most like `key`: the same word in another section first."""
    import difflib

    last = key.rpartition(".")[2]
    elsewhere = [s.key for s in SETTINGS if s.name == last]
    near = elsewhere or difflib.get_close_matches(key, [*SECTIONS, *(s.key for s in SETTINGS)], n=1, cutoff=0.6)
    near = near or [
        s.key for s in SETTINGS if s.name in difflib.get_close_matches(last, [x.name for x in SETTINGS], n=1)
    ]
    return f"did you mean {' or '.join(near[:2])}?" if near else "see heartbeat-config.toml(5)"
