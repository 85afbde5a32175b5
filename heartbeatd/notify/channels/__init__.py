"""The ways in which a notification reaches people. Each loads its own library, which no other process of ours does."""

from typing import Protocol

from heartbeatd.config.alerting import Alerting
from heartbeatd.config.model import WEBHOOK
from heartbeatd.core.notification import Notification


class Channel(Protocol):
    """Where one notification is delivered to, once."""

    @property
    def hint(self) -> str:
        """What to do if it takes the notification and does not answer in time; may be empty."""

    def deliver(self, notification: Notification) -> int | None:
        """Waits for as long as it takes. The status, if there is one. Raises NotDelivered, without a secret in it."""


def open_channel(name: str, alerting: Alerting, timeout_s: float) -> Channel:
    """The channel of this name. Raises ConfigError, or NotDelivered if its library is missing or cannot use its URL."""
    if name == WEBHOOK:
        from heartbeatd.notify.channels.webhook import Webhook

        return Webhook(alerting.webhook())
    channel = alerting.channel(name)
    from heartbeatd.notify.channels.apprise import Apprise

    return Apprise(channel, timeout_s)
