"""What the notifier needs of the configuration. What is wrong in other sections keeps no alert from leaving."""

import re
from dataclasses import dataclass
from pathlib import Path

from heartbeatd.config.load import read
from heartbeatd.config.model import AlertsConfig, ChannelConfig, Config
from heartbeatd.config.resolve import resolve_alerts, resolve_channel
from heartbeatd.config.secrets import WEBHOOK_HEADERS, WEBHOOK_URL, channel_credential, load_credentials
from heartbeatd.config.walk import Place, walk
from heartbeatd.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Alerting:
    """The sections as they are written, and what is refused of them; `webhook` and `channel` say what is in force."""

    alerts: AlertsConfig
    channels: tuple[ChannelConfig, ...]
    place: Place
    problems: tuple[Problem, ...]

    def webhook(self) -> AlertsConfig:
        """With the credentials that were passed. Raises ConfigError if the URL or headers in force are refused."""
        alerts = resolve_alerts(self.alerts, load_credentials(names=(WEBHOOK_URL, WEBHOOK_HEADERS)))
        if not alerts.webhook_url:
            raise self._missing("alerts.webhook_url", "`heartbeatctl set-secret webhook_url` stores one")
        return alerts

    def channel(self, name: str) -> ChannelConfig:
        """The one of this name, with its URL in force. Raises ConfigError if there is none, or it is refused."""
        for number, channel in enumerate(self.channels, 1):
            if channel.name == name:
                credentials = load_credentials(names=(channel_credential(name),))
                found = resolve_channel(channel, self.place.of(f"channel[{number}].url_file"), credentials)
                if not found.url:
                    raise self._missing(f"channel {name}: url", f"`heartbeatctl set-secret channel.{name}` stores one")
                return found
        raise self._missing(f"channel {name}", "name it in a section [[channel]]")

    def _missing(self, where: str, hint: str) -> ConfigError:
        """What is refused, if that is why nothing is there."""
        return ConfigError(self.problems or Problem(where, "is not set", hint))


def load_alerting(path: Path) -> Alerting:
    """Raises ConfigError if the file cannot be read, or is not TOML."""
    document = read(path)
    place = Place(str(path), document.lines)
    walked = walk(Config, document.mapping, place)
    ours = [problem for problem in walked.problems if re.search(r": (alerts|channel)\b", problem.where)]
    return Alerting(walked.value.alerts, walked.value.channels, place, tuple(ours))
