"""Whether there is a channel, as far as the agent can know: the credentials of channels are the notifier's alone."""

from pathlib import Path

from heartbeatd.config.load import DEFAULT_PATH
from heartbeatd.config.model import Config
from heartbeatd.config.secrets import WEBHOOK_URL, load_credentials


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
