"""Which secrets are in force, once the configuration is parsed.

The first that is there wins: the systemd credential `heartbeat.secret_key`, the file `heartbeat.secret_key_file`, the setting
`heartbeat.secret_key`. Likewise the credential `heartbeat.webhook_url` wins over the setting `alerts.webhook_url`,
`heartbeat.webhook_headers` over `alerts.webhook_headers`, and that of a channel over its `url_file`, and that over its `url`.
"""

from dataclasses import replace
from pathlib import Path

from heartbeatd.config.alerts import AlertsConfig, ChannelConfig
from heartbeatd.config.model import Config, kind_of
from heartbeatd.config.options import right
from heartbeatd.config.secrets import (
    LARGEST_BYTES,
    SECRET_KEY,
    WEBHOOK_HEADERS,
    WEBHOOK_URL,
    Credential,
    Credentials,
    Origin,
    OriginKind,
    Secret,
    all_lines,
    channel_credential,
    only_line,
    stored_anew,
    undecryptable_hint,
)
from heartbeatd.config.unreadable import reading_hint
from heartbeatd.config.walk import Place
from heartbeatd.errors import ConfigError, Problem
from heartbeatd.files import NotRegularFile, read_regular


def resolve_secrets(config: Config, place: Place, credentials: Credentials) -> tuple[Config, list[Problem]]:
    """The agent's configuration with the secrets in force, and what keeps any of them from being used."""
    heartbeat, alerts = config.heartbeat, config.alerts
    problems: list[Problem] = []
    try:
        alerts = resolve_alerts(alerts, credentials)
    except ConfigError as error:
        problems += error.problems
    try:
        if key := credentials.get(SECRET_KEY):
            heartbeat = replace(heartbeat, secret_key=_of_credential(key, "heartbeat.secret_key", SECRET_KEY))
        elif heartbeat.secret_key_file:
            file = heartbeat.secret_key_file
            heartbeat = replace(
                heartbeat, secret_key=_of_file(file, "heartbeat.secret_key", place.of("heartbeat.secret_key_file"))
            )
    except ConfigError as error:
        problems += error.problems
    return replace(config, heartbeat=heartbeat, alerts=alerts), problems


def resolve_alerts(alerts: AlertsConfig, credentials: Credentials) -> AlertsConfig:
    """With the webhook's URL and headers in force. Raises ConfigError."""
    if webhook := credentials.get(WEBHOOK_URL):
        alerts = replace(alerts, webhook_url=_of_credential(webhook, "alerts.webhook_url", WEBHOOK_URL))
    if headers := credentials.get(WEBHOOK_HEADERS):
        alerts = replace(alerts, webhook_headers=_of_credential(headers, "alerts.webhook_headers", WEBHOOK_HEADERS))
    return alerts


def resolve_channel(channel: ChannelConfig, where: str, credentials: Credentials) -> ChannelConfig:
    """With the URL in force; `where` is the place of `url_file`. Raises ConfigError."""
    name = channel_credential(channel.name)
    if url := credentials.get(name):
        return replace(channel, url=_of_credential(url, "channel.url", name))
    if channel.url_file:
        return replace(channel, url=_of_file(channel.url_file, "channel.url", where))
    return channel


def _of_credential(credential: Credential, key: str, name: str) -> Secret:
    if credential.spoilt:
        raise ConfigError(Problem(str(credential.origin), "cannot be decrypted", undecryptable_hint(name)))
    return _checked(credential.data, key, credential.origin, stored_anew(name))


def _of_file(file: str, key: str, where: str) -> Secret:
    try:
        data = read_regular(Path(file), LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigError(_unreadable(where, error, Path(file))) from None
    return _checked(data, key, Origin(OriginKind.FILE, file))


def _unreadable(where: str, error: OSError, file: Path) -> Problem:
    """A name that leads nowhere is not repeated: it may be the key itself, put into the wrong setting."""
    named = f"{file} " if isinstance(error, NotRegularFile | PermissionError) else "the file it names "
    return Problem(where, f"{named}cannot be read: {error.strerror}", reading_hint(error, file), errno=error.errno or 0)


def _checked(data: bytes, key: str, origin: Origin, remedy: str = "") -> Secret:
    """`data` as the value of the setting `key`. Raises ConfigError, naming `origin` and the `remedy`, if there is one."""
    then = f"; {remedy}" if remedy else ""
    try:
        text = all_lines(data) if key == "alerts.webhook_headers" else only_line(data)
    except ValueError as error:
        hint = f"it should hold the value of {key} and nothing else{then}"
        raise ConfigError(Problem(str(origin), str(error), hint)) from None
    kind = kind_of(key)
    try:
        return Secret(str(kind.check(text)), origin)
    except ValueError as error:
        raise ConfigError(Problem(str(origin), str(error), f"{right(error, kind)}{then}")) from None
