"""The ways in which a notification reaches people. Each loads its own library, which no other process of ours does."""

from typing import Protocol

from heartbeatd.config.alerting import Alerting
from heartbeatd.config.alerts import WEBHOOK
from heartbeatd.core.notification import Notification
from heartbeatd.notify.protocol import Report


class Sender(Protocol):
    """Delivers one notification to one channel, once."""

    @property
    def hint(self) -> str:
        """What to do if it takes the notification and does not answer in time; may be empty."""

    @property
    def address(self) -> str:
        """Where it delivers to, as far as that may be shown."""

    def deliver(self, notification: Notification) -> int | None:
        """Waits for as long as it takes. The status, if there is one. Raises NotDelivered, without a secret in it."""

    def check(self) -> Report:
        """What can be known without a notification. Waits as well. Raises NotDelivered, without a secret in it."""


def open_sender(name: str, alerting: Alerting, timeout_s: float) -> Sender:
    """The one for the channel of this name.

    Raises ConfigError, or NotDelivered if its library is missing or cannot use its URL.
    """
    if name == WEBHOOK:
        from heartbeatd.notify.channels.webhook import Webhook

        return Webhook(alerting.webhook())
    channel = alerting.channel(name)
    from heartbeatd.notify.channels.apprise import Apprise

    return Apprise(channel, timeout_s)
