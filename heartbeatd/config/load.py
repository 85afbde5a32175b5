"""The configuration: a file becomes a mapping, a mapping becomes a frozen `Config`, or every error there is, at once.

Where the key comes from, the first that is there wins: the systemd credential `heartbeat.secret_key`, the file
`heartbeat.secret_key_file`, `heartbeat.secret_key`. Likewise the credential `heartbeat.webhook_url` wins over the setting.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from heartbeatd.config import zones
from heartbeatd.config.options import SECTIONS, SETTINGS, kind_of, of_the_system
from heartbeatd.config.secrets import LARGEST_BYTES, SECRET_KEY, WEBHOOK_URL, Credentials, only_line, stored_anew
from heartbeatd.config.toml_text import Document, understood
from heartbeatd.core.redact import secrets_in, shown_name
from heartbeatd.core.timefmt import LIMA_ZONE, Zone
from heartbeatd.errors import ConfigError, Problem
from heartbeatd.files import NotRegularFile, decoded, read_regular, require_regular

DEFAULT_PATH = Path("/etc/heartbeat/config.toml")
LARGEST_FILE_BYTES = 1 << 20
LONGEST_LINE = 10_000
# What may be repeated of a file in which a secret may stand anywhere.
NAMES = frozenset({*SECTIONS, *(setting.name for setting in SETTINGS)})
_NO_CREDENTIALS: Credentials = {}
_NO_LINES: Mapping[tuple[str, ...], int] = {}


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

    url: str = field(repr=False)  # its query may be a secret
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

    url: str = field(repr=False)
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
        docker_s = self.docker.timeout_seconds if self.docker.socket else 0.0
        heartbeat_s = self.heartbeat.timeout_seconds if self.heartbeat.url else 0.0
        return max(self.internet.timeout_seconds, docker_s) + heartbeat_s

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be logged: the key, and what the URLs hold beside scheme, host and path."""
        urls = (self.heartbeat.url, self.alerts.webhook_url.reveal(), self.internet.url)
        return (self.heartbeat.secret.reveal(), *(secret for url in urls for secret in secrets_in(url)))


def load(path: Path, credentials: Credentials = _NO_CREDENTIALS) -> Config:
    """The configuration in the file `path`, with the credentials that were passed, if any were.

    Raises ConfigError naming the file, each key path, what is wrong and what would be right.
    """
    document = read(path)
    return parse(document.mapping, str(path), credentials, document.lines)


def read(path: Path) -> Document:
    """What the TOML file says. Raises ConfigError if it cannot be read, is too large, or is not TOML."""
    where = str(path)
    try:
        data = read_regular(path, LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(Problem(where, f"cannot be read: {error.strerror}", _reading_hint(error, path))) from None
    if len(data) > LARGEST_FILE_BYTES:
        raise ConfigError(Problem(where, "is larger than 1 MiB", "a configuration has a few dozen lines"))
    try:
        text = decoded(data)
    except ValueError as error:
        raise ConfigError(Problem(where, str(error), "save the file as UTF-8 text")) from None
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:  # tomllib may need minutes for one
            what = f"is longer than {LONGEST_LINE} characters"
            raise ConfigError(Problem(f"{where}, line {number}", what, "a setting is one line of its own"))
    return understood(text, where, NAMES)


def parse(
    mapping: Mapping[str, object],
    where: str = "",
    credentials: Credentials = _NO_CREDENTIALS,
    lines: Mapping[tuple[str, ...], int] = _NO_LINES,
) -> Config:
    """The configuration in a mapping of sections; `lines` says where each stands. Raises ConfigError.

    Pure, but for the files that hold the key and the time zone, and a look at what is at `storage.path`.
    """
    place = _Place(where, lines)
    problems = list(_unknown(mapping, place))
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        section = mapping.get(setting.section, {})
        given = section.get(setting.name) if isinstance(section, Mapping) else None
        try:
            values[setting.key] = setting.default if given is None else setting.kind.check(given)
        except ValueError as error:
            problems.append(Problem(place.of(setting.key), str(error), f"allowed: {setting.kind.allowed}"))
    zone = _zone(values, place, problems)
    secret, webhook = _Found(), _Found()
    try:
        webhook = _webhook(values, place, credentials)
        secret = _secret(values, place, credentials)
        problems += _together(values, secret, place)
    except ConfigError as error:
        problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return _build(values, zone, secret, webhook)


@dataclass(frozen=True, slots=True)
class _Place:
    """A file, and where in it each key stands."""

    file: str
    lines: Mapping[tuple[str, ...], int]

    def of(self, key: str, shown: str | None = None) -> str:
        """E.g. `config.toml, line 7: agent.hostname`; with `shown` that in place of the key, or nothing."""
        line = self.lines.get(tuple(key.split(".", 1)))
        at = f"{self.file}, line {line}" if line else self.file
        name = key if shown is None else shown
        return f"{at}: {name}" if name else at


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


def _zone(values: Mapping[str, Any], place: _Place, problems: list[Problem]) -> Zone:
    """The time zone people read; what keeps it from being used is added to `problems`."""
    name: str = values.get("agent.timezone", LIMA_ZONE.name)
    try:
        return zones.named(name)
    except ValueError as error:
        problems.append(Problem(place.of("agent.timezone"), str(error), zones.nearest(name)))
        return LIMA_ZONE


def _together(values: Mapping[str, Any], secret: _Found, place: _Place) -> Iterator[Problem]:
    """What is wrong only in combination, or with what is there."""
    if values.get("heartbeat.url") and "heartbeat.secret_key" in values and not secret.text:
        yield Problem(
            f"{place.file}: heartbeat.secret_key",
            "is missing, but heartbeat.url is set",
            "`heartbeatctl set-secret` stores it encrypted; or set heartbeat.secret_key or heartbeat.secret_key_file",
        )

    if "storage.path" in values:
        try:
            _look_at_database(Path(values["storage.path"]))
        except ValueError as error:
            yield Problem(place.of("storage.path"), str(error), f"allowed: {kind_of('storage.path').allowed}")


def _look_at_database(path: Path) -> None:
    """Raises ValueError if something there can be no database, or its folder is one of the system's by another name."""
    try:
        if of_the_system(PurePosixPath(path.parent.resolve())):
            raise ValueError("its folder leads to one that belongs to the system")
        require_regular(path)
    except NotRegularFile as error:
        raise ValueError(error.strerror) from None
    except (OSError, RuntimeError):  # it is not there yet, or not for us to see; opening it will tell
        return


def _secret(values: Mapping[str, Any], place: _Place, credentials: Credentials) -> _Found:
    """The key. Raises ConfigError if what should hold it cannot be used."""
    credential = credentials.get(SECRET_KEY)
    if credential is not None:
        return _checked(credential.data, "heartbeat.secret_key", credential.origin, stored_anew(SECRET_KEY))
    file: str = values.get("heartbeat.secret_key_file", "")
    if file:
        try:
            data = read_regular(Path(file), LARGEST_BYTES + 1)
        except OSError as error:
            where = place.of("heartbeat.secret_key_file")
            raise ConfigError(_unreadable(where, error, Path(file))) from None
        return _checked(data, "heartbeat.secret_key", file)
    return _in_file(values, "heartbeat.secret_key", place.file)


def _unreadable(where: str, error: OSError, file: Path) -> Problem:
    """A name that leads nowhere is not repeated: it may be the key itself, put into the wrong setting."""
    named = f"{file} " if isinstance(error, NotRegularFile | PermissionError) else "the file it names "
    return Problem(where, f"{named}cannot be read: {error.strerror}", _reading_hint(error, file))


def _webhook(values: Mapping[str, Any], place: _Place, credentials: Credentials) -> _Found:
    """The webhook's URL. Raises ConfigError if the credential that should hold it does not."""
    credential = credentials.get(WEBHOOK_URL)
    if credential is not None:
        return _checked(credential.data, "alerts.webhook_url", credential.origin, stored_anew(WEBHOOK_URL))
    return _in_file(values, "alerts.webhook_url", place.file)


def _in_file(values: Mapping[str, Any], key: str, where: str) -> _Found:
    text: str = values.get(key, "")
    return _Found(text, f"{where}: {key}" if text else "")


def _checked(data: bytes, key: str, origin: str, remedy: str = "") -> _Found:
    """`data` as the value of the setting `key`. Raises ConfigError, naming `origin` and the `remedy`, if there is one."""
    then = f"; {remedy}" if remedy else ""
    try:
        text = only_line(data)
    except ValueError as error:
        hint = f"it should hold the value of {key} and nothing else{then}"
        raise ConfigError(Problem(origin, str(error), hint)) from None
    kind = kind_of(key)
    try:
        return _Found(str(kind.check(text)), origin)
    except ValueError as error:
        raise ConfigError(Problem(origin, str(error), f"allowed: {kind.allowed}{then}")) from None


def _reading_hint(error: OSError, path: Path) -> str:
    if not isinstance(error, PermissionError):
        return "it should be a readable file"
    import grp

    right = "root and the group heartbeat may read it"
    try:
        found = path.stat()
        as_shipped = found.st_uid == 0 and found.st_mode & 0o040 and grp.getgrgid(found.st_gid).gr_name == "heartbeat"
    except OSError:
        return f"run this with sudo; {right}, if every folder on the way to it lets them"
    except KeyError:  # a group without a name
        as_shipped = 0
    if as_shipped:
        return f"only {right}: run this with sudo"
    return f"see to it that {right}: chown root:heartbeat {path}; chmod 640 {path}"


def _unknown(mapping: Mapping[str, object], place: _Place) -> Iterator[Problem]:
    """Sections and keys that do not exist, each with the nearest that does; named where the name can be no secret."""
    for name, section in mapping.items():
        if name not in SECTIONS:
            yield Problem(place.of(name, shown_name(name, NAMES)), "there is no such section or key", _nearest(name))
        elif not isinstance(section, Mapping):
            what = "stands in double brackets" if isinstance(section, list) else "is a section, not a key"
            yield Problem(place.of(name), what, f"write [{name}] on a line of its own")
        else:
            known = {s.name for s in SETTINGS if s.section == name}
            for key in section:
                if key not in known:
                    shown = shown_name(key, NAMES)
                    full = f"{name}.{key}"
                    yield Problem(
                        place.of(full, f"{name}.{shown}" if shown else ""),
                        f"there is no such key in [{name}]",
                        _nearest(name, key),
                    )


def _nearest(section: str, key: str = "") -> str:
    """The real section or key that is most like it: the same word elsewhere first, then one of the same section."""
    import difflib

    def like(word: str, words: list[str]) -> list[str]:
        return difflib.get_close_matches(word, words, n=1, cutoff=0.6)

    word = key or section
    sections = [] if key else like(section, list(SECTIONS))
    here = like(word, [s.name for s in SETTINGS if s.section == section])
    names = [word] if word in NAMES else here or like(word, [s.name for s in SETTINGS])
    near = sections or [
        s.key for s in SETTINGS if s.name in names and (not here or s.section == section or word in NAMES)
    ]
    return f"did you mean {' or '.join(near[:2])}?" if near else "see heartbeat-config.toml(5)"
