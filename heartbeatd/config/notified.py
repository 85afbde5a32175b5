"""Which channels there are, as far as the agent can know: their credentials are the notifier's alone."""

from collections.abc import Iterable
from pathlib import Path

from heartbeatd.config.alerts import WEBHOOK, AlertsConfig, ChannelConfig
from heartbeatd.config.load import DEFAULT_PATH
from heartbeatd.config.model import Config
from heartbeatd.config.secrets import WEBHOOK_URL, load_credentials
from heartbeatd.core.delivery import Channel
from heartbeatd.core.subject import Severity

_LEAST = {"info": Severity.OK, "warning": Severity.WARNING, "critical": Severity.CRITICAL}


def webhook_channel(alerts: AlertsConfig) -> Channel:
    """The channel that `alerts.webhook_url` is."""
    return Channel(WEBHOOK, alerts.timeout_seconds)


def apprise_channels(channels: Iterable[ChannelConfig]) -> tuple[Channel, ...]:
    """Those of the sections [[channel]]."""
    return tuple(Channel(one.name, one.timeout_seconds, _LEAST[one.min_severity], one.events) for one in channels)


def has_credentials_elsewhere(config_file: Path) -> bool:
    """True for the system's configuration, whose channels' credentials are passed to heartbeatd-notify@.service."""
    return config_file == DEFAULT_PATH


def may_have_webhook(config: Config, config_file: Path) -> bool:
    """True as well where only the notifier can tell. With another configuration it has the credentials of this process."""
    return (
        bool(config.alerts.webhook_url)
        or has_credentials_elsewhere(config_file)
        or bool(load_credentials(names=(WEBHOOK_URL,)))
    )


def may_tell(config: Config, config_file: Path) -> bool:
    """Whether there may be a channel at all."""
    return bool(config.channels) or may_have_webhook(config, config_file)
