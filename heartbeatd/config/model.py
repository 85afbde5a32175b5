"""Every setting there is: these dataclasses are the table that parsing, config.toml, config.toml(5) and error messages follow.

A new setting is one field here; `make generate` puts it into config.toml and the manual.
"""

from dataclasses import dataclass

from heartbeatd.config.alerts import AlertsConfig, ChannelConfig
from heartbeatd.config.options import Kind, Number, OneOf, Text, UnixSocket, Whole
from heartbeatd.config.paths import NewFile, Path
from heartbeatd.config.schema import option, section, settings_of, tables
from heartbeatd.config.secrets import Secret
from heartbeatd.config.services import ServiceConfig
from heartbeatd.config.urls import Url
from heartbeatd.config.watching import ContainersConfig, FilesystemsConfig, RuleConfig, UnitsConfig
from heartbeatd.config.zones import TimeZone
from heartbeatd.core.redact import secrets_in
from heartbeatd.core.timefmt import Zone

_KEY = Text("visible ASCII characters without spaces", r"[!-~]")
_HOST = Text('letters, digits, ".", "-" and "_", at most 253', r"[A-Za-z0-9._-]", longest=253)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    interval_seconds: int = option(
        Whole(1, 3600, divides=86400),
        10,
        "Seconds between two cycles. Cycles run on the wall clock's grid: with 10, at :00, :10, :20 and so on.",
    )
    hostname: str = option(_HOST, "", 'The name this host is known by in heartbeats and alerts. "" is its own name.')
    timezone: Zone = option(
        TimeZone(),
        "America/Lima",
        'The time zone of all times that people read in alerts, the journal and the status, e.g. "Europe/Madrid"; "" is the '
        "host's own. The database keeps Lima's time; heartbeats and the details of alerts have UTC.",
    )
    log_cycles: str = option(
        OneOf(("all", "hourly", "changes")),
        "all",
        'Which cycles have a line in the journal. "all": each. "hourly": one line an hour sums them up. "changes": those in '
        "which the Worker's answer, the internet check or the number of containers differs from the cycle before. Warnings, "
        "alerts and changes of state are always logged.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatConfig:
    """`secret_key` is the key in force, which may come from a credential or a file."""

    url: str = option(
        Url(user_info=False),
        "",
        "The Worker's address.",
        example="https://NAME.ACCOUNT.workers.dev/api/heartbeat",
        shown=False,  # its query may be a secret
    )
    secret_key: Secret = option(
        _KEY,
        "",
        "The key, sent as `Authorization: Bearer KEY`. Keep this file unreadable to others (root:heartbeat 0640, as shipped).",
        secret=True,
    )
    secret_key_file: str = option(
        Path(optional=True),
        "",
        "A file that holds the key, in place of secret_key. `heartbeatctl set-secret`, which keeps it encrypted, wins over both "
        "from the next restart on.",
        shown=False,  # it may be the key itself, put into the wrong setting
    )
    timeout_seconds: float = option(
        Number(0.1, 60), 3.0, "Seconds for a whole heartbeat, name resolution and one retry included."
    )
    ca_file: str = option(
        Path(optional=True), "", "A PEM file of certificate authorities to trust beside the system's own."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetConfig:
    url: str = option(
        Url(optional=False),
        "http://www.google.com",
        "Asked with HEAD; an answer of 2xx or 3xx means the internet is reachable.",
        shown=False,
    )
    timeout_seconds: float = option(Number(0.1, 60), 2.0, "Seconds for the whole check.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerConfig:
    socket: str = option(
        UnixSocket(),
        "unix:///run/docker.sock",
        "The Docker engine's socket. heartbeatd-containers.service reads it, unless the agent has been given the right to.",
    )
    timeout_seconds: float = option(Number(0.1, 60), 2.0, "Seconds for the whole count.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    path: str = option(NewFile(), "/var/lib/heartbeat/metrics.db", "The SQLite file that keeps every cycle.")
    keep_days: int = option(
        Whole(0, 36500),
        400,
        "Days after which a row is deleted; 0 keeps rows for ever. Each hour's and each day's figures are kept in any case.",
    )
    sync: str = option(
        OneOf(("normal", "full")),
        "normal",
        'What a power cut may cost. "normal": the rows of the last minute, but no alert and no state. "full": nothing, for a '
        "flush of the disk in each cycle.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration, checked."""

    agent: AgentConfig = section(AgentConfig, "The agent itself.")
    heartbeat: HeartbeatConfig = section(
        HeartbeatConfig,
        "The Worker that raises the alarm when heartbeats stop. Without a URL the agent only measures and stores.",
    )
    alerts: AlertsConfig = section(
        AlertsConfig,
        "The n8n webhook that is told when the Worker changes state. Without a URL changes are only logged.",
    )
    channels: tuple[ChannelConfig, ...] = tables(
        "channel",
        ChannelConfig,
        "Where alerts are sent beside the webhook, by Apprise (package apprise); any number of these.",
    )
    rules: tuple[RuleConfig, ...] = tables(
        "rule",
        RuleConfig,
        "From where on a measured value is bad; any number of these. Without any, a filesystem or its inodes are a warning at 90 "
        "percent and critical at 97, after 5 minutes, until they are 3 below; a critical one is told again each day.",
    )
    services: tuple[ServiceConfig, ...] = tables(
        "service",
        ServiceConfig,
        "What has to answer, on this host or elsewhere; any number of these. Heartbeats carry the state of each to the Worker.",
    )
    internet: InternetConfig = section(
        InternetConfig, "The internet check. It explains a failed heartbeat; it never raises an alarm of its own."
    )
    docker: DockerConfig = section(DockerConfig, "Counting the running containers.")
    filesystems: FilesystemsConfig = section(
        FilesystemsConfig, "How full filesystems are. All local ones are looked at once a minute."
    )
    containers: ContainersConfig = section(ContainersConfig, "Which containers must run.")
    units: UnitsConfig = section(UnitsConfig, "Which failed units of systemd are announced.")
    storage: StorageConfig = section(StorageConfig, "The database.")

    @property
    def longest_cycle_s(self) -> float:
        """Seconds a cycle may wait for others at the most: the slower of the two probes, then the heartbeat."""
        docker_s = self.docker.timeout_seconds if self.docker.socket else 0.0
        heartbeat_s = self.heartbeat.timeout_seconds if self.heartbeat.url else 0.0
        return max(self.internet.timeout_seconds, docker_s) + heartbeat_s

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be logged: the key, and what the URLs hold beside scheme, host and path."""
        urls = (
            *(self.heartbeat.url, self.alerts.webhook_url.reveal(), self.internet.url),
            *(service.check for service in self.services),
        )
        return (
            self.heartbeat.secret_key.reveal(),
            *self.alerts.header_secrets,
            *(channel.url.reveal() for channel in self.channels),
            *(secret for url in urls for secret in secrets_in(url)),
        )


SETTINGS = tuple(settings_of(Config))


def kind_of(key: str) -> Kind:
    """What the setting with this key path may be. The key has to be one of the table's."""
    return next(setting.option.kind for setting in SETTINGS if setting.key == key)
