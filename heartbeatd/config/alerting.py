"""What the notifier needs of the configuration. What is wrong in other sections keeps no alert from leaving."""

import re
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.config.alerts import AlertsConfig, ChannelConfig
from heartbeatd.config.load import check_names, read
from heartbeatd.config.model import Config
from heartbeatd.config.notified import apprise_channels, webhook_channel
from heartbeatd.config.resolve import resolve_alerts, resolve_channel
from heartbeatd.config.secrets import WEBHOOK_HEADERS, WEBHOOK_URL, Credentials, channel_credential, load_credentials
from heartbeatd.config.stored import stored_credentials
from heartbeatd.config.walk import Place, walk
from heartbeatd.core.delivery import Channel
from heartbeatd.errors import ConfigError, Problem


class NotSetError(ConfigError):
    """There is no webhook: neither setting nor credential, and no credential that this process was not given."""


@dataclass(frozen=True, slots=True)
class Alerting:
    """The sections as they are written, and what is refused of them; `webhook` and `channel` say what is in force.

    `complete` says that there are no other credentials than `credentials`.
    """

    alerts: AlertsConfig
    channels: tuple[ChannelConfig, ...]
    place: Place
    problems: tuple[Problem, ...]
    credentials: Credentials
    complete: bool
    hostname: str = ""

    def webhook(self) -> AlertsConfig:
        """With the credentials that were passed.

        Raises NotSetError if there is no webhook, ConfigError if the URL or headers in force are refused.
        """
        alerts = resolve_alerts(self.alerts, self.credentials)
        if not alerts.webhook_url:
            hint = "`heartbeatctl set-secret webhook_url` stores one"
            raise self._missing("alerts.webhook_url", hint, NotSetError if self.complete else ConfigError)
        return alerts

    def listed(self) -> tuple[Channel, ...]:
        """All channels there are; the webhook is one, unless it is known that there is none."""
        try:
            self.webhook()
        except NotSetError:
            return apprise_channels(self.channels)
        except ConfigError:
            pass  # a try says what is wrong, and the next may go well
        return (webhook_channel(self.alerts), *apprise_channels(self.channels))

    def channel(self, name: str) -> ChannelConfig:
        """The one of this name, with its URL in force. Raises ConfigError if there is none, or it is refused."""
        for number, channel in enumerate(self.channels, 1):
            if channel.name == name:
                found = resolve_channel(channel, self.place.of(f"channel[{number}].url_file"), self.credentials)
                if not found.url:
                    raise self._missing(f"channel {name}: url", f"`heartbeatctl set-secret channel.{name}` stores one")
                return found
        raise self._missing(f"channel {name}", "name it in a section [[channel]]")

    def _missing(self, where: str, hint: str, kind: type[ConfigError] = ConfigError) -> ConfigError:
        """What is refused, if that is why nothing is there."""
        return ConfigError(self.problems) if self.problems else kind(Problem(where, "is not set", hint))


def load_alerting(path: Path, *, by_systemd: bool = False, stands_in: bool = False) -> Alerting:
    """`by_systemd`: this is heartbeatd-notify@.service; `stands_in`: it is in that one's place, and may lack its credentials.

    Raises ConfigError if the file cannot be read, or is not TOML.
    """
    document = read(path)
    place = Place(str(path), document.lines)
    walked = walk(Config, document.mapping, place)
    ours = [problem for problem in walked.problems if re.search(r": (alerts|channel)\b", problem.where)]
    ours += check_names(walked.value.channels, place)
    alerts, channels = walked.value.alerts, walked.value.channels
    names = (WEBHOOK_URL, WEBHOOK_HEADERS, *(channel_credential(channel.name) for channel in channels))
    kept = stored_credentials()
    credentials = {**(kept or {}), **load_credentials(names=names)}
    complete = kept is not None or not (by_systemd or stands_in)
    return Alerting(alerts, channels, place, tuple(ours), credentials, complete, walked.value.agent.hostname)
